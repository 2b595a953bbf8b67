"""JSON as the command line writes it: every digit kept, and what boto3 answers with."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import simplejson


def dumps(value: object, *, indent: int | None = 2) -> str:
    """Write `value` as JSON: over several lines, or on one with `indent=None`.

    Takes what JSON knows, and `Decimal`, `datetime` (ISO 8601), sets (sorted lists) and bytes
    (base64), which is what DynamoDB and boto3 answer with. A lone surrogate, which UTF-8 cannot
    hold, becomes an escape.

    Raises:
        TypeError: `value` holds something else.
        ValueError: NaN or Infinity.
    """
    separators = (", ", ": ") if indent is None else (",", ": ")
    text = simplejson.dumps(
        value,
        indent=indent,
        separators=separators,
        ensure_ascii=False,
        encoding=None,  # bytes are not text
        default=_plain,
    )
    return text.encode("utf-8", "backslashreplace").decode()


def _plain(value: object) -> Any:
    match value:
        case Mapping():
            return dict(value)
        case set() | frozenset():
            return sorted(value)
        case datetime():
            return value.isoformat()
        case bytes() | bytearray():
            return base64.b64encode(value).decode("ascii")
    msg = f"{type(value).__name__} is not JSON"
    raise TypeError(msg)
