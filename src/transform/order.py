"""The processing type ``order``: one line of a customer's order, normalised."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

from shared import exact_json
from shared.contracts import InvalidRecord
from shared.currencies import MINOR_UNITS
from shared.timestamps import parse_timestamp

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
