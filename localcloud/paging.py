"""Pages of lists, as the durable API has them: their size and the markers between them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

_T = TypeVar("_T")
_DEFAULT_SIZE = 100


class MarkerError(ValueError):
    """A marker that no page has ended with."""


def size(parameters: Mapping[str, Any]) -> int:
    """Return how many things a page has; 0 and none stand for the default."""
    return parameters.get("MaxItems") or _DEFAULT_SIZE


def next_marker(last: object) -> dict[str, str]:
    """Return the answer's NextMarker, if there is a next page: `last` tells the end of this one."""
    if last is None:
        return {}
    return {"NextMarker": base64.b64encode(json.dumps(last).encode()).decode()}


def read_marker(marker: str | None, kind: type[_T]) -> _T | None:
    """Return what told the end of the page before; None for the first page.

    Raises:
        MarkerError: no page has ended with it.
    """
    if marker is None:
        return None
    try:
        last = json.loads(base64.b64decode(marker, validate=True))
    except ValueError:
        last = None
    if not isinstance(last, kind):
        raise MarkerError(
            f"Marker {marker!r} is not a NextMarker that this operation has answered."
        )
    return last
