"""DynamoDB's attribute values, in its wire form: from JSON values, and back."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipeline_core import exact_json
from pipeline_core.contract import shortened

AttributeValue = Mapping[str, Any]
Item = Mapping[str, AttributeValue]

MAX_NAME_BYTES = 64 * 1024 - 1
MAX_NUMBER_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html


class NotHeld(ValueError):
    """DynamoDB has no such value; says which, the rule and the remedy."""


def attribute_value(value: Any) -> AttributeValue:
    """A JSON value in DynamoDB's wire form.

    boto3's serializer refuses numbers that DynamoDB holds, such as those of 38 digits below 1E-128.

    Raises:
        NotHeld: a number or a key is none of DynamoDB's.
    """
    match value:
        case str():
            return {"S": value}
        case bool():
            return {"BOOL": value}
        case None:
            return {"NULL": True}
        case int() | Decimal():
            return {"N": number_text(value)}
        case dict():
            return {"M": {_key(key): attribute_value(nested) for key, nested in value.items()}}
        case list():
            return {"L": [attribute_value(nested) for nested in value]}
    raise TypeError(f"JSON has no {type(value).__name__}")


def _key(key: str) -> str:
    if not 0 < (size := len(key.encode())) <= MAX_NAME_BYTES:
        raise NotHeld(
            f"a key of {size} bytes; DynamoDB takes 1 to {MAX_NAME_BYTES}. "
            "Name it otherwise, or send the object as text"
        )
    return key


def number_text(number: Decimal | int) -> str:
    """``number`` as DynamoDB takes it, the same for all ways of writing it.

    Zeros at the end are no digits, and zero is 0 whatever its sign and exponent.

    Raises:
        NotHeld: it has more than 38 digits, or lies beyond 1E-130 to 9.9...E+125.
    """
    if isinstance(number, int) and -_ROUND < number < _ROUND:
        return str(number)
    exact = exact_json.plain(number)
    magnitude = exact.adjusted()
    digits = len(exact.as_tuple().digits)
    if digits > MAX_NUMBER_DIGITS or (exact and not MIN_EXPONENT <= magnitude <= MAX_EXPONENT):
        raise NotHeld(
            f"a number that DynamoDB cannot hold exactly: {shortened(str(number), 60)}. It takes "
            f"{MAX_NUMBER_DIGITS} digits, from 1E-130 to 9.9E+125; send it as text"
        )
    return f"{exact:f}" if 0 <= magnitude < MAX_NUMBER_DIGITS else str(exact)


_ROUND = 10**MAX_NUMBER_DIGITS


def attributes_of(item: Item) -> dict[str, Any]:
    """The attributes of an item as the low-level API gives it; numbers are `Decimal`.

    boto3's deserializer raises at numbers that DynamoDB holds: at 1E+40, which comes as 41 digits,
    and at 38 digits below 1E-128.
    """
    return {name: _plain(value) for name, value in item.items()}


def _plain(value: AttributeValue) -> Any:
    """An attribute's value without the name of its type."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return Decimal(content)
        case "NULL":
            return None
        case "M":
            return attributes_of(content)
        case "L":
            return [_plain(element) for element in content]
        case "NS":
            return {Decimal(number) for number in content}
        case "SS" | "BS":
            return set(content)
        case _:  # text, a boolean and bytes are what they are
            return content
