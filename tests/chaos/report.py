"""What a chaos run was and what came of it: as JSON, and as lines to read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Report:
    """The figures of one run.

    Times are in seconds. ``unknown_sends`` may have been accepted by the queue or not;
    ``good_dead_letters`` are of records that would have become items, had they been let.
    """

    seed: int
    messages: int
    objects: int
    distinct_bodies: int
    unknown_sends: int
    seconds: float
    seconds_to_settle: float
    messages_per_second: float
    kills: Mapping[str, int]
    executions: Mapping[str, int]
    handler_retries: int
    items: int
    dead_letters: int
    good_dead_letters: int
    dead_letters_by_reason: Mapping[str, int]
    doubled_in_one_execution: int
    doubled_by_another_delivery: int
    queued: int
    violations: list[str]

    def as_json(self) -> str:
        """The report as a JSON document."""
        return json.dumps(asdict(self), indent=2)

    def as_table(self) -> str:
        """One line for each figure."""
        return "\n".join(f"{name:28} {_text(value)}" for name, value in asdict(self).items())

    def write(self, path: Path) -> None:
        """Write the report as JSON."""
        path.write_text(self.as_json() + "\n")


def _text(value: Any) -> str:
    match value:
        case dict():
            return ", ".join(f"{key}: {count}" for key, count in value.items()) or "none"
        case list():
            return "none" if not value else "\n  " + "\n  ".join(value[:20])
        case float():
            return f"{value:.1f}"
    return str(value)
