"""Histories of executions, as AWS's own durable runner told them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

from pipelinectl.timeline import Timeline, build_timeline

_RECORDED = Path(__file__).parent / "recorded"


def recorded_events(name: str) -> list[dict[str, Any]]:
    """Events as boto3 has them, with times as `datetime`."""
    events = json.loads((_RECORDED / name).read_text())["Events"]
    return [
        event | {"EventTimestamp": datetime.fromisoformat(event["EventTimestamp"])}
        for event in events
    ]


def recorded(name: str) -> Timeline:
    """The timeline of a recorded history."""
    return build_timeline(recorded_events(name))
