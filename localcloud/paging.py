"""Pages of lists, as the durable API has them: their size and the markers between them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_DEFAULT_SIZE = 100
_SHOWN = 100


class MarkerError(ValueError):
    """A marker that no page has ended with."""


def size(parameters: Mapping[str, Any]) -> int:
    """Return how many things a page has; 0 and none stand for the default."""
    return parameters.get("MaxItems") or _DEFAULT_SIZE


def next_marker(last: Sequence[object] | None) -> dict[str, str]:
    """Return the answer's NextMarker, if there is a next page: `last` tells the end of this one."""
    return {} if last is None else {"NextMarker": _written(last)}


def read_marker(marker: str | None, *kinds: type) -> list[Any] | None:
    """Return what told the end of the page before, of these types; None for the first page.

    Raises:
        MarkerError: no page has ended with it.
    """
    if marker is None:
        return None
    try:
        last = json.loads(base64.b64decode(marker, validate=True), parse_constant=_no_number)
        if isinstance(last, list) and [*map(type, last)] == [*kinds] and _written(last) == marker:
            return last
    except (ValueError, RecursionError):
        pass
    shown = marker if len(marker) <= _SHOWN else f"{marker[:_SHOWN]}..."
    raise MarkerError(f"Marker {shown!r} is not a NextMarker that this operation has answered.")


def _written(last: Sequence[object]) -> str:
    return base64.b64encode(json.dumps(last, ensure_ascii=False).encode()).decode()


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number that a page ends with")
