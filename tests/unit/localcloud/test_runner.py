"""The runner builds on private parts of one version of the testing SDK: these must not change."""

import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import pytest
from aws_durable_execution_sdk_python_testing.child_dispatcher import InProcessChildDispatcher
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.invoker import LambdaInvoker
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore

from localcloud.executor import LocalExecutor


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
