"""From a record to the DynamoDB item it becomes, or to the reason why it cannot become one.

DynamoDB refuses a whole request for one item that it cannot hold, so what it cannot hold is found
here first.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any, cast

from boto3.dynamodb.types import TypeSerializer

from shared import exact_json
from shared.contracts import InvalidRecord, StageRecord
from shared.objects import ObjectId

AttributeValue = Mapping[str, Any]
Item = Mapping[str, AttributeValue]

MAX_ITEM_BYTES = 400 * 1024
MAX_DEPTH = 32
MAX_KEY_BYTES = 2048
MAX_NAME_BYTES = 64 * 1024 - 1
MAX_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

NESTED_OVERHEAD = 3
ELEMENT_OVERHEAD = 1
NUMBER_BYTES = 21
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html

_serialize = TypeSerializer().serialize


def item_of(record: StageRecord, stored_at: str, time_to_live_in_days: int) -> Item:
    """The item of ``record``, in DynamoDB's wire form, numbers exact.

    Data that lies in S3 stays there: the item has ``original_data_pointer`` or
    ``transformed_data_pointer`` instead. An item of an S3 object also has the ``object`` that it is
    of, as bucket/key, and the ``sequencer`` of its state.

    Raises:
        InvalidRecord: of type NotStorable, if DynamoDB cannot hold it.
    """
    transformed = exact_json.loads(record["transformed"])
    attributes = {
        "execution_id": record["execution_id"],
        "message_id": record["message_id"],
        "sent_timestamp": record["sent_timestamp"],
        "data_source": transformed["data_source"],
        "processing_type": transformed["processing_type"],
        **_original(record),
        **_transformed(record, transformed),
        "processed_at": record["processed_at"],
        "stored_at": stored_at,
    }
    if time_to_live_in_days:
        attributes["expires_at"] = _expiry(stored_at, time_to_live_in_days)
    return _storable({name: _attribute(name, value) for name, value in attributes.items()})


def _original(record: StageRecord) -> dict[str, Any]:
    if "pointer" not in record:
        return {"original_data": exact_json.loads(record["body"])}
    pointer: Mapping[str, Any] = record["pointer"]
    original = {"original_data_pointer": dict(record.get("original", pointer))}
    if "sequencer" not in pointer:
        return original
    return original | {
        "object": ObjectId.of(record["pointer"]).path,
        "sequencer": pointer["sequencer"],
    }


def _transformed(record: StageRecord, transformed: Any) -> dict[str, Any]:
    if "transformed_pointer" in record:
        return {"transformed_data_pointer": dict(record["transformed_pointer"])}
    return {"transformed_data": transformed}


def _expiry(stored_at: str, days: int) -> int:
    return int(datetime.fromisoformat(stored_at).timestamp()) + days * 24 * 60 * 60


def _attribute(name: str, value: Any) -> AttributeValue:
    for key in _keys(value):
        if not 0 < len(key.encode()) <= MAX_NAME_BYTES:
            length = f"{len(key.encode())} bytes; DynamoDB takes 1 to {MAX_NAME_BYTES}"
            raise _not_storable(f"{name} has a key of {length}")
    for number in _numbers(value):
        if not holds(number):
            text = _shortened(number)
            raise _not_storable(f"{name} has a number that DynamoDB cannot hold exactly: {text}")
    return cast("AttributeValue", _serialize(value))


def holds(number: Decimal | int) -> bool:
    """Whether DynamoDB holds ``number`` exactly: 38 digits, from 1E-130 to 9.9...E+125."""
    exact = Decimal(number)
    return len(exact.as_tuple().digits) <= MAX_DIGITS and (
        not exact or MIN_EXPONENT <= exact.adjusted() <= MAX_EXPONENT
    )


def _storable(item: Item) -> Item:
    if len(item["execution_id"]["S"].encode()) > MAX_KEY_BYTES:
        raise _not_storable(f"its execution_id is longer than {MAX_KEY_BYTES} bytes")
    if (deepest := max(map(depth, item.values()))) > MAX_DEPTH:
        raise _not_storable(f"it is nested {deepest} levels deep; DynamoDB takes {MAX_DEPTH}")
    if (size := item_size(item)) > MAX_ITEM_BYTES:
        raise _not_storable(
            f"its item has {size} bytes; DynamoDB takes {MAX_ITEM_BYTES}. "
            "Upload it to S3 and send a pointer"
        )
    return item


def _not_storable(why: str) -> InvalidRecord:
    return InvalidRecord("NotStorable", [why])


def _shortened(number: Decimal | int) -> str:
    text = str(number)
    return text if len(text) <= 60 else f"{text[:40]}... ({len(text)} characters)"


def _numbers(value: Any) -> list[Decimal | int]:
    match value:
        case bool():
            return []
        case int() | Decimal():
            return [value]
        case dict():
            return [number for nested in value.values() for number in _numbers(nested)]
        case list():
            return [number for nested in value for number in _numbers(nested)]
    return []


def _keys(value: Any) -> list[str]:
    match value:
        case dict():
            return [*value, *(key for nested in value.values() for key in _keys(nested))]
        case list():
            return [key for nested in value for key in _keys(nested)]
    return []


def depth(value: AttributeValue) -> int:
    """Levels of nesting below an attribute: 0 for a scalar, 1 for a flat map or list."""
    ((kind, content),) = value.items()
    if kind == "M":
        return 1 + max(map(depth, content.values()), default=0)
    if kind == "L":
        return 1 + max(map(depth, content), default=0)
    return 0


def item_size(item: Item) -> int:
    """Bytes of ``item`` as DynamoDB counts them; never less, as numbers count at their longest."""
    return sum(len(name.encode()) + value_size(value) for name, value in item.items())


def value_size(value: AttributeValue) -> int:
    """Bytes of one attribute value."""
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(content.encode())
        case "N":
            return min(NUMBER_BYTES, len(content) // 2 + 2)
        case "M":
            return NESTED_OVERHEAD + item_size(content) + ELEMENT_OVERHEAD * len(content)
        case "L":
            return NESTED_OVERHEAD + sum(
                value_size(element) + ELEMENT_OVERHEAD for element in content
            )
    return 1
