"""The object catalog: what the pipeline knows of each S3 object it was told of."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipelinectl import items
from pipelinectl.errors import NotFoundError
from pipelinectl.objects import ObjectPath
from pipelinectl.rendering.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient

KEY = "object"
DONE = "done"
FAILED = "failed"
STATES = ("received", "processing", DONE, FAILED, "deleted")


@dataclass(frozen=True)
class Entry:
    """One object in its newest known state; `attributes` is all that the catalog has of it."""

    attributes: Mapping[str, Any]

    @property
    def path(self) -> ObjectPath:
        """The object."""
        return ObjectPath(self.text("bucket"), self.text("key"))

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return self.text("state")

    @property
    def settled(self) -> bool:
        """Whether the pipeline is through with this state of the object."""
        return self.state in (DONE, FAILED)

    @property
    def size(self) -> int | None:
        """Bytes."""
        found = self.attributes.get("size")
        return int(found) if isinstance(found, Decimal) else None

    @property
    def counts(self) -> Mapping[str, int]:
        """Of a file that was processed: `rows`, `results` and `rejects`."""
        found = self.attributes.get("counts")
        if not isinstance(found, dict):
            return {}
        return {name: int(n) for name, n in found.items() if isinstance(n, Decimal)}

    @property
    def manifest(self) -> ObjectPath | None:
        """Where the list of a file's results lies, once it is done."""
        match self.attributes.get("manifest"):
            case {"bucket": str(bucket), "key": str(key)}:
                return ObjectPath(bucket, key)
        return None

    @property
    def reason(self) -> str:
        """Why it failed, in a sentence; empty where it did not."""
        match self.attributes.get("reason"):
            case {"type": str(kind), "message": str(message)}:
                return f"{kind}: {message}"
        return ""

    @property
    def errors(self) -> tuple[str, ...]:
        """Every single reason."""
        match self.attributes.get("reason"):
            case {"errors": [*errors]}:
                return tuple(map(str, errors))
        return ()

    def text(self, name: str) -> str:
        """Attribute `name` as text, empty where the entry has none."""
        return str(self.attributes.get(name, ""))

    def is_of(self, version_id: str | None, etag: str) -> bool:
        """Whether this is the state that S3 gave this version, or without versions this ETag."""
        known = self.text("version_id")
        if version_id is not None and known:
            return known == version_id
        return self.text("etag").strip('"') == etag.strip('"')


@dataclass(frozen=True)
class Catalog:
    """The entries of one catalog table."""

    dynamodb: DynamoDBClient
    table_name: str

    def get(self, path: ObjectPath) -> Entry | None:
        """The entry of an object, strongly consistent."""
        response = self.dynamodb.get_item(
            TableName=self.table_name, Key={KEY: {"S": str(path)}}, ConsistentRead=True
        )
        return Entry(items.attributes_of(response["Item"])) if "Item" in response else None

    def find(self, path: ObjectPath) -> Entry:
        """The entry of an object.

        Raises:
            NotFoundError: the catalog has none.
        """
        entry = self.get(path)
        if entry is None:
            msg = f"the catalog knows no object '{path}': see 'pipelinectl objects list'"
            raise NotFoundError(msg)
        return entry

    def newest(self, limit: int, *, state: str | None = None) -> list[Entry]:
        """The entries that changed last, newest first; reads the whole table."""
        return heapq.nlargest(limit, self._scan(state), key=lambda entry: entry.text("updated_at"))

    def _scan(self, state: str | None) -> Iterator[Entry]:
        only: dict[str, Any] = {}
        if state is not None:
            only = {
                "FilterExpression": "#state = :state",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":state": {"S": state}},
            }
        paginator = self.dynamodb.get_paginator("scan")
        for page in paginator.paginate(TableName=self.table_name, **only):
            for attributes in page["Items"]:
                yield Entry(items.attributes_of(attributes))


def document(entry: Entry) -> dict[str, Any]:
    """An entry as JSON: all of its attributes, numbers exact."""
    return dict(entry.attributes)


def summary(entry: Entry) -> str:
    """What became of an object, in a few words: its counts, or the reason."""
    if entry.state == FAILED:
        return entry.reason or "no reason was recorded"
    return ", ".join(counted(n, name.removesuffix("s")) for name, n in entry.counts.items())
