"""An own stage: adds the product to each order line, by its SKU. Needs nothing but Python."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

PRODUCTS: Mapping[str, Mapping[str, str]] = json.loads(
    os.environ.get("PRODUCTS")
    or '{"SKU-1": {"name": "Chair", "category": "furniture"},'
    ' "SKU-2": {"name": "Lamp", "category": "lighting"}}'
)


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """One result for each record, whatever is in it."""
    return {
        "results": [_guarded(record) for record in event["records"]],
        "completed_at": datetime.now(UTC).isoformat(),
    }


def _guarded(record: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"id": record["id"], **_enriched(record)}
    except Exception as error:  # whatever a record brings to light is its own failure
        reason = {"type": type(error).__name__, "message": "see the log of the enrich function"}
        print(f"record {record['id']} failed: {type(error).__name__}")
        return {"id": record["id"], "outcome": "failed", "reason": reason}


def _enriched(record: Mapping[str, Any]) -> dict[str, Any]:
    document = json.loads(record["transformed"])
    if document["processing_type"] != "order" or "transformed_pointer" in record:
        return {"outcome": "ok"}  # without data: it stays as it is
    product = PRODUCTS.get(document.get("sku", ""))
    if product is None:
        problem = f"sku {str(document.get('sku'))[:100]!r} is no product of ours"
        reason = {"type": "ValidationError", "message": problem, "errors": [problem]}
        return {"outcome": "rejected", "reason": reason}
    if "product" in document:
        return {"outcome": "ok"}
    # The text is added to, not written anew: so every number keeps all of its digits.
    member = f'"product":{json.dumps(product)}'
    return {"outcome": "ok", "data": f"{record['transformed'].rstrip()[:-1]},{member}}}"}
