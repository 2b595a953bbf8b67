"""The runner builds on private parts of one version of the testing SDK: these must not change."""

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import pytest
from aws_durable_execution_sdk_python_testing.child_dispatcher import InProcessChildDispatcher
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.invoker import LambdaInvoker
from aws_durable_execution_sdk_python_testing.model import Event, InvocationCompletedDetails
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

from localcloud.runner import LocalExecutor, _timed

START = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETION = InvocationCompletedDetails(START, START + timedelta(seconds=2), "request")


def test_the_version_is_the_one_that_was_read() -> None:
    assert version("aws-durable-execution-sdk-python-testing") == "1.4.0"


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        (Executor._invoke_execution, ["self", "execution_arn", "delay"]),
        (Executor._schedule_earliest_pending, ["self", "execution_arn"]),
        (Executor._notify_parent_of_terminal_child, ["self", "child_arn"]),
        (
            Executor._schedule_callback_timeouts,
            ["self", "execution_arn", "callback_options", "callback_id"],
        ),
        (
            Executor.on_chained_invoke_started,
            ["self", "execution_arn", "operation_id", "function_name", "tenant_id", "payload"],
        ),
        (InProcessChildDispatcher._run_single_invocation, ["self", "handler", "request"]),
        (
            LambdaInvoker.invoke,
            [
                *("self", "function_name", "input", "endpoint_url", "tenant_id", "account_id"),
                "region_name",
            ],
        ),
    ],
)
def test_the_methods_that_recovery_calls(method: Callable[..., Any], parameters: list[str]) -> None:
    assert list(inspect.signature(method).parameters) == parameters


def test_the_retry_pace_is_still_a_class_attribute() -> None:
    assert Executor.RETRY_BACKOFF_SECONDS == 5
    assert LocalExecutor.RETRY_BACKOFF_SECONDS == 1


def test_the_columns_that_the_gateway_reads() -> None:
    source = inspect.getsource(SQLiteExecutionStore._init_db)
    for column in ("durable_execution_arn", "function_name", "execution_name", "status", "data"):
        assert f" {column} TEXT" in source


def completed() -> Event:
    event = Event.create_invocation_completed(
        event_id=0,
        event_timestamp=COMPLETION.end_timestamp,
        start_timestamp=COMPLETION.start_timestamp,
        end_timestamp=COMPLETION.end_timestamp,
        request_id=COMPLETION.request_id,
    )
    return Event.from_event_with_id(event, 7)


def test_the_sdk_still_drops_the_times_else_the_method_is_not_needed() -> None:
    assert completed().invocation_completed_details is None


def test_an_invocation_gets_its_times_back() -> None:
    timed = _timed(completed(), {COMPLETION.end_timestamp: COMPLETION})

    assert timed.invocation_completed_details == COMPLETION
    assert timed.event_id == 7


def test_other_events_stay_as_they_are() -> None:
    event = Event(event_type="StepStarted", event_timestamp=START)

    assert _timed(event, {}) is event
