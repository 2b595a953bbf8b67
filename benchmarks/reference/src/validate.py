"""The validate stage, for one record."""

from __future__ import annotations

import json
from typing import Any

REQUIRED = ("data_source", "processing_type")


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:  # noqa: ARG001 - Lambda's signature
    """The record with its body parsed.

    Raises:
        ValueError: a field is missing, or the body is not JSON.
    """
    document = json.loads(event["body"])
    if missing := [name for name in REQUIRED if not document.get(name)]:
        raise ValueError(f"missing: {', '.join(missing)}")
    print("validated", event["message_id"])
    return {"message_id": event["message_id"], "document": document}
