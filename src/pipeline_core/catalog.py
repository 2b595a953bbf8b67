"""The catalog of objects: one entry per object, of the newest of its states that is known.

Events come at least once and in any order, so every write has a condition: a later state replaces
the whole entry, the same state only goes on (received, processing, failed, done), and what is late
or repeated changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack, cast

from pipeline_core.attribute_values import attribute_value, attributes_of
from pipeline_core.objects import ObjectId, ObjectState, Pointer

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

    from pipeline_core.contract import Reason
    from pipeline_core.files import Counts


State = Literal["received", "processing", "failed", "done", "deleted"]

RANKS: dict[State, int] = {"received": 0, "processing": 1, "failed": 2, "done": 3, "deleted": 4}

# A later state than the entry's, or the first one that is known.
IS_LATER = "attribute_not_exists(#object) OR #sequencer < :sequencer"
# The same state, further on.
IS_FURTHER = "#sequencer = :sequencer AND #state_rank < :state_rank"
# What a removal leaves behind it: nothing goes further, so the same removal may come twice.
IS_NOT_EARLIER = "attribute_not_exists(#object) OR #sequencer <= :sequencer"


class Details(TypedDict, total=False):
    """What is known of some states: times are ISO-8601, ``expires_at`` is in seconds since 1970."""

    received_at: str
    execution_id: str
    counts: Counts
    manifest: Pointer
    reason: Reason
    expires_at: int


class _Place(TypedDict, total=False):
    version_id: str
    etag: str
    size: int


class CatalogEntry(_Place, Details):
    """What the catalog holds of an object; ``object`` is bucket/key."""

    object: str
    bucket: str
    key: str
    sequencer: str
    state: State
    state_rank: int
    updated_at: str


_OF_ONE_STATE = ("counts", "manifest", "reason", "expires_at")
"""Details that a state does not take over from an earlier one of the same sequencer."""


def entry_of(
    state: ObjectState, name: State, updated_at: str, **details: Unpack[Details]
) -> CatalogEntry:
    """The entry that says of ``state`` what became of it, ``name``, and when."""
    own = {
        "object": ObjectId.of(state).path,
        "state": name,
        "state_rank": RANKS[name],
        "updated_at": updated_at,
    }
    return cast("CatalogEntry", {**state, **details, **own})


def supersedes(entry: CatalogEntry, known: CatalogEntry | None) -> bool:
    """Whether the catalog takes ``entry`` where it holds ``known``."""
    if known is None:
        return True
    age, known_age = ((each["sequencer"], each["state_rank"]) for each in (entry, known))
    return age > known_age


class Catalog:
    """The table of the catalog."""

    def __init__(self, client: DynamoDBClient, table_name: str) -> None:
        self._client = client
        self._table_name = table_name

    def get(self, object_id: ObjectId) -> CatalogEntry | None:
        """The entry of an object as it is now, or None."""
        response = self._client.get_item(
            TableName=self._table_name,
            Key={"object": {"S": object_id.path}},
            ConsistentRead=True,
        )
        return _entry(response["Item"]) if "Item" in response else None

    def entries(self, state: State | None = None) -> Iterator[CatalogEntry]:
        """All entries, or those in ``state``, in no order; reads the whole table."""
        only: dict[str, Any] = {}
        if state is not None:
            only = {
                "FilterExpression": "#state = :state",
                "ExpressionAttributeNames": _names("state"),
                "ExpressionAttributeValues": {":state": {"S": state}},
            }
        pages = self._client.get_paginator("scan").paginate(TableName=self._table_name, **only)
        for page in pages:
            yield from map(_entry, page["Items"])

    def write(self, entry: CatalogEntry) -> bool:
        """Write ``entry``; whether it was written, or else was superseded by what is there.

        Once the first attempt is refused, the entry there is of this state or of a later one, and
        stays so: nothing can come between the two.
        """
        return self._replace(entry) or self._go_on(entry)

    def tombstone(self, entry: CatalogEntry) -> TransactWriteItemTypeDef:
        """The part of a transaction that writes ``entry`` unless a later state is known."""
        return {
            "Put": {
                "TableName": self._table_name,
                "Item": _item(entry),
                "ConditionExpression": IS_NOT_EARLIER,
                "ExpressionAttributeNames": _names("object", "sequencer"),
                "ExpressionAttributeValues": _values(entry, "sequencer"),
            }
        }

    def _replace(self, entry: CatalogEntry) -> bool:
        return _accepted(
            self._client.put_item,
            TableName=self._table_name,
            Item=_item(entry),
            ConditionExpression=IS_LATER,
            ExpressionAttributeNames=_names("object", "sequencer"),
            ExpressionAttributeValues=_values(entry, "sequencer"),
        )

    def _go_on(self, entry: CatalogEntry) -> bool:
        changed = [name for name in entry if name != "object"]
        gone = [name for name in _OF_ONE_STATE if name not in entry]
        update = "SET " + ", ".join(f"#{name} = :{name}" for name in changed)
        if gone:
            update += " REMOVE " + ", ".join(f"#{name}" for name in gone)
        return _accepted(
            self._client.update_item,
            TableName=self._table_name,
            Key={"object": {"S": entry["object"]}},
            UpdateExpression=update,
            ConditionExpression=IS_FURTHER,
            ExpressionAttributeNames=_names(*changed, *gone),
            ExpressionAttributeValues=_values(entry, *changed),
        )


def _accepted(request: Any, **arguments: Any) -> bool:
    """Whether DynamoDB carried out ``request``, its condition being true."""
    from botocore.exceptions import ClientError

    try:
        request(**arguments)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
            return False
        raise
    return True


def _item(entry: CatalogEntry) -> dict[str, Any]:
    return {name: attribute_value(value) for name, value in entry.items()}


def _entry(item: Mapping[str, Any]) -> CatalogEntry:
    return cast("CatalogEntry", _plain(attributes_of(item)))


def _names(*names: str) -> dict[str, str]:
    """Placeholders for all names, because DynamoDB keeps many of them for itself."""
    return {f"#{name}": name for name in names}


def _values(entry: CatalogEntry, *names: str) -> dict[str, Any]:
    item = _item(entry)
    return {f":{name}": item[name] for name in names}


def _plain(value: Any) -> Any:
    """``value`` with numbers as int: the catalog holds no others."""
    match value:
        case Decimal():
            return int(value)
        case dict():
            return {name: _plain(nested) for name, nested in value.items()}
        case list():
            return [_plain(nested) for nested in value]
    return value
