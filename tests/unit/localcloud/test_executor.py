"""Executions go through their lives as on AWS: ends, pauses, callbacks, failed invocations."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.lambda_service import ErrorObject
from aws_durable_execution_sdk_python_testing.exceptions import (
    InvalidParameterValueException,
    ResourceNotFoundException,
)

from localcloud.executor import (
    CallbackTimeoutException,
    FailedInvocation,
    ResourceConflictException,
)
from localcloud.functions import execution_arn
from localcloud.journal import Pause
from tests.unit.localcloud.service import Service, serving, wait_for

MIB = 1024 * 1024
ARN = "arn:aws:lambda:eu-central-2:000000000000:function:function:3/durable-execution/name/"
UNKNOWN = f"{ARN}unknown"
PAUSED = {"ExecutionTimeoutPaused": True, "Reason": "night"}

going = threading.Event()
entered = threading.Event()


@durable_execution
def handler(event: Any, context: DurableContext) -> Any:
    """Do what the event says."""
    match event:
        case {"answer": size}:
            return "x" * (size - len('""'))
        case {"callback": _}:
            return context.create_callback(name="answer").result()
        case {"steps": _}:
            context.step(_work, name="first")
            return context.step(lambda _: "second", name="second")
    return event


def _work(_: object) -> str:
    entered.set()
    going.wait(60)
    return "first"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    going.clear()
    entered.clear()
    with serving(tmp_path / "executions", handler) as found:
        yield found
        going.set()


def test_an_arn_names_the_version(service: Service) -> None:
    arn = service.start({})
    assert arn.startswith(ARN)
    found = service.end(arn)
    assert found["FunctionArn"] == "arn:aws:lambda:eu-central-2:000000000000:function:function:3"
    assert (found["Version"], found["DurableExecutionName"]) == ("3", "name")


def test_an_arn_is_the_one_that_the_gateway_gave_it(service: Service) -> None:
    of_version = ARN.partition("/")[0]
    assert service.start({}, unique="one") == execution_arn(of_version, "name", "one")


@pytest.mark.parametrize(
    ("size", "asynchronous", "status"),
    [
        (MIB, True, "SUCCEEDED"),
        (MIB + 1, True, "FAILED"),
        (MIB + 1, False, "SUCCEEDED"),
        (6 * MIB, False, "SUCCEEDED"),
        (6 * MIB + 1, False, "FAILED"),
    ],
)
def test_a_result_has_a_size(service: Service, size: int, asynchronous: bool, status: str) -> None:
    found = service.end(service.start({"answer": size}, asynchronous=asynchronous))
    assert found["Status"] == status
    if status == "FAILED":
        limit = MIB if asynchronous else 6 * MIB
        assert f"less than or equal to {limit}" in found["Error"]["ErrorMessage"]


def test_a_failed_invocation_is_in_the_history_and_its_error_ends_the_execution(
    tmp_path: Path,
) -> None:
    def failing(event: Any, _: object) -> None:
        now = datetime.now(UTC)
        error = ErrorObject("RequestId: r Error: died", "Runtime.ExitError", None, None)
        failed = FailedInvocation(error, str(now), now, now)
        running.failures[event.durable_execution_arn] = failed
        raise OSError("what the runner sees")

    with serving(tmp_path / "executions", failing) as running:
        arn = running.start({})
        found = running.end(arn)
        events = running.events(arn)
    assert found["Error"]["ErrorType"] == "Runtime.ExitError"
    errors = [event["InvocationCompletedDetails"]["Error"] for event in events[1:-1]]
    assert [error["Payload"]["ErrorType"] for error in errors] == ["Runtime.ExitError"] * 5
    assert events[-1]["ExecutionFailedDetails"]["Error"]["Payload"] == found["Error"]


def test_a_callback_is_open_once(service: Service) -> None:
    arn = service.start({"callback": 1})
    callback = service.callback_id(arn)
    service.ask("SendDurableExecutionCallbackHeartbeat", CallbackId=callback)
    service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback, Result='"yes"')
    assert service.end(arn)["Status"] == "SUCCEEDED"
    _is_closed(service, callback)


# All of them are what a client may send: JSON in Base64 that is no token of ours.
NO_TOKENS = [
    base64.b64encode(text.encode()).decode()
    for text in (
        *("", "text", "[]", "{}", "1", "null", '"text"', '{"arn": null}', "[" * 900),
        *('{"arn": 1, "op": "o", "seq": 1}', '{"arn": [], "op": "o", "seq": 1}'),
        *('{"arn": "a", "op": {}, "seq": {}}', '{"arn": "\\ud800", "op": "o", "seq": 1}'),
    )
]


@pytest.mark.parametrize("token", NO_TOKENS)
def test_a_token_that_is_none_is_refused(service: Service, token: str) -> None:
    before = threading.active_count()
    for answer in ("Success", "Failure", "Heartbeat"):
        with pytest.raises(InvalidParameterValueException, match="is no callback ID"):
            service.ask(f"SendDurableExecutionCallback{answer}", CallbackId=token)
    assert threading.active_count() == before
    arn = service.start({"steps": 1})
    assert entered.wait(60)
    for ask in (service.executor.checkpoint_execution, service.executor.get_execution_state):
        with pytest.raises(InvalidParameterValueException, match="Invalid checkpoint token"):
            ask(arn, token)
    going.set()
    assert service.end(arn)["Status"] == "SUCCEEDED"


def test_a_callback_whose_execution_cannot_be_read_is_not_said_to_be_none(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = service.start({"callback": 1})
    callback = service.callback_id(arn)

    def unreadable(_: str) -> None:
        raise RuntimeError("disk I/O error")

    with monkeypatch.context() as patched:
        patched.setattr(service.executor, "get_execution", unreadable)
        with pytest.raises(RuntimeError, match="disk I/O error"):
            service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback)


def test_nothing_comes_after_a_stop(service: Service) -> None:
    arn = service.start({"callback": 1})
    callback = service.callback_id(arn)
    error = {"ErrorType": "Op", "ErrorMessage": "enough", "ErrorData": "d", "StackTrace": ["a"]}
    service.ask("StopDurableExecution", arn, Error=error)
    found = service.ask("GetDurableExecution", arn)
    assert (found["Status"], found["Error"]) == ("STOPPED", error)
    _is_closed(service, callback)
    assert service.kinds(arn)[-1] == "ExecutionStopped"


def _is_closed(service: Service, callback: str) -> None:
    for operation in ("Success", "Failure", "Heartbeat"):
        with pytest.raises(CallbackTimeoutException, match="already been closed"):
            service.ask(f"SendDurableExecutionCallback{operation}", CallbackId=callback)


@pytest.mark.parametrize(
    ("callback", "error"),
    [
        ("bm9uZQ==", InvalidParameterValueException),
        ("MQ==", InvalidParameterValueException),
        ("eyJhcm4iOiAiYXJuIiwgIm9wIjogIm9wIn0=", ResourceNotFoundException),
    ],
)
def test_a_callback_that_is_none_is_refused(
    service: Service, callback: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback)


def test_a_paused_execution_is_not_invoked_until_it_is_resumed(service: Service) -> None:
    arn = service.start({"callback": 1})
    callback = service.callback_id(arn)
    wait_for(lambda: service.executor._invocation_gate(arn).name == "PRE_INVOKE")
    service.ask("PauseDurableExecution", arn, **PAUSED)
    found = service.ask("GetDurableExecution", arn)
    assert found["Status"] == "PAUSED"
    asked = found["PauseDetails"].pop("PauseRequestTimestamp")
    assert found["PauseDetails"] == PAUSED
    assert found["ExpectedExecutionTimeoutTimestamp"] - found["StartTimestamp"] == 366 * 86400
    bare = service.ask("GetDurableExecution", arn, IncludeExecutionData=False)
    assert "Reason" not in bare["PauseDetails"]

    # What is pending completes; the handler is not invoked for it.
    time.sleep(0.002)  # histories tell the order of milliseconds
    service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback, Result="1")
    wait_for(lambda: service.executor.get_execution(arn).has_deferred_invocation)
    assert service.kinds(arn)[-1] == "CallbackSucceeded"
    assert service.status(arn) == "PAUSED"

    service.ask("ResumeDurableExecution", arn, Reason="day")
    assert service.end(arn)["Status"] == "SUCCEEDED"
    events = {event["EventType"]: event for event in service.events(arn)}
    assert events["ExecutionPaused"]["ExecutionPausedDetails"] == {
        "PauseRequestTimestamp": asked,
        "ExecutionTimeoutPaused": True,
        "Reason": {"Payload": "night", "Truncated": False},
    }
    resumed = events["ExecutionResumed"]["ExecutionResumedDetails"]
    assert resumed["Reason"]["Payload"] == "day"
    assert service.ask("GetDurableExecution", arn).keys().isdisjoint({"PauseDetails"})


def test_a_pause_waits_for_the_next_checkpoint(service: Service) -> None:
    arn = service.start({"steps": 2})
    assert entered.wait(60)
    service.ask("PauseDurableExecution", arn)
    assert service.status(arn) == "PAUSING"
    going.set()
    wait_for(lambda: service.status(arn) == "PAUSED")
    assert service.kinds(arn)[-1] == "ExecutionPaused"
    service.ask("ResumeDurableExecution", arn)
    assert service.end(arn)["Status"] == "SUCCEEDED"


def test_a_pause_that_is_called_off_in_time_leaves_no_trace(service: Service) -> None:
    arn = service.start({"steps": 2})
    assert entered.wait(60)
    service.ask("PauseDurableExecution", arn)
    service.ask("ResumeDurableExecution", arn)
    assert service.status(arn) == "RUNNING"
    going.set()
    assert service.end(arn)["Status"] == "SUCCEEDED"
    assert {"ExecutionPaused", "ExecutionResumed"}.isdisjoint(service.kinds(arn))


def test_time_stands_still_during_a_pause_unless_it_is_not_to(service: Service) -> None:
    paused = {}
    for timeout_paused in (True, False):
        arn = paused[timeout_paused] = service.start({"callback": 1}, seconds=2)
        service.ask("PauseDurableExecution", arn, ExecutionTimeoutPaused=timeout_paused)
    never_paused = service.start({"callback": 1}, seconds=2)
    for arn in (paused[False], never_paused):
        assert service.end(arn)["Status"] == "TIMED_OUT"
    assert service.status(paused[True]) == "PAUSED"
    service.ask("ResumeDurableExecution", paused[True])
    assert service.end(paused[True])["Status"] == "TIMED_OUT"


def test_the_time_of_a_pause_is_added_to_the_end(service: Service) -> None:
    arn = service.start({"callback": 1})
    service.callback_id(arn)
    before = service.ask("GetDurableExecution", arn)["ExpectedExecutionTimeoutTimestamp"]
    service.ask("PauseDurableExecution", arn)
    service.ask("ResumeDurableExecution", arn)
    [pause] = service.executor.journal.pauses(arn)
    after = service.ask("GetDurableExecution", arn)["ExpectedExecutionTimeoutTimestamp"]
    assert after - before == pytest.approx(pause.held_up(pause.requested), abs=0.001)
    assert after > before


def test_a_request_that_is_repeated_with_its_token_is_the_same(service: Service) -> None:
    arn = service.start({"callback": 1})
    service.callback_id(arn)
    service.ask("PauseDurableExecution", arn, ClientToken="p", Reason="r")
    service.ask("PauseDurableExecution", arn, ClientToken="p", Reason="r")
    for other in ({"ClientToken": "q"}, {"ClientToken": "p"}, {}):
        with pytest.raises(ResourceConflictException, match="paused already"):
            service.ask("PauseDurableExecution", arn, **other)
    service.ask("ResumeDurableExecution", arn, ClientToken="r")
    service.ask("ResumeDurableExecution", arn, ClientToken="r")
    with pytest.raises(ResourceConflictException, match="not paused"):
        service.ask("ResumeDurableExecution", arn, ClientToken="s")
    assert len(service.executor.journal.pauses(arn)) == 1


def test_a_paused_execution_can_be_stopped(service: Service) -> None:
    arn = service.start({"callback": 1})
    service.callback_id(arn)
    service.ask("PauseDurableExecution", arn)
    service.ask("StopDurableExecution", arn)
    assert service.status(arn) == "STOPPED"


def test_an_execution_that_has_ended_is_neither_paused_nor_resumed(service: Service) -> None:
    arn = service.start({})
    service.end(arn)
    for operation in ("PauseDurableExecution", "ResumeDurableExecution"):
        with pytest.raises(ResourceConflictException, match="is SUCCEEDED"):
            service.ask(operation, arn)


def test_only_an_execution_that_has_ended_is_deleted(service: Service) -> None:
    arn = service.start({"callback": 1})
    service.callback_id(arn)
    with pytest.raises(ResourceConflictException, match="has not ended"):
        service.ask("DeleteDurableExecution", arn)
    service.ask("StopDurableExecution", arn)
    deleted = service.ask("DeleteDurableExecution", arn)["DeletionRequestTimestamp"]
    assert datetime.now(UTC) - datetime.fromtimestamp(deleted, UTC) < timedelta(hours=1)
    with pytest.raises(ResourceNotFoundException):
        service.ask("GetDurableExecution", arn)


@pytest.mark.parametrize(
    "operation",
    [
        *("GetDurableExecution", "GetDurableExecutionHistory", "StopDurableExecution"),
        *("PauseDurableExecution", "ResumeDurableExecution", "DeleteDurableExecution"),
    ],
)
def test_what_is_not_there_is_not_found(service: Service, operation: str) -> None:
    with pytest.raises(ResourceNotFoundException):
        service.ask(operation, UNKNOWN)


def workers(arn: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if arn in thread.name]


def test_an_execution_that_has_ended_keeps_no_thread(service: Service) -> None:
    arn = service.start({"callback": 1})
    callback = service.callback_id(arn)
    assert workers(arn)
    service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback, Result="1")
    service.end(arn)
    wait_for(lambda: not workers(arn))
    for operation in ("PauseDurableExecution", "ResumeDurableExecution"):
        with pytest.raises(ResourceConflictException):
            service.ask(operation, arn)
        wait_for(lambda: not workers(arn))
    _is_closed(service, callback)
    wait_for(lambda: not workers(arn))
    _knows_no_token(service, arn, InvalidParameterValueException)
    service.ask("StopDurableExecution", arn)
    wait_for(lambda: not workers(arn))
    service.ask("DeleteDurableExecution", arn)
    wait_for(lambda: not workers(arn))
    for operation in ("Success", "Failure", "Heartbeat"):
        with pytest.raises(ResourceNotFoundException):
            service.ask(f"SendDurableExecutionCallback{operation}", CallbackId=callback)
        wait_for(lambda: not workers(arn))
    _knows_no_token(service, arn, ResourceNotFoundException)


def _knows_no_token(service: Service, arn: str, error: type[Exception]) -> None:
    for ask in (service.executor.checkpoint_execution, service.executor.get_execution_state):
        with pytest.raises(error):
            ask(arn, "dG9rZW4=")
        wait_for(lambda: not workers(arn))


def test_an_execution_that_is_deleted_while_its_handler_runs_keeps_no_thread(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    over = threading.Event()
    fail = service.executor._fail_invocation_not_found

    def failed(*arguments: Any) -> None:
        over.set()
        fail(*arguments)

    monkeypatch.setattr(service.executor, "_fail_invocation_not_found", failed)
    arn = service.start({"steps": 1})
    assert entered.wait(60)
    service.ask("StopDurableExecution", arn)
    service.ask("DeleteDurableExecution", arn)
    going.set()
    assert over.wait(60)
    wait_for(lambda: not workers(arn))


def test_an_execution_that_is_stopped_between_invocations_keeps_no_thread(
    service: Service,
) -> None:
    arn = service.start({"callback": 1})
    service.callback_id(arn)
    wait_for(lambda: service.executor._invocation_gate(arn).name == "PRE_INVOKE")
    service.ask("StopDurableExecution", arn)
    wait_for(lambda: not workers(arn))


def _kept(service: Service) -> dict[str, int]:
    """How many of what there are in everything in which the process keeps something."""
    parts = [service.executor, service.executor._registry, service.executor._scheduler]
    return {
        f"{type(part).__name__}.{name}": len(value)
        for part in parts
        for name, value in vars(part).items()
        if isinstance(value, (dict, list, set)) and value
    }


def test_nothing_is_kept_of_executions_that_have_ended(service: Service) -> None:
    before = _kept(service)
    for event in ({"steps": 2}, {"fail": True}, {"callback": 1}):
        going.set()
        arn = service.start(event)
        if "callback" in event:
            service.callback_id(arn)
            service.ask("StopDurableExecution", arn)
        service.end(arn)
    wait_for(lambda: _kept(service) == before)


def test_a_pause_that_the_journal_alone_has_holds_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path / "executions", handler) as service:
        arn = service.start({"callback": 1}, seconds=3600)
        callback = service.callback_id(arn)
        pause = Pause(datetime.now(UTC), None, None, timeout_paused=True)
        service.executor.journal.begin_pause(arn, pause)
    with serving(tmp_path / "executions", handler) as service:
        service.executor.recover()
        assert service.status(arn) == "PAUSED"
        service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback, Result="1")
        wait_for(lambda: service.executor.get_execution(arn).has_deferred_invocation)
        assert service.status(arn) == "PAUSED"
        service.ask("ResumeDurableExecution", arn)
        assert service.end(arn)["Status"] == "SUCCEEDED"


def test_a_resumption_that_the_journal_alone_has_holds_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path / "executions", handler) as service:
        arn = service.start({"callback": 1}, seconds=3600)
        callback = service.callback_id(arn)
        service.ask("PauseDurableExecution", arn)
        service.executor.journal.end_pause(arn, datetime.now(UTC), None, None)
    with serving(tmp_path / "executions", handler) as service:
        service.executor.recover()
        assert service.status(arn) == "RUNNING"
        service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback, Result="1")
        assert service.end(arn)["Status"] == "SUCCEEDED"


def test_a_paused_execution_is_still_paused_after_a_restart(tmp_path: Path) -> None:
    with serving(tmp_path / "executions", handler) as service:
        arn = service.start({"callback": 1}, seconds=3600)
        callback = service.callback_id(arn)
        service.ask("PauseDurableExecution", arn)
    with serving(tmp_path / "executions", handler) as service:
        assert service.executor.recover() == [arn]
        assert service.status(arn) == "PAUSED"
        service.ask("SendDurableExecutionCallbackSuccess", CallbackId=callback, Result="1")
        service.ask("ResumeDurableExecution", arn)
        assert service.end(arn)["Status"] == "SUCCEEDED"
