"""Finds out which records are stored although this execution failed to store them.

An execution can die after it stored a record and before the record was acknowledged. The record is
then delivered again; and if that was its last delivery and fails, it would become a dead letter of
something that is in the table. So before a failed record is given up, the table is asked.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.clients import ONE_ATTEMPT, dynamodb
from durable_pipeline.records import STORED, Batch, Outcomes, Record, given_up, text_size
from durable_pipeline.settings import Settings
from shared.batching import batches

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import KeysAndAttributesTypeDef

logger = Logger(child=True)

PAUSES = (0.1, 0.3, 1.0, 2.0, 2.0)
"""Seconds before each time that what DynamoDB left unprocessed is asked for again: for all records
of an execution together, because the time to settle in is short."""

MAX_KEYS = 100
MAX_KEYS_BYTES = 1024 * 1024
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html


def stored_before(
    context: DurableContext, batch: Batch, outcomes: Outcomes, settings: Settings
) -> Outcomes:
    """New outcomes for the records that are given up although they are stored; most often none."""
    doubtful = [
        record
        for record in batch.all_records
        if given_up(record, outcomes[record.id], settings.max_receive_count)
    ]
    if not doubtful:
        return {}

    def look(_: StepContext) -> list[int]:
        stored = already_stored(dynamodb(), settings.table_name, doubtful)
        return [index for index, record in enumerate(doubtful) if record.id in stored]

    try:
        stored: list[int] = context.step(look, name="already-stored", config=ONE_ATTEMPT)
    except StepError:
        return {}
    return {doubtful[index].id: STORED for index in stored}


def already_stored(client: DynamoDBClient, table_name: str, records: Sequence[Record]) -> set[str]:
    """Ids of the ``records`` whose item is in the table.

    Of those for which the table does not answer none is said to be stored: a dead letter too many
    does no harm.
    """
    # DynamoDB takes no key twice.
    keys = list(dict.fromkeys(record.execution_id for record in records))
    pauses = iter(PAUSES)
    found = {
        item
        for batch in batches(keys, text_size, max_bytes=MAX_KEYS_BYTES, max_entries=MAX_KEYS)
        for item in _items(client, table_name, batch, pauses)
    }
    # Another message's item of the same execution_id is not this record's.
    return {record.id for record in records if (record.execution_id, record.id) in found}


def _items(
    client: DynamoDBClient, table_name: str, keys: Sequence[str], pauses: Iterator[float]
) -> Iterator[tuple[str, str]]:
    """Key and message id of the items that there are; what DynamoDB leaves is asked for again."""
    wanted: KeysAndAttributesTypeDef = {
        "Keys": [{"execution_id": {"S": key}} for key in keys],
        "ProjectionExpression": "execution_id, message_id",
        "ConsistentRead": True,
    }
    while True:
        try:
            response = client.batch_get_item(RequestItems={table_name: wanted})
        except (ClientError, BotoCoreError) as error:
            logger.warning("cannot tell which records are stored: %s", error)
            return
        for item in response.get("Responses", {}).get(table_name, []):
            yield item["execution_id"]["S"], item["message_id"]["S"]
        left = response.get("UnprocessedKeys", {}).get(table_name)
        if not left:
            return
        if (pause := next(pauses, None)) is None:
            logger.warning("cannot tell of %d keys whether they are stored", len(left["Keys"]))
            return
        time.sleep(pause)
        wanted = {**wanted, "Keys": left["Keys"]}
