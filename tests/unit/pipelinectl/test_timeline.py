from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelinectl.timeline import NoHistoryError, Operation, Timeline, build_timeline
from tests.unit.pipelinectl.histories import recorded

START = datetime(2026, 1, 1, tzinfo=UTC)


def event(kind: str, second: float, **fields: Any) -> dict[str, Any]:
    return {"EventType": kind, "EventTimestamp": START + timedelta(seconds=second), **fields}


def invoke(kind: str, second: float, id_: str, name: str, **details: Any) -> dict[str, Any]:
    type_ = f"ChainedInvoke{kind}"
    return event(type_, second, Id=id_, Name=name, **{f"{type_}Details": details})


def only(timeline: Timeline, name: str) -> list[Operation]:
    return [operation for _, operation in timeline.walk() if operation.name == name]


def test_operations_stand_in_the_order_they_started_below_their_parent() -> None:
    walked = [(depth, operation.name) for depth, operation in recorded("repeated.json").walk()]

    assert walked == [
        (0, "validate"),
        (0, "transform"),
        (0, "transform-backoff"),
        (0, "transform"),
        (0, "chunk-1"),
        (1, "dead-letter"),
        (1, "store"),
        (0, "chunks"),
        (1, "store"),
        (1, "store"),
        (1, "store"),
    ]


def test_execution_has_status_invocations_and_payload_sizes() -> None:
    timeline = recorded("repeated.json")

    assert timeline.status == "SUCCEEDED"
    assert timeline.invocations == 10
    assert timeline.payload_in is not None
    assert timeline.payload_in.size == len('{"Records": [1]}')
    assert timeline.payload_out is not None
    assert timeline.payload_out.size == len('{"batchItemFailures": []}')
    assert timeline.ended_at is not None
    assert timeline.seconds == (timeline.ended_at - timeline.started_at).total_seconds() > 1


def test_repeated_invoke_is_another_operation_and_counts_as_second_attempt() -> None:
    first, second = only(recorded("repeated.json"), "transform")

    assert (first.status, first.attempts) == ("FAILED", 1)
    assert first.failure is not None
    assert first.failure.message == "Worker process died"
    assert (second.status, second.attempts, second.failure) == ("SUCCEEDED", 2, None)
    assert second.function_name == "pipe-transform"


def test_retried_step_is_one_operation_with_its_starts_counted() -> None:
    (step,) = only(recorded("repeated.json"), "dead-letter")

    assert (step.kind, step.status, step.attempts) == ("Step", "SUCCEEDED", 3)
    assert step.failure is None


def test_invokes_of_one_name_side_by_side_are_no_attempts_of_each_other() -> None:
    (chunks,) = only(recorded("repeated.json"), "chunks")

    assert [child.attempts for child in chunks.children] == [1, 1, 1]


def test_failed_execution_keeps_its_error() -> None:
    timeline = recorded("failed.json")

    assert timeline.status == "FAILED"
    assert timeline.failure is not None
    assert timeline.failure.message == "no table"


def ended(kind: str, *events: dict[str, Any], message: str = "boom") -> Timeline:
    error = {"Error": {"Payload": {"ErrorType": "Boom", "ErrorMessage": message}}}
    details = {f"Execution{kind}Details": error}
    start = event("ExecutionStarted", 0, Id="e", Name="run")
    return build_timeline([start, *events, event(f"Execution{kind}", 9, Id="e", **details)])


BOOM = {"Error": {"Payload": {"ErrorType": "InvokeError", "ErrorMessage": "boom"}}}
STORE_FAILED = (
    invoke("Started", 1, "a", "store"),
    invoke("Failed", 2, "a", "store", **BOOM),
)


def test_a_failed_execution_failed_in_the_operation_with_the_same_error_or_in_the_handler() -> None:
    assert ended("Failed", *STORE_FAILED).failed_in == "store"
    assert ended("Failed", *STORE_FAILED, message="other").failed_in is None


def test_a_stopped_execution_ended_in_the_operation_that_ran() -> None:
    running = invoke("Started", 3, "b", "transform")

    assert ended("Stopped", *STORE_FAILED, running).failed_in == "transform"
    assert ended("TimedOut", *STORE_FAILED).failed_in is None


def test_a_healthy_execution_failed_nowhere() -> None:
    assert recorded("repeated.json").failed_in is None


def test_failed_handler_invocations_are_counted_apart() -> None:
    error = {"Error": {"Payload": {"ErrorType": "Runtime.ExitError"}}}
    timeline = build_timeline(
        [
            event("ExecutionStarted", 0, Id="e", Name="run"),
            event("InvocationCompleted", 1, InvocationCompletedDetails=error),
            event("InvocationCompleted", 2),
        ]
    )

    assert (timeline.invocations, timeline.failed_invocations) == (2, 1)


def test_events_of_a_type_not_yet_known_are_passed_over() -> None:
    timeline = build_timeline(
        [event("ExecutionStarted", 0, Id="e", Name="run"), event("ExecutionDreamed", 3)]
    )

    assert timeline.operations == ()


def test_child_of_a_parent_without_events_stands_at_the_root() -> None:
    timeline = build_timeline(
        [
            event("ExecutionStarted", 0, Id="e", Name="run"),
            invoke("Started", 1, "a", "store") | {"ParentId": "flat-map-item"},
        ]
    )

    assert [operation.name for operation in timeline.operations] == ["store"]


def test_truncated_payload_is_marked() -> None:
    timeline = build_timeline(
        [
            event(
                "ExecutionStarted",
                0,
                Id="e",
                Name="run",
                ExecutionStartedDetails={"Input": {"Payload": "{}", "Truncated": True}},
            )
        ]
    )

    assert timeline.payload_in is not None
    assert timeline.payload_in.truncated


def test_history_without_a_start_is_an_error() -> None:
    with pytest.raises(NoHistoryError, match="ExecutionStarted"):
        build_timeline([])
