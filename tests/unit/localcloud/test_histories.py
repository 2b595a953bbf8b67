"""Histories have what AWS's have, by botocore's model and AWS's conformance tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aws_durable_execution_sdk_python.lambda_service import (
    CallbackOptions,
    ChainedInvokeOptions,
    ErrorObject,
    OperationAction,
    OperationStatus,
    OperationType,
    OperationUpdate,
    StepOptions,
    WaitOptions,
)
from aws_durable_execution_sdk_python_testing.execution import Execution
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput

from localcloud.durable_quotas import QuotaDispatcher
from localcloud.histories import Facts, history, page
from localcloud.journal import Pause

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ERROR = ErrorObject(message="m", type="T", data=None, stack_trace=None)
START, SUCCEED = OperationAction.START, OperationAction.SUCCEED
FAIL, RETRY = OperationAction.FAIL, OperationAction.RETRY
STEP, INVOKE = OperationType.STEP, OperationType.CHAINED_INVOKE
SOON = StepOptions(next_attempt_delay_seconds=2)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def execution() -> Execution:
    started = Execution.new(
        StartDurableExecutionInput(
            account_id="000000000000",
            function_name="function",
            function_qualifier="1",
            execution_name="name",
            execution_timeout_seconds=60,
            execution_retention_period_days=1,
            invocation_id="invocation",
            input='{"a": 1}',
        )
    )
    started.start(NOON)
    return started


def apply(execution: Execution, seconds: float, *updates: OperationUpdate) -> None:
    QuotaDispatcher().apply_updates(
        execution, list(updates), None, execution.touch_operation, at(seconds)
    )


def step(action: OperationAction, **more: Any) -> OperationUpdate:
    return OperationUpdate("step", STEP, action, name="n", **more)


def told(execution: Execution, facts: Facts | None = None, **options: bool) -> list[Any]:
    """The kinds of events after the first, each with its details."""
    events = history(execution, facts or Facts(), **({"include_data": True} | options))
    assert [event["EventId"] for event in events] == list(range(1, len(events) + 1))
    return [(e["EventType"], e[f"{e['EventType']}Details"]) for e in events[1:]]


def test_it_begins_with_the_input_and_the_time_that_it_may_take(execution: Execution) -> None:
    [started] = history(execution, Facts(), include_data=True)
    assert started == {
        "EventType": "ExecutionStarted",
        "EventTimestamp": NOON.timestamp(),
        "EventId": 1,
        "Id": "invocation",
        "Name": "name",
        "ExecutionStartedDetails": {
            "Input": {"Payload": '{"a": 1}', "Truncated": False},
            "ExecutionTimeout": 60,
        },
    }


def test_each_attempt_of_a_step_has_its_number(execution: Execution) -> None:
    apply(execution, 1, step(START))
    apply(execution, 2, step(RETRY, error=ERROR, step_options=SOON))
    execution.complete_retry("step")
    apply(execution, 4, step(START))
    apply(execution, 5, step(SUCCEED, payload='"done"'))
    assert told(execution) == [
        ("StepStarted", {}),
        (
            "StepFailed",
            {
                "Error": {
                    "Payload": {"ErrorMessage": "m", "ErrorType": "T"},
                    "Truncated": False,
                },
                "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 2},
            },
        ),
        ("StepStarted", {}),
        (
            "StepSucceeded",
            {
                "Result": {"Payload": '"done"', "Truncated": False},
                "RetryDetails": {"CurrentAttempt": 2},
            },
        ),
    ]


def test_a_poll_that_goes_on_has_its_state(execution: Execution) -> None:
    apply(execution, 1, step(START))
    apply(execution, 2, step(RETRY, payload="1", step_options=SOON))
    assert told(execution)[1:] == [
        (
            "StepSucceeded",
            {
                "Result": {"Payload": "1", "Truncated": False},
                "RetryDetails": {"CurrentAttempt": 1, "NextAttemptDelaySeconds": 2},
            },
        )
    ]


def test_a_step_that_fails_for_good_is_not_tried_again(execution: Execution) -> None:
    apply(execution, 1, step(START))
    apply(execution, 2, step(FAIL, error=ERROR))
    assert told(execution)[1][1]["RetryDetails"] == {"CurrentAttempt": 1}


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        (CallbackOptions(5, 3), {"Timeout": 5, "HeartbeatTimeout": 3}),
        (CallbackOptions(), {}),
        (None, {}),
    ],
)
def test_a_callback_has_its_limits(
    execution: Execution, options: CallbackOptions | None, limits: dict[str, int]
) -> None:
    update = OperationUpdate("c", OperationType.CALLBACK, START, callback_options=options)
    apply(execution, 1, update)
    [(kind, details)] = told(execution)
    assert (kind, details) == (
        "CallbackStarted",
        {"CallbackId": execution.operations[1].callback_details.callback_id, **limits},  # type: ignore[union-attr]  # it has some
    )


def test_a_callback_ends_with_what_was_sent(execution: Execution) -> None:
    apply(execution, 1, OperationUpdate("c", OperationType.CALLBACK, START))
    callback = execution.operations[1].callback_details
    assert callback
    execution.complete_callback_success(callback.callback_id, b"sent", at(2))
    assert told(execution)[1] == (
        "CallbackSucceeded",
        {"Result": {"Payload": "sent", "Truncated": False}},
    )


def test_a_wait_has_its_duration(execution: Execution) -> None:
    wait = OperationUpdate("w", OperationType.WAIT, START, wait_options=WaitOptions(7))
    apply(execution, 1, wait)
    execution.complete_wait("w", at(8))
    assert told(execution) == [
        ("WaitStarted", {"Duration": 7, "ScheduledEndTimestamp": at(8).timestamp()}),
        ("WaitSucceeded", {"Duration": 7}),
    ]


@pytest.mark.parametrize(
    ("function", "child", "version"),
    [
        ("f", None, "$LATEST"),
        ("f:7", None, "7"),
        ("f:live", None, "4"),
        ("f:live", "arn:aws:lambda:r:1:function:f:5/durable-execution/n/i", "5"),
    ],
)
def test_an_invoke_has_the_version_that_was_executed(
    execution: Execution, function: str, child: str | None, version: str
) -> None:
    options = ChainedInvokeOptions(function, "tenant")
    invoke = OperationUpdate("i", INVOKE, START, payload="1", chained_invoke_options=options)
    apply(execution, 1, invoke)
    if child:
        execution.record_chained_invoke_child("i", child)
    [(kind, details)] = told(execution, Facts(versions={"i": "4"}))
    assert kind == "ChainedInvokeStarted"
    assert details == {
        "FunctionName": function,
        "TenantId": "tenant",
        "ExecutedVersion": version,
        "Input": {"Payload": "1", "Truncated": False},
    } | ({"DurableExecutionArn": child} if child else {})


def test_an_invoke_that_never_reached_its_function_has_no_version(execution: Execution) -> None:
    options = ChainedInvokeOptions("f")
    apply(execution, 1, OperationUpdate("i", INVOKE, START, chained_invoke_options=options))
    denied = replace(ERROR, type="AccessDeniedException")
    execution.complete_chained_invoke("i", OperationStatus.FAILED, error=denied, now=at(2))
    started, failed = told(execution)
    assert started == ("ChainedInvokeStarted", {"FunctionName": "f"})
    assert failed[1]["Error"]["Payload"]["ErrorType"] == "AccessDeniedException"


def test_an_invocation_that_failed_has_its_error(execution: Execution) -> None:
    execution.record_invocation_completion(at(1), at(2), "r-1")
    execution.record_invocation_completion(at(3), at(4), "r-2")
    failed, completed = told(execution, Facts(failures={"r-1": {"ErrorType": "T"}}))
    assert failed[1]["Error"] == {"Payload": {"ErrorType": "T"}, "Truncated": False}
    assert completed == (
        "InvocationCompleted",
        {
            "StartTimestamp": at(3).timestamp(),
            "EndTimestamp": at(4).timestamp(),
            "RequestId": "r-2",
        },
    )


def test_without_data_no_event_has_a_payload(execution: Execution) -> None:
    apply(execution, 1, step(START))
    apply(execution, 2, step(FAIL, error=ERROR))
    execution.record_invocation_completion(at(1), at(2), "r-1")
    execution.complete_fail(ERROR, at(3))
    pause = Pause(at(1), None, "night", timeout_paused=True, paused=at(1), resumed=at(2))
    facts = Facts(failures={"r-1": {"ErrorType": "T"}}, pauses=[pause])
    text = str(history(execution, facts, include_data=False))
    assert "Payload" not in text
    assert text.count("'Truncated': True") == 5


def test_events_of_one_moment_are_in_the_order_of_their_causes(execution: Execution) -> None:
    apply(execution, 1.0004, step(START))
    # Times that have been in the store have no more than milliseconds.
    execution.record_invocation_completion(NOON, at(1), "r-1")
    execution.complete_success("1", at(1))
    assert [kind for kind, _ in told(execution)] == [
        "StepStarted",
        "InvocationCompleted",
        "ExecutionSucceeded",
    ]


@pytest.mark.parametrize(
    ("end", "kinds"),
    [
        (Execution.complete_stopped, ["ExecutionStopped"]),
        (Execution.complete_timeout, ["ExecutionTimedOut"]),
        (Execution.complete_fail, ["ExecutionFailed", "InvocationCompleted"]),
    ],
)
def test_nothing_follows_a_stop(execution: Execution, end: Any, kinds: list[str]) -> None:
    end(execution, ERROR, at(1))
    execution.record_invocation_completion(NOON, at(2), "r-1")
    assert [kind for kind, _ in told(execution)] == kinds


def test_pages_begin_after_the_one_before() -> None:
    events = [{"EventId": n} for n in range(1, 6)]

    def ids(**options: Any) -> tuple[list[int], int | None]:
        found, last = page(events, **{"after": None, "count": 2, "newest_first": False} | options)
        return [event["EventId"] for event in found], last

    assert ids() == ([1, 2], 2)
    assert ids(after=2) == ([3, 4], 4)
    assert ids(after=4) == ([5], None)
    assert ids(after=5) == ([], None)
    assert ids(count=5) == ([1, 2, 3, 4, 5], None)
    assert ids(newest_first=True) == ([5, 4], 4)
    assert ids(newest_first=True, after=4) == ([3, 2], 2)
    assert ids(newest_first=True, after=2) == ([1], None)
