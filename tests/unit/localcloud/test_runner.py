"""The runner builds on private parts of one version of the testing SDK: these must not change."""

import base64
import contextlib
import inspect
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import urllib3
from aws_durable_execution_sdk_python_testing.child_dispatcher import (
    ChainedInvokeRequest,
    InProcessChildDispatcher,
    RunInvocation,
    StartChild,
)
from aws_durable_execution_sdk_python_testing.executor import Executor
from aws_durable_execution_sdk_python_testing.invoker import LambdaInvoker
from aws_durable_execution_sdk_python_testing.model import StartDurableExecutionInput
from aws_durable_execution_sdk_python_testing.stores.sqlite import SQLiteExecutionStore
from aws_durable_execution_sdk_python_testing.web.server import RequestHandler
from aws_durable_execution_sdk_python_testing.worker.registry import ExecutionRegistry

from localcloud import runner, signatures
from localcloud.executor import LocalExecutor
from localcloud.functions import DurableConfiguration, Function
from localcloud.journal import Journal
from localcloud.lambda_runtime import LOG_TAIL_BYTES, platform_log
from localcloud.operations import OPERATIONS_PATH
from localcloud.runner import HandlerInvoker, LiveChildDispatcher, LocalWebServer
from localcloud.settings import Settings, free_settings
from localcloud.store import Store
from tests.unit.localcloud.service import serving


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
        (Executor._create_execution, ["self", "input", "parent_execution_arn"]),
        (Executor._launch_execution, ["self", "execution", "timeout_seconds"]),
        (
            Executor._validate_invocation_response_and_store,
            ["self", "execution_arn", "response", "execution", "invocation_seq"],
        ),
        (Executor._fail_workflow, ["self", "execution_arn", "error"]),
        (Executor._retry_after_error, ["self", "execution_arn", "error"]),
        (Executor._finish_from_outcome, ["self", "execution_arn", "operation_id", "outcome"]),
        (Executor._invocation_gate, ["self", "arn"]),
        (Executor._set_invocation_gate, ["self", "arn", "status"]),
        (Executor._resume_execution, ["self", "execution_arn"]),
        (Executor._complete_callback_success, ["self", "callback_id", "result"]),
        (Executor._complete_callback_failure, ["self", "callback_id", "callback_error"]),
        (Executor._process_callback_heartbeat, ["self", "callback_id"]),
        (ExecutionRegistry.submit, ["self", "execution_arn", "task"]),
        (ExecutionRegistry._evict_if_current, ["self", "execution_arn", "worker"]),
        (RequestHandler._handle_request, ["self", "method"]),
        (RequestHandler._send_response, ["self", "response"]),
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
    for column in ("start_timestamp", "end_timestamp"):
        assert f" {column} REAL" in source


def test_a_functions_error_is_read_out_of_the_sdks_words() -> None:
    error = {"errorType": "KeyError", "errorMessage": "of\ntwo: lines", "stackTrace": ["line"]}
    began = "Unexpected error during Lambda invocation: Lambda invocation failed with status 200: "
    found = runner._error_of_function(began + json.dumps(error))
    assert found is not None
    assert found.to_dict() == {
        "ErrorType": "KeyError",
        "ErrorMessage": "of\ntwo: lines",
        "StackTrace": ["line"],
    }


@pytest.mark.parametrize(
    "words",
    [
        "Lambda invocation failed: An error occurred (TooManyRequestsException)",
        "Lambda invocation failed with status 200: no json",
        'Lambda invocation failed with status 200: "text"',
    ],
)
def test_what_is_not_a_functions_error_is_none(words: str) -> None:
    assert runner._error_of_function(words) is None


def test_the_invoker_knows_an_invocation_by_its_log() -> None:
    invoker = HandlerInvoker(Settings.from_environment({}))
    ran: Any = SimpleNamespace(request_id="r-1", version="1", milliseconds=2)
    log = platform_log("x" * 9000 + "\nhello", ran)
    tail = log.encode()[-LOG_TAIL_BYTES:]
    invoker._note_log({"LogResult": base64.b64encode(tail).decode()})
    assert invoker._request_id() == "r-1"
    for number in range(runner._MAX_TAILS + 1):
        invoker._keep_tail(f"arn-{number}")
    assert invoker.log_tail_of("arn-0") == ""
    assert "hello" in base64.b64decode(invoker.log_tail_of("arn-1")).decode()
    assert invoker.log_tail_of("arn-1"), "it is told to whoever asks"
    assert runner._ask_for_log({"FunctionName": "f"}) == {"FunctionName": "f", "LogType": "Tail"}


class Directory:
    """Knows two functions, whose alias stands for version 4."""

    def find(self, reference: Any) -> Function:
        durable = DurableConfiguration(60, 7) if reference.name == "durable" else None
        return Function(reference.name, f"arn:{reference.name}", "4", "role", durable)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(Store(tmp_path / "executions"))


def dispatched(journal: Journal, function: str) -> Any:
    """What comes of an invoke of a function by its alias, whose parent may invoke it."""
    started = StartDurableExecutionInput("0", "parent", "1", "n", 1, 1)
    store = SimpleNamespace(load=lambda _: SimpleNamespace(start_input=started))
    permissions = SimpleNamespace(allows=lambda *_: True)
    invoker = SimpleNamespace(unmarked_client_for=lambda _: None)
    parts: Any = (invoker, store, Directory(), permissions, journal)
    request = ChainedInvokeRequest("arn", "operation", function, None, "{}", "0", qualifier="live")
    return LiveChildDispatcher(*parts).dispatch(request)


def test_a_durable_function_that_is_invoked_stays_with_its_version(journal: Journal) -> None:
    result = dispatched(journal, "durable")
    assert isinstance(result, StartChild)
    assert result.child_start.function_qualifier == "4"
    assert journal.versions("arn") == {}, "its execution's ARN has it"


def test_the_version_of_a_plain_function_is_noted(journal: Journal) -> None:
    assert isinstance(dispatched(journal, "plain"), RunInvocation)
    assert journal.versions("arn") == {"operation": "4"}


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Callable[..., tuple[int, Any]]]:
    """Asks a server of the runner, whose record can be broken, over HTTP."""
    settings = free_settings(tmp_path)
    settings.make_credentials()

    def asked(
        operation: str,
        *,
        signed: bool = True,
        pool: urllib3.PoolManager | None = None,
        **parameters: str,
    ) -> tuple[int, Any]:
        url = f"{settings.runner_endpoint_url}{OPERATIONS_PATH}/{operation}"
        body = json.dumps(parameters).encode()
        root = settings.credentials
        headers = signatures.sign(root, settings.region, "POST", url, body=body) if signed else {}
        answer = (pool or urllib3).request("POST", url, body=body, headers=headers, timeout=60)
        return answer.status, answer.json()

    with (
        serving(tmp_path / "executions", lambda *_: None) as service,
        LocalWebServer(settings, service.executor) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=[0.01])
        thread.start()
        try:
            yield asked
        finally:
            server.shutdown()
            thread.join()


def test_who_is_unknown_gets_no_answer_of_the_server(ask: Callable[..., tuple[int, Any]]) -> None:
    status, error = ask("GetDurableExecution", signed=False, DurableExecutionArn="arn")
    assert (status, error["__type"]) == (403, "MissingAuthenticationToken")


def test_a_connection_serves_many_requests(ask: Callable[..., tuple[int, Any]]) -> None:
    with urllib3.PoolManager() as pool:
        for number in range(3):
            assert ask("GetDurableExecution", pool=pool, DurableExecutionArn=str(number))[0] == 404
        (of_server,) = (pool.pools[key] for key in pool.pools.keys())  # noqa: SIM118 - no mapping
        assert of_server.num_connections == 1
        assert of_server.num_requests == 3


def test_who_was_refused_is_told_that_the_connection_ends(
    ask: Callable[..., tuple[int, Any]],
) -> None:
    with urllib3.PoolManager() as pool:
        for signed in (False, False, True):
            status, _ = ask(
                "GetDurableExecution", pool=pool, signed=signed, DurableExecutionArn="a"
            )
            assert status == (404 if signed else 403)


def test_an_operation_that_fails_is_answered(
    ask: Callable[..., tuple[int, Any]], tmp_path: Path
) -> None:
    status, error = ask("GetDurableExecution", DurableExecutionArn="arn")
    assert (status, error["Type"]) == (404, "ResourceNotFoundException")
    with contextlib.closing(sqlite3.connect(tmp_path / "executions")) as connection, connection:
        connection.execute("INSERT INTO executions VALUES ('arn', 'f', 'n', 'RUNNING', 1, 2, '{')")
    for operation in ("GetDurableExecution", "DeleteDurableExecution"):
        status, error = ask(operation, DurableExecutionArn="arn")
        assert (status, error["Type"]) == (500, "ServiceException")
        assert "Corrupted execution data" in error["Message"]
    with contextlib.closing(sqlite3.connect(tmp_path / "executions")) as connection, connection:
        connection.execute("DROP TABLE executions")
    status, error = ask("GetDurableExecution", DurableExecutionArn="arn")
    assert (status, error["Type"]) == (500, "ServiceException")
