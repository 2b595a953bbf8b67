"""Read the table of processed data."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pipeline_core.attribute_values import attributes_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import BatchGetItemOutputTypeDef

KEY = "execution_id"
GROUP = "message_group_id"
_MAX_KEYS = 100  # of one BatchGetItem


@dataclass(frozen=True)
class Item:
    """One processed record; `attributes` is the whole item with its numbers as `Decimal`."""

    attributes: Mapping[str, Any]

    @property
    def execution_id(self) -> str:
        """The item's key."""
        return str(self.attributes[KEY])

    def text(self, name: str) -> str:
        """Attribute `name` as text, empty where the item has none."""
        return str(self.attributes.get(name, ""))


@dataclass(frozen=True)
class Only:
    """Which items are wanted: None takes all; `since` and `until` are of when they were stored.

    `source` is the `data_source` as it is stored, `type` the `processing_type`, `group` the
    `message_group_id` that the record was sent in.
    """

    source: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    group: str | None = None

    def takes(self, item: Item) -> bool:
        """Whether `item` is wanted."""
        stored_at = item.text("stored_at")
        return (
            self.source in (None, item.text("data_source"))
            and self.type in (None, item.text("processing_type"))
            and self.group in (None, item.text(GROUP))
            and (self.since is None or timestamp(self.since) <= stored_at)
            and (self.until is None or stored_at < timestamp(self.until))
        )

    @property
    def condition(self) -> dict[str, Any]:
        """The same as DynamoDB takes it."""
        terms = {
            "data_source = :source": self.source,
            "processing_type = :type": self.type,
            "stored_at >= :since": self.since and timestamp(self.since),
            "stored_at < :until": self.until and timestamp(self.until),
            "message_group_id = :group": self.group,
        }
        given = {term: value for term, value in terms.items() if value is not None}
        if not given:
            return {}
        values = {f":{term.rpartition(':')[2]}": {"S": value} for term, value in given.items()}
        return {
            "FilterExpression": " AND ".join(given),
            "ExpressionAttributeValues": values,
        }


ALL = Only()


def timestamp(moment: datetime) -> str:
    """A time as items have it."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _projection(attributes: Sequence[str]) -> dict[str, str]:
    return {"ProjectionExpression": ", ".join(attributes)} if attributes else {}


@dataclass(frozen=True)
class Items:
    """The items of one table."""

    dynamodb: DynamoDBClient
    table_name: str

    def get(self, execution_id: str) -> Item | None:
        """The item with this key, strongly consistent."""
        response = self.dynamodb.get_item(
            TableName=self.table_name, Key={KEY: {"S": execution_id}}, ConsistentRead=True
        )
        return Item(attributes_of(response["Item"])) if "Item" in response else None

    def scan(self, only: Only = ALL, limit: int | None = None) -> Iterator[Item]:
        """The items that are wanted, in the table's own order."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table_name, **only.condition
        )
        found = (Item(attributes_of(item)) for page in pages for item in page["Items"])
        return itertools.islice(found, limit)

    def beginning(self, beginnings: Sequence[str], limit: int) -> tuple[list[str], bool]:
        """Keys of the items of which key or message id begins with one of `beginnings`.

        Looks through `limit` items or a little more; says as well whether these are all.
        """
        values = {f":b{number}": {"S": one} for number, one in enumerate(beginnings)}
        terms = [f"begins_with({name}, {v})" for v in values for name in (KEY, "message_id")]
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table_name,
            ProjectionExpression=KEY,
            FilterExpression=" OR ".join(terms),
            ExpressionAttributeValues=values,
        )
        found: list[str] = []
        seen = 0
        for page in pages:
            found += [item[KEY]["S"] for item in page["Items"]]
            seen += page["ScannedCount"]
            if seen >= limit:
                return found, "LastEvaluatedKey" not in page
        return found, True

    def count(self, only: Only = ALL) -> int:
        """How many items are wanted; reads the whole table."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table_name, Select="COUNT", **only.condition
        )
        return sum(page["Count"] for page in pages)

    def by_group(self, only: Only = ALL) -> list[tuple[str, int]]:
        """Each group and how many items it has that are wanted, the most first; "" is of none.

        Reads the whole table.
        """
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table_name, ProjectionExpression=GROUP, **only.condition
        )
        items = (attributes_of(item) for page in pages for item in page["Items"])
        return Counter(str(item.get(GROUP, "")) for item in items).most_common()

    def existing(self, execution_ids: Iterable[str]) -> set[str]:
        """Those of `execution_ids` that are in the table, strongly consistent."""
        return {item.execution_id for item in self.some(execution_ids, (KEY,))}

    def some(self, execution_ids: Iterable[str], attributes: Sequence[str] = ()) -> Iterator[Item]:
        """The items with these keys that there are, in no order, strongly consistent.

        Whole items, or only these of their `attributes`.
        """
        remaining = iter(dict.fromkeys(execution_ids))
        while keys := list(itertools.islice(remaining, _MAX_KEYS)):
            yield from self._some(keys, attributes)

    def _some(self, keys: list[str], attributes: Sequence[str]) -> Iterator[Item]:
        wanted: Any = {
            self.table_name: {
                "Keys": [{KEY: {"S": key}} for key in keys],
                "ConsistentRead": True,
                **_projection(attributes),
            }
        }
        while wanted:
            response: BatchGetItemOutputTypeDef = self.dynamodb.batch_get_item(RequestItems=wanted)
            for found in response["Responses"].get(self.table_name, []):
                yield Item(attributes_of(found))
            # DynamoDB answers at most 16 MB at once and leaves the rest for another request.
            wanted = response.get("UnprocessedKeys")

    def keys(self, only: Only) -> Iterator[str]:
        """The keys of the items that are wanted; reads the whole table."""
        pages = self.dynamodb.get_paginator("scan").paginate(
            TableName=self.table_name, ProjectionExpression=KEY, **only.condition
        )
        return (item[KEY]["S"] for page in pages for item in page["Items"])
