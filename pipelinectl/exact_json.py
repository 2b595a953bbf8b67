"""JSON that keeps every digit of a number.

DynamoDB numbers arrive as `Decimal` with up to 38 digits. The standard encoder would have to turn
them into floats or strings; this one writes them as the decimal literals they are.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any


class NotJsonError(ValueError):
    """A text is not JSON, or not the kind of JSON that is needed."""


def parse(text: str) -> Any:
    """Read JSON with its numbers as `Decimal`; byte order marks before it are dropped.

    Raises:
        NotJsonError: `text` is not JSON as RFC 8259 has it (NaN and Infinity are not), it is nested
            deeper than Python reads, a number's exponent is beyond all bounds, or a key stands
            twice in an object, so that one of the values would be lost.
    """
    try:
        return json.loads(
            text.lstrip("\ufeff"),
            parse_float=_read_number,
            parse_int=_read_number,
            parse_constant=_refuse_constant,
            object_pairs_hook=_unique_keys,
        )
    except RecursionError as error:
        msg = "nested too deeply"
        raise NotJsonError(msg) from error
    except ValueError as error:
        raise NotJsonError(str(error)) from error


def dumps(value: object, *, indent: int | None = 2) -> str:
    """Write `value` as JSON: over several lines, or on one with `indent=None`.

    Takes what JSON knows, and `Decimal`, `datetime` (ISO 8601), sets (sorted lists) and bytes
    (base64), which is what DynamoDB and boto3 answer with.

    Raises:
        TypeError: `value` holds something else.
    """
    return "".join(_pieces(value, indent))


def _read_number(literal: str) -> Decimal:
    try:
        return Decimal(literal)
    except ArithmeticError:
        msg = "a number has an exponent beyond all bounds"
        raise ValueError(msg) from None


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not JSON"
    raise ValueError(msg)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        msg = "a key stands twice in an object"
        raise ValueError(msg)
    return value


@dataclass(frozen=True)
class _Unwritten:
    """A value that is still to be written, so many levels deep."""

    value: object
    depth: int


def _pieces(value: object, indent: int | None) -> Iterator[str]:
    """`value` piece by piece; without recursion, as a dead letter may be nested very deeply."""
    work: list[str | _Unwritten] = [_Unwritten(value, 0)]
    while work:
        piece = work.pop()
        if isinstance(piece, str):
            yield piece
        else:
            work.extend(reversed(_written(piece.value, indent, piece.depth)))


def _written(value: object, indent: int | None, depth: int) -> list[str | _Unwritten]:
    """`value` as text, with gaps for what is in it."""
    match value:
        case Mapping():
            members = ((f"{_scalar(str(key))}: ", member) for key, member in value.items())
            return _bracketed("{", members, "}", indent, depth)
        case set() | frozenset():
            return _bracketed("[", (("", member) for member in sorted(value)), "]", indent, depth)
        case list() | tuple():
            return _bracketed("[", (("", member) for member in value), "]", indent, depth)
        case _:
            return [_scalar(value)]


def _bracketed(
    opening: str,
    members: Iterable[tuple[str, object]],
    closing: str,
    indent: int | None,
    depth: int,
) -> list[str | _Unwritten]:
    inner, outer, comma = _line_breaks(indent, depth)
    pieces: list[str | _Unwritten] = []
    separator = opening + inner
    for label, member in members:
        pieces += [separator + label, _Unwritten(member, depth + 1)]
        separator = comma + inner
    return [*pieces, outer + closing] if pieces else [opening + closing]


def _line_breaks(indent: int | None, depth: int) -> tuple[str, str, str]:
    if indent is None:
        return "", "", ", "
    return "\n" + " " * indent * (depth + 1), "\n" + " " * indent * depth, ","


def _scalar(value: object) -> str:
    match value:
        case Decimal():
            return _number(value)
        case datetime():
            return json.dumps(value.isoformat())
        case bytes() | bytearray():
            return json.dumps(base64.b64encode(value).decode("ascii"))
        case str():
            return json.dumps(value, ensure_ascii=not _is_unicode(value))
        case _:
            return json.dumps(value, allow_nan=False)


def _is_unicode(text: str) -> bool:
    """Whether UTF-8 can hold `text`; a lone surrogate, which JSON may bring, it cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _number(value: Decimal) -> str:
    if not value.is_finite():
        msg = f"{value} is not a JSON number"
        raise TypeError(msg)
    return str(value)
