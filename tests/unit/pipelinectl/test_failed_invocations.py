import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelinectl.failed_invocations import read
from tests.unit.pipelinectl.invocation_records import record


def test_it_says_what_failed_and_keeps_the_event_exactly() -> None:
    found = read(json.dumps(record()).replace('"size": 8', '"size": 1.10'))

    assert found is not None
    assert (found.error_type, found.error_message) == ("KeyError", "'OUTPUT_BUCKET'")
    assert found.function_arn.endswith(":live")
    assert found.invocations == 3
    assert found.failed_at == datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert '"size": 1.10' in found.request


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        (
            {"responsePayload": None},
            ("RetriesExhausted", "Lambda gave up the invocation: RetriesExhausted"),
        ),
        (
            {"responsePayload": {"errorType": "Oops"}},
            ("Oops", "Lambda gave up the invocation: RetriesExhausted"),
        ),
        (
            {"responsePayload": {"errorMessage": "timed out"}},
            ("RetriesExhausted", "timed out"),
        ),
        (
            {"responsePayload": {"errorType": "Oops", "errorMessage": 1}},
            ("Oops", "Lambda gave up the invocation: RetriesExhausted"),
        ),
    ],
)
def test_without_an_answer_it_says_why_lambda_gave_up(
    changes: dict[str, Any], error: tuple[str, str]
) -> None:
    found = read(json.dumps(record(**changes)))

    assert found is not None
    assert (found.error_type, found.error_message) == error


@pytest.mark.parametrize("timestamp", [None, "soon", 7, "2026-03-01T12:00:00"])
def test_a_time_that_is_none_is_unknown(timestamp: Any) -> None:
    found = read(json.dumps(record(timestamp=timestamp)))

    assert found is not None
    assert found.failed_at is None


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "requestPayload",
        '{"requestPayload": {}}',
        '{"version": "1.0", "requestContext": {}, "requestPayload": {}}',
        '{"version": "1.0", "requestContext": {"condition": "c"}, "requestPayload": {}}',
        '["requestPayload"]',
    ],
)
def test_anything_else_is_none(body: str) -> None:
    assert read(body) is None
