"""JSON that keeps every digit and takes nothing for granted.

The standard parser makes floats of decimals, takes NaN and Infinity, lets the last of two equal
keys win, and can be sent into the stack's end by brackets. Here each of these is an error that
names what is wrong.
"""

from __future__ import annotations

import json
from array import array
from collections import Counter
from decimal import Decimal
from itertools import accumulate
from typing import Any, NoReturn

MAX_DIGITS = 1000
"""Digits in one number. DynamoDB takes 38; this bound only keeps parsing cheap."""

MAX_NESTING = 512
"""Levels of lists and objects in one another. DynamoDB takes 32; beyond, all that a document could
become is a pointer. What Pythons take differs by version and by how deep the caller stands, from
about 900 to 10,000: with a bound of our own all say the same, and what recurses over a document
that was read does not run out of stack."""

BYTE_ORDER_MARK = "\ufeff"


class JsonError(ValueError):
    """The text is not JSON as we accept it. The message says why, without quoting the text."""


def loads(text: str) -> Any:
    """Parse JSON text into dict, list, str, bool, None, int and `decimal.Decimal`.

    Byte order marks before it, which editors leave and programs join to others, are dropped.

    Raises:
        JsonError: not JSON, NaN or Infinity, a key twice in one object, nested too deeply,
            a number with too many digits, or a lone surrogate (which UTF-8 cannot hold).
    """
    text = text.lstrip(BYTE_ORDER_MARK)
    _refuse_deep_nesting(text)
    try:
        value = (_decode_measuring if _may_have_long_number(text) else _decode)(text)
        _refuse_lone_surrogates(text, value)
    except json.JSONDecodeError as error:
        raise JsonError(
            f"not JSON: {error.msg} at line {error.lineno}, column {error.colno}"
        ) from None
    except ArithmeticError:
        raise JsonError("a number with an exponent beyond all bounds") from None
    except RecursionError:  # the caller stands deep in the stack already
        raise _too_deep() from None
    return value


def plain(number: Decimal | int) -> Decimal:
    """``number`` without zeros that say nothing: 1.50 is 1.5, 1000 is 1E+3, -0.0 and 0e500 are 0.

    No digit is lost, and no context asked, which may round or raise.
    """
    exact = Decimal(number)
    if not exact:
        return Decimal(0)
    sign, digits, exponent = exact.as_tuple()
    said = len("".join(map(str, digits)).rstrip("0"))
    return Decimal((sign, digits[:said], int(exponent) + len(digits) - said))


def _refuse_deep_nesting(text: str) -> None:
    """Count the levels without recursion, and only in texts that have brackets enough for it."""
    if len(text) <= MAX_NESTING or text.count("[") + text.count("{") <= MAX_NESTING:
        return
    if _levels(text) > MAX_NESTING:
        raise _too_deep()


def _levels(text: str) -> int:
    """How deep the brackets stand in one another that are not in strings."""
    # Without escaped characters each quote begins or ends a string.
    unescaped = text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text
    outside = "".join(unescaped.split('"')[::2])
    brackets = outside.encode("ascii", "ignore").translate(_STEPS, delete=_NO_BRACKETS)
    return max(accumulate(array("b", brackets)), default=0)


_STEPS = bytes.maketrans(b"[{]}", bytes([1, 1, 255, 255]))
"""An opening bracket is a step down, a closing one a step up: -1 as a signed byte."""

_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _too_deep() -> JsonError:
    return JsonError(f"nested too deeply: more than {MAX_NESTING} levels of lists and objects")


def _may_have_long_number(text: str) -> bool:
    """Tell whether more characters of numbers follow one another than a number may have.

    In a string they may; so this only finds the few texts in which numbers are measured.
    """
    if len(text) <= MAX_DIGITS:
        return False
    return _LONG_NUMBER in text.encode("ascii", "replace").translate(_NUMERALS)


_LONG_NUMBER = b"0" * (MAX_DIGITS + 1)

_NUMERALS = bytes(ord("0") if chr(code) in "0123456789+-.eE" else 0 for code in range(256))


def _measuring(kind: type[Decimal | int]) -> Any:
    def parse(literal: str) -> Decimal | int:
        if len(literal) > MAX_DIGITS:
            raise JsonError(f"a number with more than {MAX_DIGITS} digits")
        return kind(literal)

    return parse


def _refuse_constant(name: str) -> NoReturn:
    raise JsonError(f"{name} is not a JSON number")


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        counts = Counter(key for key, _ in pairs)
        twice = next(key for key, count in counts.items() if count > 1)
        raise JsonError(f"the key {twice[:100]!r} stands twice in one object")
    return value


def _decoder(parse_float: Any, parse_int: Any) -> Any:
    return json.JSONDecoder(
        parse_float=parse_float,
        parse_int=parse_int,
        parse_constant=_refuse_constant,
        object_pairs_hook=_unique_keys,
    ).decode


# Once: `json.loads` would make a decoder at each call, which takes as long as a small document.
_decode = _decoder(Decimal, int)
_decode_measuring = _decoder(_measuring(Decimal), _measuring(int))


def _refuse_lone_surrogates(text: str, value: Any) -> None:
    r"""Only an escape (\ud800) or the text itself can bring one; most texts have neither."""
    try:
        if not text.isascii():
            text.encode()
        if "\\u" in text and ("\\ud" in text or "\\uD" in text):
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        raise JsonError("a lone surrogate, which is no Unicode character") from None
