"""Processing types: what each makes of a valid document."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Context, Decimal
from typing import Any

from pipeline_core import exact_json
from pipeline_core.contract import InvalidRecord
from pipeline_core.values import MINOR_UNITS, parse_timestamp

# The processing type ``order``: one line of a customer's order, normalised.

MAX_DECIMALS = 10

EXACT = Context(prec=60)
"""Enough digits for the largest quantity times the longest price, so nothing is ever rounded."""


def transform_order(document: dict[str, Any]) -> dict[str, Any]:
    """Codes in upper case, the time in UTC, money as exact decimals, and the line's total."""
    currency = document["currency"].upper()
    unit_price = money(document["unit_price"], currency)
    return document | {
        "order_id": document["order_id"].upper(),
        "sku": document["sku"].upper(),
        "currency": currency,
        "unit_price": unit_price,
        "total": money(EXACT.multiply(unit_price, document["quantity"]), currency),
        "ordered_at": parse_timestamp(document["ordered_at"]).isoformat().replace("+00:00", "Z"),
    }


def money(amount: Decimal | int | str, currency: str) -> Decimal:
    """The exact ``amount``, with at least the digits of the currency's minor unit: 12.50 USD.

    Raises:
        InvalidRecord: the amount has more decimals than any price has.
    """
    exact = exact_json.plain(Decimal(amount))
    exponent = exact.as_tuple().exponent
    digits = -exponent if isinstance(exponent, int) else 0
    if digits > MAX_DECIMALS:
        raise InvalidRecord(
            "ValidationError", [f"unit_price must have at most {MAX_DECIMALS} decimals"]
        )
    return exact.quantize(Decimal(1).scaleb(-max(digits, MINOR_UNITS[currency])), context=EXACT)


# The processing types: one function each, from a valid document to what is stored.
#
# A new type is one JSON Schema in ``validate/schemas`` and one function here, in
# `PROCESSING_TYPES`. The function gets the document with exact numbers (int and Decimal, never
# float) and returns a new one; it may raise `InvalidRecord` with every reason why the record
# cannot be transformed.

Document = dict[str, Any]


def transform_standard(document: Document) -> Document:
    """Any fields, kept as they are."""
    return document


PROCESSING_TYPES: Mapping[str, Callable[[Document], Document]] = {
    "order": transform_order,
    "standard": transform_standard,
}


def processing_metadata(document: Document, processed_at: str) -> Document:
    """What is added to the transformed ``document`` of a record that becomes an item."""
    return {"processing_type": document["processing_type"], "processed_at": processed_at}


def transform_document(document: Document) -> Document:
    """The transformed ``document``, with its source in upper case; the same for the same input.

    Raises:
        InvalidRecord: its processing type has no function here, or the function refused it.
    """
    processing_type = document["processing_type"]
    if processing_type not in PROCESSING_TYPES:
        known = ", ".join(PROCESSING_TYPES)
        raise InvalidRecord(
            "UnknownProcessingType",
            [f"processing_type {processing_type!r} cannot be transformed; known are: {known}"],
        )
    transformed = PROCESSING_TYPES[processing_type](document)
    return transformed | {"data_source": document["data_source"].upper()}
