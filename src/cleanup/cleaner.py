"""Takes away what was made of a removed object: its items, its results, its catalog entry.

Where rows became items, the results of each range name them (`csv_file.items`). The items go first,
then the results that name them; so whatever ends this, the next attempt finds what is left. No item
can come after: the catalog knows of a later state before the first one goes, and the store stage
writes rows only in a transaction that asks the catalog.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from pipeline_core import messages
from pipeline_core.catalog import Catalog, CatalogEntry, entry_of, supersedes
from pipeline_core.events import ProcessingEvent
from pipeline_core.objects import (
    SEQUENCER_DIGITS,
    ObjectId,
    ObjectState,
    Pointer,
    S3Event,
    created_event,
    following,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient


# An item without a sequencer is a producer's, who chose the same execution_id.
IS_EARLIER = "attribute_not_exists(execution_id) OR sequencer < :sequencer"

# The row's item, of the object and of an earlier state: a later one may have taken its place, and
# under an id of the row's own somebody else's record.
IS_EARLIER_ROW = "#object = :object AND sequencer < :sequencer"

CONDITION_FAILED = "ConditionalCheckFailed"

CONFLICT = "TransactionConflict"

LONGEST_PAUSE = 1.0
"""Seconds until items are asked for again that somebody else was at."""

ROWS_AT_ONCE = 100
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
# https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html


class TimeUsedUp(Exception):
    """There is more to remove than there is time for."""


@dataclass(frozen=True)
class Items:
    """The table of processed data; ``environment`` is the prefix of its objects' keys."""

    client: DynamoDBClient
    table_name: str
    environment: str

    def sequencer(self, object_id: ObjectId) -> str | None:
        """The sequencer of the state that the object's item is of, if it has one."""
        response = self.client.get_item(
            TableName=self.table_name,
            Key={"execution_id": {"S": object_id.execution_id(self.environment)}},
            ProjectionExpression="sequencer",
            ConsistentRead=True,
        )
        return response.get("Item", {}).get("sequencer", {}).get("S")

    def bury(self, catalog: Catalog, tombstone: CatalogEntry) -> bool:
        """Enter ``tombstone`` and delete the earlier item, both or neither.

        False if the catalog knows of a later state: then nothing is changed, and the events of
        that state take care of what there is. An item that is not earlier stays, of a later state
        of which the catalog has not heard, or a producer's; the tombstone is entered all the same.
        Repeating it changes nothing.

        Raises:
            ClientError: the transaction was cancelled for another reason; it may be repeated.
        """
        entry, deletion = catalog.tombstone(tombstone), self._deletion(tombstone)
        match self._failed_conditions(entry, deletion):
            case [False, True]:
                return self._failed_conditions(entry) == [False]
            case [catalog_is_later, _]:
                return not catalog_is_later
        raise AssertionError("DynamoDB answers for each part of a transaction")

    def remove_rows(self, keys: Sequence[str], object_id: ObjectId, sequencer: str) -> bool:
        """Remove items of rows of the object's states before ``sequencer``, at most `ROWS_AT_ONCE`.

        All or none; false if there was none, because one of them is another one meanwhile, or is
        just being written or removed by somebody else.
        """
        deletions = (self._row_deletion(key, object_id, sequencer) for key in keys)
        try:
            return not any(self._failed_conditions(*deletions))
        except ClientError as error:
            reasons = error.response.get("CancellationReasons", [])
            if any(reason.get("Code") == CONFLICT for reason in reasons):
                return False
            raise

    def stale(self, keys: Sequence[str], object_id: ObjectId, sequencer: str) -> list[str]:
        """Those of ``keys`` whose items are of rows of the object's states before ``sequencer``.

        There are at most `ROWS_AT_ONCE`. To ask costs less than a condition that does not hold.
        """
        wanted: Any = {
            self.table_name: {
                "Keys": [{"execution_id": {"S": key}} for key in dict.fromkeys(keys)],
                "ProjectionExpression": "execution_id, #object, sequencer",
                "ExpressionAttributeNames": {"#object": "object"},
                "ConsistentRead": True,
            }
        }
        stale: list[str] = []
        while wanted:
            response = self.client.batch_get_item(RequestItems=wanted)
            for item in response["Responses"].get(self.table_name, []):
                is_ours = item.get("object", {}).get("S") == object_id.path
                if is_ours and item["sequencer"]["S"] < sequencer:
                    stale.append(item["execution_id"]["S"])
            wanted = response.get("UnprocessedKeys")
        return stale

    def _row_deletion(
        self, key: str, object_id: ObjectId, sequencer: str
    ) -> TransactWriteItemTypeDef:
        return {
            "Delete": {
                "TableName": self.table_name,
                "Key": {"execution_id": {"S": key}},
                "ConditionExpression": IS_EARLIER_ROW,
                "ExpressionAttributeNames": {"#object": "object"},
                "ExpressionAttributeValues": {
                    ":object": {"S": object_id.path},
                    ":sequencer": {"S": sequencer},
                },
            }
        }

    def _failed_conditions(self, *parts: TransactWriteItemTypeDef) -> list[bool]:
        """Of each part, whether its condition was false; if none was, all were carried out."""
        try:
            self.client.transact_write_items(TransactItems=parts)
        except ClientError as error:
            reasons = error.response.get("CancellationReasons", [])
            failed = [reason.get("Code") == CONDITION_FAILED for reason in reasons]
            if any(failed):
                return failed
            raise
        return [False] * len(parts)

    def _deletion(self, tombstone: CatalogEntry) -> TransactWriteItemTypeDef:
        object_id = ObjectId(tombstone["bucket"], tombstone["key"])
        return {
            "Delete": {
                "TableName": self.table_name,
                "Key": {"execution_id": {"S": object_id.execution_id(self.environment)}},
                "ConditionExpression": IS_EARLIER,
                "ExpressionAttributeValues": {":sequencer": {"S": tombstone["sequencer"]}},
            }
        }


# The results of objects in the output bucket: one folder per state, named by its sequencer.

MAX_KEYS = 1000
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html

_FOLDER = re.compile(rf"[0-9A-F]{{{SEQUENCER_DIGITS}}}")

ITEMS = "items/"
"""In such a folder, where the results lie that name items."""


class NotDeleted(Exception):
    """S3 did not delete some results; another attempt deletes what is left."""


@dataclass(frozen=True)
class Results:
    """The output bucket."""

    client: S3Client
    bucket: str

    def remove_before(
        self, object_id: ObjectId, sequencer: str, remove_items: Callable[[Iterator[str]], None]
    ) -> int:
        """Remove the results of the object's states earlier than ``sequencer``; how many objects.

        Of each that names items ``remove_items`` first removes these, given their keys.

        Raises:
            NotDeleted: names how many are left, and one of them.
        """
        keys = self._before(object_id, sequencer)
        removed = 0
        while batch := list(islice(keys, MAX_KEYS)):
            for key in (key for key in batch if self._names_items(key, object_id)):
                self._remove_items(key, remove_items)
            if others := [key for key in batch if not self._names_items(key, object_id)]:
                self._delete(others)
            removed += len(batch)
        return removed

    def _names_items(self, key: str, object_id: ObjectId) -> bool:
        _, _, name = key.removeprefix(object_id.results_prefix).partition("/")
        return name.startswith(ITEMS)

    def _remove_items(self, key: str, remove_items: Callable[[Iterator[str]], None]) -> None:
        """Have the items removed that the results with this key name, and then these."""
        try:
            content = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return  # another attempt was quicker
            raise
        remove_items(json.loads(row)["execution_id"] for row in content.splitlines())
        self._delete([key])

    def _before(self, object_id: ObjectId, sequencer: str) -> Iterator[str]:
        prefix = object_id.results_prefix
        for key in self._keys(prefix):
            folder, slash, _ = key.removeprefix(prefix).partition("/")
            if folder >= sequencer:
                return  # keys are listed in order: the results that stay are never listed through
            if slash and _FOLDER.fullmatch(folder):
                yield key

    def _keys(self, prefix: str) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        for page in pages:
            for found in page.get("Contents", []):
                yield found["Key"]

    def _delete(self, keys: Sequence[str]) -> None:
        response = self.client.delete_objects(
            Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        if errors := response.get("Errors"):
            first = errors[0]
            raise NotDeleted(
                f"{len(errors)} results in {self.bucket} are left, such as {first.get('Key')}: "
                f"{first.get('Code')} {first.get('Message')}"
            )


NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})
"""What S3 answers for an object that is gone, to a role that may list the bucket; else 403."""


@dataclass(frozen=True)
class Objects:
    """The objects that came in."""

    client: S3Client

    def current(self, object_id: ObjectId) -> Pointer | None:
        """The object's current version, or None if there is none, as below a delete marker.

        Only where the bucket is versioned does the pointer have a ``version_id``.
        """
        try:
            head = self.client.head_object(Bucket=object_id.bucket, Key=object_id.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return None
            raise
        current: Pointer = {
            "bucket": object_id.bucket,
            "key": object_id.key,
            "etag": head["ETag"].strip('"'),
            "size": head["ContentLength"],
        }
        if head.get("VersionId", "null") != "null":
            current["version_id"] = head["VersionId"]
        return current


@dataclass(frozen=True)
class Queue:
    """The pipeline's internal queue, in which what is known of an object is believed."""

    client: SQSClient
    url: str

    def send(self, state: ObjectState, now: str) -> None:
        """Have ``state`` processed, as if S3 told of it."""
        self.client.send_message(
            QueueUrl=self.url,
            MessageBody=json.dumps(created_event(state, now)),
            MessageAttributes=messages.attributes({"door": "objects"}),
        )


logger = Logger(child=True)

TOMBSTONE_DAYS = 30
"""How long a removal is remembered: longer than any event of an earlier state can be on its way."""

FINAL = frozenset({"done", "deleted"})


@dataclass(frozen=True)
class Known:
    """The latest state of an object that is known to have come, and its version, if it has one."""

    sequencer: str
    version_id: str | None


@dataclass(frozen=True)
class Cleaner:
    """Brings catalog, items and results in line with the objects, whatever order events come in."""

    objects: Objects
    catalog: Catalog
    items: Items
    results: Results
    queue: Queue
    has_time: Callable[[], bool] = lambda: True

    def removed(self, event: S3Event, now: str) -> None:
        """An object or a version of it was removed: if the object is gone, so is all of it.

        Raises:
            NotDeleted, ClientError, TimeUsedUp: not all is gone; the event has to come again.
        """
        object_id = ObjectId.of(event.state)
        if self.objects.current(object_id) is None and self._bury(event, now):
            self._remove_before(object_id, event.state["sequencer"])
        # Whoever brings it back before the tombstone is written finds no need to: so look again.
        self._send_unless_known(object_id, event.state["sequencer"], now)

    def finished(self, event: ProcessingEvent, now: str) -> None:
        """A state was processed: what was made of earlier ones goes, unless it is still in use.

        Raises:
            NotDeleted, ClientError, TimeUsedUp: not all is gone; the event has to come again.
        """
        state, done = event["object"], event["event"] == "done"
        object_id = ObjectId.of(state)
        if done:
            self._make_known(event)
        entry = self.catalog.get(object_id)
        stored = self.items.sequencer(object_id)
        bound = _in_use_from(entry, stored, state["sequencer"] if done else "")
        self._remove_before(object_id, bound)
        if "version_id" in state:
            processed = Known(state["sequencer"], state["version_id"])
            self._send_unless_known(object_id, state["sequencer"], now, processed)

    def _remove_before(self, object_id: ObjectId, sequencer: str) -> None:
        """Remove results, and rows' items, of states before ``sequencer``.

        The catalog knows of a later state.
        """

        def remove_items(keys: Iterator[str]) -> None:
            self._check_time(object_id)
            while block := list(islice(keys, ROWS_AT_ONCE)):
                self._remove_rows(block, object_id, sequencer)

        if removed := self.results.remove_before(object_id, sequencer, remove_items):
            logger.info("results removed", extra={"object": object_id.path, "count": removed})

    def _remove_rows(self, keys: Sequence[str], object_id: ObjectId, sequencer: str) -> None:
        """Remove those of the items that are to go.

        There is no look at the time where none is left: so each attempt, which passes over what has
        gone, comes further than the one before.
        """
        while stale := self.items.stale(keys, object_id, sequencer):
            self._check_time(object_id)
            if self.items.remove_rows(stale, object_id, sequencer):
                return
            time.sleep(random.uniform(0, LONGEST_PAUSE))  # noqa: S311 - jitter, not a secret

    def _check_time(self, object_id: ObjectId) -> None:
        if not self.has_time():
            raise TimeUsedUp(f"there is more to remove of {object_id.path}")

    def _bury(self, event: S3Event, now: str) -> bool:
        """Enter a tombstone and delete the item, unless a later state is known."""
        expiry = datetime.fromisoformat(now) + timedelta(days=TOMBSTONE_DAYS)
        tombstone = entry_of(
            event.state, "deleted", event.time or now, expires_at=int(expiry.timestamp())
        )
        return self.items.bury(self.catalog, tombstone)

    def _make_known(self, event: ProcessingEvent) -> None:
        """A removal that comes next must not find the catalog still with an earlier state.

        Whoever tells the operators enters that it is done; it may not have come to that.
        """
        state = event["object"]
        entry = entry_of(state, "processing", event["at"], execution_id=event["execution_id"])
        if supersedes(entry, self.catalog.get(ObjectId.of(state))):
            self.catalog.write(entry)

    def _send_unless_known(
        self, object_id: ObjectId, after: str, now: str, processed: Known | None = None
    ) -> None:
        """Have the object's current version processed if it is not the latest that is known.

        So it is when a delete marker or a later version was removed, or when events came late.
        Where objects have no versions, what is there was created, of which its own event tells.
        """
        current = self.objects.current(object_id)
        if current is None or "version_id" not in current:
            return
        latest = _latest(self.catalog.get(object_id), processed)
        if latest and latest.version_id == current["version_id"]:
            return
        sequencer = following(max(after, latest.sequencer if latest else ""))
        state: ObjectState = {**current, "sequencer": sequencer}
        self.queue.send(state, now)
        logger.info("sent to be processed", extra={"object": state})
        self.catalog.write(entry_of(state, "received", now, received_at=now))


def _latest(entry: CatalogEntry | None, processed: Known | None) -> Known | None:
    candidates = [] if processed is None else [processed]
    if entry is not None:
        version_id = None if entry["state"] == "deleted" else entry.get("version_id")
        candidates.append(Known(entry["sequencer"], version_id))
    return max(candidates, key=lambda known: known.sequencer, default=None)


def _in_use_from(entry: CatalogEntry | None, stored: str | None, done: str) -> str:
    """The sequencer before which no results are in use any more.

    Those of an earlier state stay until a later one is done, or the object removed: until then the
    item of the earlier one points to them. Where the object has no item, none of them is in use: a
    removal was cut short, or no state came so far. Rows of a state before a later one that only the
    table knows could still be written, so nothing goes of which the catalog knows no later state.
    """
    if entry is None:
        return ""
    if stored is None:
        return entry["sequencer"]
    final = entry["sequencer"] if entry["state"] in FINAL else ""
    return min(max(final, stored, done), entry["sequencer"])
