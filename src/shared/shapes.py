"""Takes values out of JSON documents of others, and says what is wrong where there are none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

Value = TypeVar("Value")

_NAMES: dict[type[Any], str] = {dict: "an object", list: "a list", str: "text", int: "a number"}


def value_at(document: object, path: str, kind: type[Value]) -> Value:
    """What lies at ``path``, names with dots between, if it is of ``kind``; text is never empty.

    Raises:
        ValueError: names the path, and what ought to be there.
    """
    value = _value(document, path)
    if isinstance(value, str) and kind is str and not _is_unicode(value):
        raise ValueError(f"{path} has a lone surrogate, which is no Unicode character")
    if isinstance(value, kind) and not isinstance(value, bool) and value != "":
        return value
    found = "missing" if value is None else "empty" if value == "" else "not of that type"
    raise ValueError(f"{path} is {found}; it must be {_NAMES[kind]}")


def optional_at(document: object, path: str, kind: type[Value]) -> Value | None:
    """What lies at ``path``, or None if it is missing, null or empty text.

    Raises:
        ValueError: it is there, and not of ``kind``.
    """
    if _value(document, path) in (None, ""):
        return None
    return value_at(document, path, kind)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _value(document: object, path: str) -> object:
    for name in path.split("."):
        document = document.get(name) if isinstance(document, Mapping) else None
    return document
