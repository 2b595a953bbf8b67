"""Writes items in batches, and says of each record what became of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_core.attribute_values import Item
from pipeline_core.contract import Result, StageRecord, each, failed, ok, superseded
from pipeline_core.sizes import batches
from store.items import item_of, item_size

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef, WriteRequestTypeDef

BATCH_ITEMS = 25
BATCH_BYTES = 16 * 1000 * 1000
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchWriteItem.html

ROWS_AT_ONCE = 99
TRANSACTION_BYTES = 4 * 1000 * 1000
# A transaction has up to 100 parts. One of them asks the catalog.
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html

CONCURRENT_PUTS = 8

# No item yet, or one that was sent earlier. Two sent in the same millisecond are ordered by their
# message ids, so that whichever comes last, the same one stays.
IS_NEWEST = (
    "attribute_not_exists(execution_id) OR sent_timestamp < :sent_timestamp "
    "OR (sent_timestamp = :sent_timestamp AND message_id <= :message_id)"
)

# No item of the object yet, or one of an earlier state.
IS_NEWEST_STATE = (
    "attribute_not_exists(execution_id) OR attribute_not_exists(sequencer) "
    "OR sequencer <= :sequencer"
)
# The very item that the record was processed again from: what has come since is newer, and what was
# removed stays so.
IS_STILL_THERE = "stored_at = :replaces"

# The catalog knows of no later state, a removal included: an event that comes late changes nothing.
NO_LATER_STATE = "attribute_not_exists(#object) OR sequencer <= :sequencer"

# A row's item takes the place of what its object's earlier states have left there, and of an
# earlier row that gave itself the same id: the last in the file counts, whatever order they come
# in. Somebody else's item under that id is ordered by when the two were sent.
IS_NEWEST_ROW = (
    "attribute_not_exists(execution_id) OR (#object = :object AND "
    "(sequencer < :sequencer OR (sequencer = :sequencer AND #row <= :row))) "
    "OR ((attribute_not_exists(#object) OR #object <> :object) AND "
    "(sent_timestamp < :sent_timestamp "
    "OR (sent_timestamp = :sent_timestamp AND message_id <= :message_id)))"
)

_ORDER = ("sent_timestamp", "message_id")

_ORDER_OF_ROWS = ("object", "sequencer", "row", *_ORDER)

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

PASSING = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "ServiceUnavailable",
        "ThrottlingError",
        "ThrottlingException",
        "TransactionConflict",
        "TransactionInProgressException",
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

    @classmethod
    def of(cls, error: ClientError | BotoCoreError) -> WriteError:
        """The error of a request that failed as a whole."""
        if isinstance(error, ClientError):
            return cls(_code(error), str(error))
        return cls(type(error).__name__, str(error))


def _code(error: ClientError) -> str:
    """The error's code; of a transaction the first reason why it was cancelled."""
    reasons: Sequence[Any] = error.response.get("CancellationReasons", ())
    codes = [reason["Code"] for reason in reasons if reason.get("Code", "None") != "None"]
    if CONDITION_FAILED in codes:
        return CONDITION_FAILED
    return codes[0] if codes else error.response["Error"]["Code"]


CONDITION_FAILED = "ConditionalCheckFailed"

UNPROCESSED = WriteError("UnprocessedItems", "DynamoDB left the item for want of throughput")

NEWER_IS_THERE = WriteError("TransactionConflict", "a neighbour's item is newer than the one sent")

Unwritten = tuple[list[Item], WriteError] | None
"""Items that were not written, and the error that they were left with; None if there are none."""

Attempt = Callable[[Sequence[Item]], Unwritten]
"""Sends items once."""


@dataclass(frozen=True)
class Write:
    """An item to write; ``contested`` if another message may claim the same key.

    ``replaces`` is ``stored_at`` of the only item that it may take the place of, if it is bound to
    one.
    """

    item: Item
    contested: bool
    replaces: str = ""

    @property
    def key(self) -> str:
        """The key of the item."""
        return key_of(self.item)

    @property
    def is_of_row(self) -> bool:
        """Whether the item is of a row of a state of an S3 object."""
        return "row" in self.item

    @property
    def is_of_object(self) -> bool:
        """Whether the item is of a state of an S3 object, which a later one replaces."""
        return "sequencer" in self.item

    @property
    def may_be_first(self) -> bool:
        """Whether it needs no item that is there already, and no state of an object."""
        return not self.replaces and not self.is_of_object

    def age(self) -> tuple[str, int, bool, str, int]:
        """Orders the writes of one key as their conditions do: the greatest is the newest.

        Of two of one age the one that is bound to an item has read it before the other came.
        """
        sequencer: str = self.item.get("sequencer", {"S": ""})["S"]
        sent = int(self.item["sent_timestamp"]["N"])
        row = int(self.item.get("row", {"N": "0"})["N"])
        return sequencer, sent, not self.replaces, self.item["message_id"]["S"], row


class Table:
    """The table of processed data. One instance serves one execution environment."""

    def __init__(
        self,
        client: DynamoDBClient,
        settings: Settings,
        *,
        keep: Callable[[StageRecord], StageRecord] = lambda record: record,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._settings = settings
        self._keep = keep
        self._clock = clock
        self._sleep = sleep

    def store(
        self,
        records: Sequence[StageRecord],
        *,
        stored_at: str,
        seconds: float,
        execution_arn: str | None = None,
    ) -> list[Result]:
        """Write one item per record within about ``seconds``.

        ``execution_arn`` is of the execution that asks for it. The result of a record is ok only if
        DynamoDB accepted its item, or has a newer one of the same execution_id. Items that DynamoDB
        keeps refusing for want of throughput come back as failed, those it cannot hold as rejected.
        A record of an object of which a later state is known is superseded, and so is one that is
        bound to an item that is not there any more.
        """
        deadline = self._clock() + seconds
        writes, results = self._writes(records, stored_at, execution_arn)
        newest = [max(several, key=Write.age) for several in writes.values()]
        errors = self._write_all(newest, deadline)
        freed = _freed(writes, errors)
        errors_of_freed = self._write_all(freed.values(), deadline)

        def verdict(record: StageRecord) -> Result:
            key, bound = record["execution_id"], "replaces" in record
            known = errors if bound or key not in freed else errors_of_freed
            return _verdict(record, known.get(key))

        return [results.get(record["id"]) or verdict(record) for record in records]

    def _writes(
        self, records: Sequence[StageRecord], stored_at: str, execution_arn: str | None
    ) -> tuple[dict[str, list[Write]], dict[str, Result]]:
        """The writes for each key, and the results of what cannot be written."""
        writes: dict[str, list[Write]] = {}

        def prepare(record: StageRecord) -> Result:
            days = self._settings.time_to_live_in_days
            item = item_of(self._keep(record), stored_at, days, execution_arn=execution_arn)
            write = Write(item, record["by_producer"], record.get("replaces", ""))
            writes.setdefault(write.key, []).append(write)
            return ok(record["id"])

        results = each(records, prepare)
        return writes, {r["id"]: r for r in results if r["outcome"] != "ok"}

    def _write_all(self, writes: Collection[Write], deadline: float) -> dict[str, WriteError]:
        """Carry out ``writes``; of those that failed the error, by key.

        An item under an id of the producer's choice must not replace a newer one, so it needs a
        request of its own with a condition, and so must that of an object, and one that was
        processed again. An id made of the message's can only meet itself. Rows of an object ask the
        catalog together.
        """
        errors: dict[str, WriteError] = {}
        for rows in _rows_by_state(writes):
            errors |= self._persist(rows, deadline, self._put_newest_rows)
        writes = [write for write in writes if not write.is_of_row]
        alone = [w for w in writes if w.is_of_object or w.contested or w.replaces]
        others = [write.item for write in writes if write not in alone]
        for batch in batches(others, item_size, max_bytes=BATCH_BYTES, max_entries=BATCH_ITEMS):
            errors |= self._persist(batch, deadline, self._put_batch)

        def persist(write: Write) -> dict[str, WriteError]:
            attempt = self._put_newest_state if write.is_of_object else partial(self._put, write)
            return self._persist([write.item], deadline, attempt)

        with ThreadPoolExecutor(CONCURRENT_PUTS) as pool:
            for failures in pool.map(persist, alone):
                errors |= failures
        return errors

    def _persist(
        self, batch: Sequence[Item], deadline: float, attempt: Attempt
    ) -> dict[str, WriteError]:
        """Repeat ``attempt`` while that may help; the items not written, by key, with the error."""
        pause = FIRST_PAUSE
        while True:
            if (unwritten := attempt(batch)) is None:
                return {}
            batch, error = unwritten
            if error.type == "ValidationException" and len(batch) > 1:
                # One item that DynamoDB finds wrong fails the request; its neighbours are fine.
                return self._persist_one_by_one(batch, deadline, attempt)
            if not error.passes or self._clock() + pause > deadline:
                return {key_of(item): error for item in batch}
            self._sleep(random.uniform(0, pause))  # noqa: S311 - jitter, not a secret
            pause = min(pause * 2, LONGEST_PAUSE)

    def _persist_one_by_one(
        self, batch: Sequence[Item], deadline: float, attempt: Attempt
    ) -> dict[str, WriteError]:
        errors: dict[str, WriteError] = {}
        for item in batch:
            errors |= self._persist([item], deadline, attempt)
        return errors

    def _put_batch(self, batch: Sequence[Item]) -> Unwritten:
        name = self._settings.processed_data_table
        puts: list[WriteRequestTypeDef] = [{"PutRequest": {"Item": item}} for item in batch]
        try:
            response = self._client.batch_write_item(RequestItems={name: puts})
        except (ClientError, BotoCoreError) as error:
            return list(batch), WriteError.of(error)
        unprocessed = response.get("UnprocessedItems", {}).get(name, [])
        left: list[Item] = [request["PutRequest"]["Item"] for request in unprocessed]
        return (left, UNPROCESSED) if left else None

    def _put(self, write: Write, batch: Sequence[Item]) -> Unwritten:
        """Put one item, unless a newer one is there."""
        (item,) = batch
        condition, values = IS_NEWEST, {f":{name}": item[name] for name in _ORDER}
        if write.replaces:
            condition, values = IS_STILL_THERE, {":replaces": {"S": write.replaces}}
        try:
            self._client.put_item(
                TableName=self._settings.processed_data_table,
                Item=item,
                ConditionExpression=condition,
                ExpressionAttributeValues=values,
            )
        except (ClientError, BotoCoreError) as error:
            if not WriteError.of(error).type.startswith(CONDITION_FAILED):
                return [item], WriteError.of(error)
            if write.replaces:
                return [item], WriteError(CONDITION_FAILED, str(error))
            # A newer one is there, which is as good as written.
        return None

    def _put_newest_state(self, batch: Sequence[Item]) -> Unwritten:
        """Put an object's item, unless the table or the catalog knows of a later state."""
        (item,) = batch
        put: TransactWriteItemTypeDef = {
            "Put": {
                "TableName": self._settings.processed_data_table,
                "Item": item,
                "ConditionExpression": IS_NEWEST_STATE,
                "ExpressionAttributeValues": {":sequencer": item["sequencer"]},
            }
        }
        try:
            self._client.transact_write_items(TransactItems=[put, self._no_later_state(item)])
        except (ClientError, BotoCoreError) as error:
            return [item], WriteError.of(error)
        return None

    def _no_later_state(self, item: Item) -> TransactWriteItemTypeDef:
        """The part of a transaction that asks the catalog: it refuses all once it knows of one."""
        return {
            "ConditionCheck": {
                "TableName": self._settings.object_catalog_table,
                "Key": {"object": item["object"]},
                "ConditionExpression": NO_LATER_STATE,
                "ExpressionAttributeNames": {"#object": "object"},
                "ExpressionAttributeValues": {":sequencer": item["sequencer"]},
            }
        }

    def _put_newest_rows(self, batch: Sequence[Item]) -> Unwritten:
        """Put rows of one state of an object, unless the catalog knows of a later one.

        A row that meets a newer item is as good as written; it goes, and the others come again.
        """
        puts: list[TransactWriteItemTypeDef] = [
            {
                "Put": {
                    "TableName": self._settings.processed_data_table,
                    "Item": item,
                    "ConditionExpression": IS_NEWEST_ROW,
                    "ExpressionAttributeNames": {"#object": "object", "#row": "row"},
                    "ExpressionAttributeValues": {f":{n}": item[n] for n in _ORDER_OF_ROWS},
                }
            }
            for item in batch
        ]
        try:
            self._client.transact_write_items(TransactItems=[*puts, self._no_later_state(batch[0])])
        except (ClientError, BotoCoreError) as error:
            return _rows_left(batch, error)
        return None


def _rows_by_state(writes: Iterable[Write]) -> Iterator[list[Item]]:
    """The rows among ``writes``, in as many as one transaction takes, of one state each."""
    states: dict[tuple[str, str], list[Item]] = {}
    for write in writes:
        if write.is_of_row:
            state = write.item["object"]["S"], write.item["sequencer"]["S"]
            states.setdefault(state, []).append(write.item)
    for rows in states.values():
        yield from batches(rows, item_size, max_bytes=TRANSACTION_BYTES, max_entries=ROWS_AT_ONCE)


def _rows_left(batch: Sequence[Item], error: ClientError | BotoCoreError) -> Unwritten:
    """What is to become of a transaction's rows, which was refused as a whole."""
    reasons: Any = (
        error.response.get("CancellationReasons", ()) if isinstance(error, ClientError) else ()
    )
    refused = [reason.get("Code") == CONDITION_FAILED for reason in reasons]
    if not any(refused) or refused[-1]:
        return list(batch), WriteError.of(error)
    left = [item for item, is_newer in zip(batch, refused, strict=False) if not is_newer]
    return (left, NEWER_IS_THERE) if left else None


def key_of(item: Item) -> str:
    """The key of ``item``."""
    key: str = item["execution_id"]["S"]
    return key


def _freed(
    writes: Mapping[str, Sequence[Write]], errors: Mapping[str, WriteError]
) -> dict[str, Write]:
    """The newest writes that are bound to nothing, of keys whose newest one found its item gone."""
    gone = {key for key, error in errors.items() if error.type == CONDITION_FAILED}
    free = {key: [write for write in writes[key] if write.may_be_first] for key in gone}
    return {key: max(several, key=Write.age) for key, several in free.items() if several}


def _verdict(record: StageRecord, error: WriteError | None) -> Result:
    if error is None:
        return ok(record["id"])
    if error.type == CONDITION_FAILED:
        return superseded(record["id"])
    return failed(record["id"], error.type, error.message)


@dataclass(frozen=True)
class Settings:
    """Names of the tables, and days after which an item expires (0: never)."""

    processed_data_table: str
    object_catalog_table: str
    time_to_live_in_days: int = 0
