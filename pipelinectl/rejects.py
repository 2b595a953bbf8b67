"""Rejected rows, as the pipeline writes them: one JSON object a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelinectl import exact_json

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Reject:
    """A rejected row: `document` has `row` and `line` in the file, `reason`, and `raw`."""

    document: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Its number among the rows, and its line in the file."""
        return f"row {self.document.get('row', '?')}, line {self.document.get('line', '?')}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every single reason."""
        match self.document.get("reason"):
            case {"errors": [_, *_] as errors}:
                return tuple(map(str, errors))
            case {"message": str(message)}:
                return (message,)
        return ()

    @property
    def raw(self) -> str:
        """The row as it stands in the file, the beginning of it if it is long."""
        return str(self.document.get("raw", ""))


def read(line: str) -> Reject:
    """The rejected row in a line; one that is no JSON object is shown as it is."""
    try:
        document = exact_json.parse(line)
    except exact_json.NotJsonError:
        document = None
    return Reject(document if isinstance(document, dict) else {"raw": line})
