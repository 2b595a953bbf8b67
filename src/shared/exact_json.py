"""JSON that keeps every digit and takes nothing for granted.

The standard parser makes floats of decimals, takes NaN and Infinity, lets the last of two equal
keys win, and can be sent into the stack's end by brackets. Here each of these is an error that
names what is wrong.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any, NoReturn

MAX_DIGITS = 1000
"""Digits in one number. DynamoDB takes 38; this bound only keeps parsing cheap."""


class JsonError(ValueError):
    """The text is not JSON as we accept it. The message says why, without quoting the text."""


def loads(text: str) -> Any:
    """Parse JSON text into dict, list, str, bool, None, int and `decimal.Decimal`.

    Raises:
        JsonError: not JSON, NaN or Infinity, a key twice in one object, nested too deeply,
            a number with too many digits, or a lone surrogate (which UTF-8 cannot hold).
    """
    try:
        value = _decode(text)
    except json.JSONDecodeError as error:
        raise JsonError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise JsonError("nested too deeply") from None
    _refuse_lone_surrogates(text, value)
    return value


def _number(kind: type[Decimal | int]) -> Any:
    def parse(literal: str) -> Decimal | int:
        if len(literal) > MAX_DIGITS:
            raise JsonError(f"a number with more than {MAX_DIGITS} digits")
        try:
            return kind(literal)
        except ArithmeticError:
            raise JsonError("a number with an exponent beyond all bounds") from None

    return parse


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]  # set.add returns None, which is the point
        raise JsonError(f"the key {twice[:100]!r} stands twice in one object")
    return value


# Once: `json.loads` would make a decoder at each call, which takes as long as a small document.
_decode = json.JSONDecoder(
    parse_float=_number(Decimal),
    parse_int=_number(int),
    parse_constant=_refuse_constant,
    object_pairs_hook=_unique_keys,
).decode


def _refuse_lone_surrogates(text: str, value: Any) -> None:
    r"""Only an escape (\ud800) or the text itself can bring one; most texts have neither."""
    if "\\u" not in text and text.isascii():
        return
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise JsonError("a lone surrogate, which is no Unicode character") from None
