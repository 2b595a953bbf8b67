"""The transform stage, for one record."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
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
    print("transformed", event["message_id"])
    return event | {"transformed": transformed, "processed_at": processed_at}
