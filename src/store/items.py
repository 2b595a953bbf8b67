"""Items as they lie in the table, and the originals that they point to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from pipeline_core import exact_json
from pipeline_core.attribute_values import AttributeValue, Item, NotHeld, attribute_value
from pipeline_core.contract import InvalidRecord, StageRecord, Unavailable
from pipeline_core.files import FileRow
from pipeline_core.objects import ObjectId, Pointer, derived_folder
from pipeline_core.payloads import folder_of, put_json, reading_error, s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


# Keeps the content that an item points to: what was uploaded for the way only expires there.


def with_kept_original(record: StageRecord) -> StageRecord:
    """``record`` with the place where its original content stays; most records carry theirs along.

    Raises:
        InvalidRecord, Superseded: the payload is gone, or was overwritten.
        Unavailable: S3 did not copy it.
    """
    if "pointer" not in record:
        return record
    return record | {"original": kept(s3(), record["pointer"], os.environ)}


def kept(client: S3Client, pointer: Pointer, environment: Mapping[str, str]) -> Pointer:
    """Where the content of ``pointer`` stays: there, or for a payload its copy in the output.

    The copy is of the state that the pointer names, or not made.
    """
    if pointer["bucket"] != environment["PAYLOAD_BUCKET"]:
        return pointer
    bucket, key = environment["OUTPUT_BUCKET"], f"{derived_folder(pointer)}original"
    try:
        response = client.copy_object(
            Bucket=bucket,
            Key=key,
            CopySource=_source(pointer),
            TaggingDirective="REPLACE",  # copying tags would need permissions of its own
            **_if_unchanged(pointer),
        )
    except ClientError as error:
        raise reading_error(error.response["Error"]["Code"], str(error), pointer) from None
    except BotoCoreError as error:
        raise Unavailable(type(error).__name__, str(error)) from None
    copy: Pointer = {"bucket": bucket, "key": key}
    copy["etag"] = response["CopyObjectResult"]["ETag"].strip('"')
    if "size" in pointer:
        copy["size"] = pointer["size"]
    return copy


def _source(pointer: Pointer) -> Any:
    source = {"Bucket": pointer["bucket"], "Key": pointer["key"]}
    if pointer.get("version_id"):
        source["VersionId"] = pointer["version_id"]
    return source


def _if_unchanged(pointer: Pointer) -> Any:
    return {"CopySourceIfMatch": f'"{pointer["etag"]}"'} if pointer.get("etag") else {}


# From a record to the DynamoDB item it becomes, or to the reason why it cannot become one.
#
# DynamoDB refuses a whole request for one item that it cannot hold, so what it cannot hold is
# found here first. Documents that are only too large for an item go to S3, and the item points
# there.

MAX_ITEM_BYTES = 400 * 1024
MAX_DEPTH = 31  # of lists and maps; the value within them is DynamoDB's thirty-second level
MAX_KEY_BYTES = 2048
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html

NESTED_OVERHEAD = 3
ELEMENT_OVERHEAD = 1
NUMBER_BYTES = 21
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html

Put = Callable[[str, str], Pointer]
"""Puts a text into the output bucket, as a key; answers the pointer to it."""


def item_of(
    record: StageRecord,
    stored_at: str,
    time_to_live_in_days: int,
    put: Put = put_json,
    execution_arn: str | None = None,
) -> Item:
    """The item of ``record``, in DynamoDB's wire form, numbers exact.

    Data that lies in S3 stays there: the item has ``original_data_pointer`` or
    ``transformed_data_pointer`` instead, and so it has of data that it is too small for. An item of
    an S3 object also has the ``object`` that it is of, as bucket/key, and the ``sequencer`` of its
    state, and one of a row of it the number of the ``row``; one whose message was in a group has
    its ``message_group_id``. ``durable_execution_arn`` is of the execution that stored it, where
    that is known.

    Raises:
        InvalidRecord: of type NotStorable, if DynamoDB cannot hold it.
        Unavailable: S3 did not take what the item is too small for.
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
    if "message_group_id" in record:
        attributes["message_group_id"] = record["message_group_id"]
    if execution_arn:
        attributes["durable_execution_arn"] = execution_arn
    if time_to_live_in_days:
        attributes["expires_at"] = _expiry(stored_at, time_to_live_in_days)
    item = {name: _attribute(name, value) for name, value in attributes.items()}
    if len(record["execution_id"].encode()) > MAX_KEY_BYTES:
        raise _not_storable(
            f"its execution_id is longer than {MAX_KEY_BYTES} bytes; send it under a shorter one"
        )
    return _fitting(item, record, put)


def _original(record: StageRecord) -> dict[str, Any]:
    if "row" in record:
        return {"original_data": exact_json.loads(record["body"]), **_of_row(record["row"])}
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


def _of_row(row: FileRow) -> dict[str, Any]:
    return {
        "object": ObjectId.of(row).path,
        "sequencer": row["sequencer"],
        "row": row["number"],
    }


def _transformed(record: StageRecord, transformed: Any) -> dict[str, Any]:
    if "transformed_pointer" in record:
        return {"transformed_data_pointer": dict(record["transformed_pointer"])}
    return {"transformed_data": transformed}


def _expiry(stored_at: str, days: int) -> int:
    return int(datetime.fromisoformat(stored_at).timestamp()) + days * 24 * 60 * 60


def _attribute(name: str, value: Any) -> AttributeValue:
    """The attribute ``name``, of a ``value`` that DynamoDB holds, whatever becomes of its size.

    The nesting is asked first, and without recursion: what follows recurses.
    """
    if (deepest := depth(value)) > MAX_DEPTH:
        raise _not_storable(
            f"{name} is nested {deepest} levels deep; DynamoDB takes {MAX_DEPTH}. "
            "Nest it less, or send the inner part as text"
        )
    try:
        return attribute_value(value)
    except NotHeld as error:
        raise _not_storable(f"{name} has {error}") from None


def _levels(value: Any) -> Iterator[list[Any]]:
    """What lies one level below ``value``, two levels, and so on; the last has no elements."""
    level = [value]
    while nests := [one for one in level if isinstance(one, dict | list)]:
        level = [
            element for one in nests for element in (one.values() if isinstance(one, dict) else one)
        ]
        yield level


def depth(value: Any) -> int:
    """Levels of nesting in a JSON value: 0 for a scalar, 1 for a flat object or list."""
    return sum(1 for _ in _levels(value))


def _fitting(item: Item, record: StageRecord, put: Put) -> Item:
    """``item`` with pointers in place of documents, the larger first, until DynamoDB takes it."""
    while (size := item_size(item)) > MAX_ITEM_BYTES:
        inline = [name for name in _DOCUMENTS if name in item]
        if not inline:
            raise _not_storable(
                f"its item has {size} bytes without the documents; DynamoDB takes "
                f"{MAX_ITEM_BYTES}. Shorten its data_source"
            )
        largest = max(inline, key=lambda name: value_size(item[name]))
        file, text = _DOCUMENTS[largest]
        pointer = put(f"{folder_of(record)}{file}.json", text(record))
        rest = {name: value for name, value in item.items() if name != largest}
        item = rest | {f"{largest}_pointer": attribute_value(dict(pointer))}
    return item


_DOCUMENTS: Mapping[str, tuple[str, Callable[[StageRecord], str]]] = {
    "original_data": ("original", lambda record: record["body"]),
    "transformed_data": ("transformed", lambda record: record["transformed"]),
}
"""The attributes that may lie in S3 instead: the name of the file there, and its text."""


def _not_storable(why: str) -> InvalidRecord:
    return InvalidRecord("NotStorable", [why])


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
