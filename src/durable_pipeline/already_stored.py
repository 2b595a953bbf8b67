"""Finds out which records are stored although this execution failed to store them.

An execution can die after it stored a record and before the record was acknowledged. The record is
then delivered again; and if that was its last delivery and fails, it would become a dead letter of
something that is in the table. So before a failed record is given up, the table is asked.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.clients import ONE_ATTEMPT, dynamodb
from durable_pipeline.records import STORED, Batch, Outcomes, Record, given_up
from durable_pipeline.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

logger = Logger(child=True)

MAX_KEYS = 100
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

    def look(_: StepContext) -> list[str]:
        return already_stored(dynamodb(), settings.table_name, doubtful)

    try:
        stored: list[str] = context.step(look, name="already-stored", config=ONE_ATTEMPT)
    except StepError:
        return {}
    return dict.fromkeys(stored, STORED)


def already_stored(client: DynamoDBClient, table_name: str, records: Sequence[Record]) -> list[str]:
    """Ids of the ``records`` whose item is in the table.

    Where the table does not answer none is said to be stored: a dead letter too many does no harm.
    """
    return [
        record.id
        for start in range(0, len(records), MAX_KEYS)
        for record in _stored(client, table_name, records[start : start + MAX_KEYS])
    ]


def _stored(client: DynamoDBClient, table_name: str, records: Sequence[Record]) -> Iterator[Record]:
    try:
        response = client.batch_get_item(
            RequestItems={
                table_name: {
                    "Keys": [{"execution_id": {"S": key}} for key in _keys(records)],
                    "ProjectionExpression": "execution_id, message_id",
                    "ConsistentRead": True,
                }
            }
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("cannot tell which records are stored: %s", error)
        return
    items = response.get("Responses", {}).get(table_name, [])
    stored = {(item["execution_id"]["S"], item["message_id"]["S"]) for item in items}
    # Another message's item of the same execution_id is not this record's.
    yield from (record for record in records if (record.execution_id, record.id) in stored)


def _keys(records: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(record.execution_id for record in records))
