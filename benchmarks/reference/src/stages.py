"""The three stages, for one record each: of the per-record pattern, a plain function and DBOS."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

from effects import note

REQUIRED = ("data_source", "processing_type")


def validate(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """The record with its body parsed.

    Raises:
        ValueError: a field is missing, or the body is not JSON.
    """
    document = json.loads(event["body"])
    if missing := [name for name in REQUIRED if not document.get(name)]:
        raise ValueError(f"missing: {', '.join(missing)}")
    note("validate", event["message_id"])
    return {"message_id": event["message_id"], "document": document}


def transform(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """The record with its transformed document: the source in upper case, processing metadata."""
    document = event["document"]
    processed_at = datetime.now(UTC).isoformat()
    transformed = document | {
        "data_source": document["data_source"].upper(),
        "processing_metadata": {
            "processing_type": document["processing_type"],
            "processed_at": processed_at,
        },
    }
    note("transform", event["message_id"])
    return event | {"transformed": transformed, "processed_at": processed_at}


@cache
def table() -> Any:
    """The table, once per execution environment: its client keeps connections open."""
    import boto3  # only the store function's artifact has it

    return boto3.resource("dynamodb").Table(os.environ["TABLE"])


def item_of(event: dict[str, Any]) -> dict[str, Any]:
    """The record's item."""
    # DynamoDB takes no floats.
    record = json.loads(json.dumps(event), parse_float=Decimal)
    return {
        "execution_id": record["message_id"],
        "original_data": record["document"],
        "transformed_data": record["transformed"],
        "data_source": record["transformed"]["data_source"],
        "processing_type": record["transformed"]["processing_type"],
        "processed_at": record["processed_at"],
        "stored_at": datetime.now(UTC).isoformat(),
    }


def store(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Put the record's item."""
    table().put_item(Item=item_of(event))
    note("store", event["message_id"])
    return {"execution_id": event["message_id"]}


def store_many(events: list[dict[str, Any]]) -> None:
    """Put the records' items, as many in a request as DynamoDB takes."""
    with table().batch_writer() as batch:
        for event in events:
            batch.put_item(Item=item_of(event))
    for event in events:
        note("store", event["message_id"])
