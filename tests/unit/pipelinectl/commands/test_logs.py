from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from pipelinectl.commands.logs import render_event
from pipelinectl.logs import LogEvent

ARN = "arn:aws:lambda:eu-central-2:1:function:f:1/durable-execution/batch-7/0c92"


def rendered(text: str, function: str = "store") -> str | None:
    at = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
    line = render_event(LogEvent(at, function, text))
    return None if line is None else line.plain


def test_a_line_says_when_who_what_and_of_which_execution() -> None:
    logged = {
        "level": "WARNING",
        "message": "record not stored",
        "timestamp": "2026-03-01T12:00:00Z",
        "service": "durable-pipeline",
        "durable_execution_arn": ARN,
        "executionArn": ARN,
        "message_id": "m-1",
        "receive_count": 2,
    }

    line = rendered(json.dumps(logged)) or ""

    assert " ".join(line.split()[1:]) == (
        "store WARNING record not stored message_id=m-1 receive_count=2 execution=batch-7"
    )
    assert ":00:00.250 " in line


@pytest.mark.parametrize(
    "text",
    [
        "START RequestId: 1 Version: 1",
        "END RequestId: 1",
        "REPORT RequestId: 1\tDuration: 1 ms",
        '{"_aws": {"Timestamp": 1}, "StageDuration": [1]}',
        '{"time": "x", "type": "platform.report", "record": {}}',
    ],
)
def test_what_is_for_machines_is_left_out(text: str) -> None:
    assert rendered(text) is None


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", "[1, 2]", "7", ""])
def test_what_is_no_object_is_told_as_it_is(text: str) -> None:
    assert (rendered(text) or "").endswith(text)


def test_what_a_terminal_would_obey_stays_text() -> None:
    line = rendered('{"message": "\\u001b[2Jgone", "key": "a\\nb"}') or ""

    assert "\x1b" not in line
    assert "\n" not in line
    assert "\\x1b[2Jgone key=a\\nb" in line
