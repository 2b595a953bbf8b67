"""Writes items in batches, and says of each record what became of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from shared.contracts import InvalidRecord, Result, StageRecord, failed, ok, rejected
from store.items import Item, item_of
from store.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import WriteRequestTypeDef

BATCH_ITEMS = 25
# BatchWriteItem takes 25 items and 16 MB; 25 items of 400 KB are less than that:
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

PASSING = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingException",
        "UnprocessedItems",
        # botocore's own, when the service does not answer
        "ConnectTimeoutError",
        "ConnectionClosedError",
        "EndpointConnectionError",
        "ReadTimeoutError",
    }
)
"""Errors that pass: the same request may succeed a moment later."""


@dataclass(frozen=True)
class WriteError:
    """Why an item was not written: DynamoDB's or botocore's name for it, and the message."""

    type: str
    message: str

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed a moment later."""
        return self.type in PASSING


class Table:
    """The table of processed data. One instance serves one execution environment."""

    def __init__(
        self,
        client: DynamoDBClient,
        settings: Settings,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._settings = settings
        self._clock = clock
        self._sleep = sleep

    def store(
        self, records: Sequence[StageRecord], *, stored_at: str, seconds: float
    ) -> list[Result]:
        """Write one item per record within about ``seconds``.

        The result of a record is ok only if DynamoDB accepted its item. Items that DynamoDB keeps
        refusing for want of throughput come back as failed, those it cannot hold as rejected.
        Records with the same execution_id are one item: the last one's.
        """
        deadline = self._clock() + seconds
        items, results = self._items(records, stored_at)
        errors: dict[str, WriteError] = {}
        for batch in batches(list(items.values())):
            errors |= self._write(batch, deadline)
        return [results.get(record["id"]) or _verdict(record, errors) for record in records]

    def _items(
        self, records: Sequence[StageRecord], stored_at: str
    ) -> tuple[dict[str, Item], dict[str, Result]]:
        """The items by key, and the results of the records that DynamoDB cannot hold."""
        items: dict[str, Item] = {}
        unstorable: dict[str, Result] = {}
        for record in records:
            try:
                item = item_of(record, stored_at, self._settings.time_to_live_in_days)
            except InvalidRecord as invalid:
                unstorable[record["id"]] = rejected(record["id"], invalid.reason)
            else:
                items[key_of(item)] = item
        return items, unstorable

    def _write(self, batch: Sequence[Item], deadline: float) -> dict[str, WriteError]:
        """Write ``batch``; the items that were not written, by key, with the error."""
        pause = FIRST_PAUSE
        while True:
            batch, error = self._attempt(batch)
            if error.type == "ValidationException" and len(batch) > 1:
                # One item that DynamoDB finds wrong fails the request; its neighbours are fine.
                return self._write_one_by_one(batch, deadline)
            if not batch or not error.passes or self._clock() + pause > deadline:
                return {key_of(item): error for item in batch}
            self._sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    def _write_one_by_one(self, batch: Sequence[Item], deadline: float) -> dict[str, WriteError]:
        errors: dict[str, WriteError] = {}
        for item in batch:
            errors |= self._write([item], deadline)
        return errors

    def _attempt(self, batch: Sequence[Item]) -> tuple[list[Item], WriteError]:
        """The items of ``batch`` that were not written, and why."""
        name = self._settings.table_name
        puts: list[WriteRequestTypeDef] = [{"PutRequest": {"Item": item}} for item in batch]
        try:
            response = self._client.batch_write_item(RequestItems={name: puts})
        except ClientError as error:
            return list(batch), WriteError(error.response["Error"]["Code"], str(error))
        except BotoCoreError as error:
            return list(batch), WriteError(type(error).__name__, str(error))
        unprocessed = response.get("UnprocessedItems", {}).get(name, [])
        unwritten: list[Item] = [request["PutRequest"]["Item"] for request in unprocessed]
        return unwritten, WriteError(
            "UnprocessedItems", "DynamoDB left the item for want of throughput"
        )


def batches(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Runs of ``items`` that one BatchWriteItem takes."""
    rest = iter(items)
    while batch := list(islice(rest, BATCH_ITEMS)):
        yield batch


def key_of(item: Item) -> str:
    """The key of ``item``."""
    key: str = item["execution_id"]["S"]
    return key


def _verdict(record: StageRecord, errors: dict[str, WriteError]) -> Result:
    if (error := errors.get(record["execution_id"])) is None:
        return ok(record["id"])
    return failed(record["id"], error.type, error.message)
