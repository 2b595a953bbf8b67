"""Small stand-ins for S3 and DynamoDB, quick enough for many thousands of interleavings."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError

from cleanup import cleaner
from pipeline_core import catalog
from pipeline_core.objects import normalized_sequencer
from store import table

Item = dict[str, Any]


def client_error(code: str, operation: str, **response: Any) -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": code}, **response}
    return ClientError(answer, operation)


def is_absent(item: Item | None, _: Mapping[str, Any]) -> bool:
    return item is None


def is_earlier(item: Item | None, values: Mapping[str, Any]) -> bool:
    return _sequencer(item) is not None and bool(_sequencer(item) < values[":sequencer"]["S"])


def is_same(item: Item | None, values: Mapping[str, Any]) -> bool:
    return bool(_sequencer(item) == values[":sequencer"]["S"])


def _sequencer(item: Item | None) -> Any:
    return (item or {}).get("sequencer", {}).get("S")


def is_further(item: Item | None, values: Mapping[str, Any]) -> bool:
    return (
        item is not None
        and is_same(item, values)
        and int(item["state_rank"]["N"]) < int(values[":state_rank"]["N"])
    )


def is_of(item: Item | None, values: Mapping[str, Any]) -> bool:
    return bool((item or {}).get("object") == values[":object"])


def is_newest_row(item: Item, values: Mapping[str, Any]) -> bool:
    if is_of(item, values):
        row = int(item["row"]["N"]) <= int(values[":row"]["N"])
        return is_earlier(item, values) or (is_same(item, values) and row)
    age = (int(item["sent_timestamp"]["N"]), item["message_id"]["S"])
    return age <= (int(values[":sent_timestamp"]["N"]), values[":message_id"]["S"])


CONDITIONS: dict[str, Callable[[Item | None, Mapping[str, Any]], bool]] = {
    catalog.IS_LATER: lambda i, v: is_absent(i, v) or is_earlier(i, v),
    catalog.IS_FURTHER: is_further,
    catalog.IS_NOT_EARLIER: lambda i, v: is_absent(i, v) or is_earlier(i, v) or is_same(i, v),
    cleaner.IS_EARLIER: lambda i, v: is_absent(i, v) or is_earlier(i, v),
    table.IS_NEWEST_STATE: lambda i, v: is_absent(i, v) or is_earlier(i, v) or is_same(i, v),
    table.NO_LATER_STATE: lambda i, v: is_absent(i, v) or is_earlier(i, v) or is_same(i, v),
    table.IS_NEWEST_ROW: lambda i, v: is_absent(i, v) or is_newest_row(i or {}, v),
    cleaner.IS_EARLIER_ROW: lambda i, v: is_of(i, v) and is_earlier(i, v),
}
"""What the functions' conditions mean. That DynamoDB understands them so is shown with moto."""

KEYS = {"catalog": "object", "items": "execution_id"}


class FakeDynamoDB:
    """The tables ``catalog`` and ``items``."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, Item]] = {"catalog": {}, "items": {}}
        self.before_transaction: Callable[[], None] = lambda: None

    def get_item(self, *, TableName: str, Key: Item, **_: Any) -> Item:
        item = self.tables[TableName].get(_key(TableName, Key))
        return {"Item": dict(item)} if item else {}

    def batch_get_item(self, *, RequestItems: Mapping[str, Any]) -> Item:
        ((name, wanted),) = RequestItems.items()
        keys = [_key(name, key) for key in wanted["Keys"]]
        found = [dict(self.tables[name][key]) for key in keys if key in self.tables[name]]
        return {"Responses": {name: found}}

    def put_item(self, *, Item: Item, **request: Any) -> None:
        self._check(request, Item)
        self.tables[request["TableName"]][_key(request["TableName"], Item)] = Item

    def update_item(self, *, Key: Item, UpdateExpression: str, **request: Any) -> None:
        self._check(request, Key)
        item = self.tables[request["TableName"]][_key(request["TableName"], Key)]
        _, _, removed = UpdateExpression.partition(" REMOVE ")
        for name in removed.split(", "):
            item.pop(name.removeprefix("#"), None)
        values = request["ExpressionAttributeValues"].items()
        item |= {name.removeprefix(":"): value for name, value in values}

    def transact_write_items(self, *, TransactItems: Sequence[Mapping[str, Any]]) -> None:
        self.before_transaction()
        parts = [next(iter(part.items())) for part in TransactItems]
        failed = [not self._holds(p, p.get("Item") or p["Key"]) for _, p in parts]
        if any(failed):
            codes = ["ConditionalCheckFailed" if each else "None" for each in failed]
            raise client_error(
                "TransactionCanceledException",
                "TransactWriteItems",
                CancellationReasons=[{"Code": code} for code in codes],
            )
        for kind, part in parts:
            rows = self.tables[part["TableName"]]
            if kind == "Put":
                rows[_key(part["TableName"], part["Item"])] = part["Item"]
            elif kind == "Delete":
                rows.pop(_key(part["TableName"], part["Key"]), None)

    def _check(self, request: Mapping[str, Any], key: Item) -> None:
        if not self._holds(request, key):
            raise client_error("ConditionalCheckFailedException", "PutItem")

    def _holds(self, request: Mapping[str, Any], key: Item) -> bool:
        item = self.tables[request["TableName"]].get(_key(request["TableName"], key))
        condition = CONDITIONS[request["ConditionExpression"]]
        return condition(item, request["ExpressionAttributeValues"])


def _key(table_name: str, item: Item) -> str:
    key: str = item[KEYS[table_name]]["S"]
    return key


class FakeVersions:
    """The versions of one object in a bucket with versioning: S3's rules, and its sequencers."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, bool]] = []
        self._operations = 0

    @property
    def current(self) -> str | None:
        """The current version, or None."""
        if not self.stack or self.stack[-1][1]:
            return None
        return self.stack[-1][0]

    def __contains__(self, version_id: str) -> bool:
        return (version_id, False) in self.stack

    def push(self, *, marker: bool) -> tuple[str, str]:
        """Add a version, or a delete marker; its id and the event's sequencer."""
        sequencer = self._next()
        version_id = f"v{self._operations}"
        self.stack.append((version_id, marker))
        return version_id, sequencer

    def remove(self, index: int) -> tuple[str, str]:
        """Remove a version or a delete marker for good; its id and the event's sequencer."""
        version_id, _ = self.stack.pop(index)
        return version_id, self._next()

    def _next(self) -> str:
        self._operations += 1
        return normalized_sequencer(f"{self._operations:016X}")


class FakeS3:
    """The object in the input bucket, and any in the output bucket, with what they hold."""

    def __init__(self, versions: FakeVersions) -> None:
        self.versions = versions
        self.output: dict[str, str] = {}
        self.versioned = True

    def head_object(self, **_: Any) -> dict[str, Any]:
        if self.versions.current is None:
            raise client_error("404", "HeadObject")
        head = {"ETag": '"e"', "ContentLength": 1}
        return head | {"VersionId": self.versions.current} if self.versioned else head

    def get_paginator(self, _: str) -> FakeS3:
        return self

    def paginate(self, *, Prefix: str, **_: Any) -> Iterator[dict[str, Any]]:
        keys = sorted(key for key in self.output if key.startswith(Prefix))
        yield {"Contents": [{"Key": key} for key in keys]}

    def get_object(self, *, Key: str, **_: Any) -> dict[str, Any]:
        if Key not in self.output:
            raise client_error("NoSuchKey", "GetObject")
        return {"Body": io.BytesIO(self.output[Key].encode())}

    def delete_objects(self, *, Delete: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        for found in Delete["Objects"]:
            self.output.pop(found["Key"], None)
        return {}
