"""The store stage, for one record."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import boto3


@cache
def table() -> Any:
    """The table, once per execution environment: its client keeps connections open."""
    return boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """Put the record's item."""
    # DynamoDB takes no floats.
    record = json.loads(json.dumps(event), parse_float=Decimal)
    item = {
        "execution_id": record["message_id"],
        "original_data": record["document"],
        "transformed_data": record["transformed"],
        "data_source": record["transformed"]["data_source"],
        "processing_type": record["transformed"]["processing_type"],
        "processed_at": record["processed_at"],
        "stored_at": datetime.now(UTC).isoformat(),
    }
    table().put_item(Item=item)
    print("stored", event["message_id"])
    return {"execution_id": item["execution_id"]}
