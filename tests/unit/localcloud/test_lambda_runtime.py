"""What ministack says of an invocation becomes what Lambda says of it."""

from __future__ import annotations

import asyncio
import base64
import threading
from queue import Queue
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud import lambda_runtime
from localcloud.lambda_runtime import (
    LOG_TAIL_BYTES,
    giving_out_the_log,
    lambda_error,
    log_to_the_mark,
    logging_variables,
    reading_to_the_mark,
    setting_up_logging,
    telling_errors,
    timing,
    worker_script,
)
from localcloud.worker_prelude import END_OF_LOG, handler_error


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("Worker process died", "Runtime.ExitError"),
        ("Worker process exited immediately. stderr: x", "Runtime.ExitError"),
        ("[Errno 32] Broken pipe", "Runtime.ExitError"),
        ("Task timed out after 1.00 seconds", "Sandbox.Timedout"),
        (f"Worker init failed: {handler_error(KeyError('k'))}", "KeyError"),
        (handler_error(ValueError("v")), "ValueError"),
        ("Unsupported runtime: cobol", "RuntimeError"),
    ],
)
def test_an_error_has_lambdas_type(said: str, kind: str) -> None:
    error = lambda_error({"errorType": "RuntimeError", "errorMessage": said}, "r-1")
    assert error["errorType"] == kind
    if kind in ("Runtime.ExitError", "Sandbox.Timedout"):
        assert error["errorMessage"].startswith("RequestId: r-1 Error: ")


def test_an_error_is_told_once_and_not_in_the_log() -> None:
    told = handler_error(ValueError("v"))
    result = {"body": {"errorMessage": told}, "error": True, "log": f"first\n{told}\nlast"}
    executed = telling_errors(lambda *_: result)(None, None, "r-1")
    assert executed["log"] == "first\nlast"
    assert executed["body"]["errorMessage"] == "v"
    assert executed["body"]["requestId"] == "r-1"


def test_an_answer_stays_as_it_is() -> None:
    result = {"body": {"errorMessage": "a field of its own"}, "log": "l"}
    assert telling_errors(lambda *_: result)(None, None, "r-1") == result


@pytest.mark.parametrize(
    ("config", "variables"),
    [
        ({}, {"AWS_LAMBDA_LOG_FORMAT": "Text"}),
        (
            {"LogFormat": "JSON"},
            {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": "INFO"},
        ),
        (
            {"LogFormat": "JSON", "ApplicationLogLevel": "DEBUG", "LogGroup": "g"},
            {
                "AWS_LAMBDA_LOG_FORMAT": "JSON",
                "AWS_LAMBDA_LOG_LEVEL": "DEBUG",
                "AWS_LAMBDA_LOG_GROUP_NAME": "g",
            },
        ),
    ],
)
def test_a_worker_is_told_how_to_log(config: dict[str, str], variables: dict[str, str]) -> None:
    assert logging_variables(config) == variables
    made: list[Any] = []
    own = {"LoggingConfig": config, "Environment": {"Variables": {"A": "1"}}}
    setting_up_logging(lambda *arguments: made.append(arguments))(None, "f", own, b"zip")
    assert made[0][2]["Environment"]["Variables"] == {"A": "1"} | variables
    assert own["Environment"] == {"Variables": {"A": "1"}}, "the function's own stay as they are"


async def _answer(*_: Any, **__: Any) -> Any:
    """As ministack answers: what ran has told its request and its log."""
    execute = timing(lambda *_: {"body": "done"})
    execute({}, {"Version": "3"}, {}, "r-1", 0.0)
    return 200, {"X-Amz-Log-Result": base64.b64encode(b"of the function").decode()}, b"done"


def test_the_log_that_is_given_out_has_the_platforms_lines() -> None:
    invoke = giving_out_the_log(_answer)
    _, headers, _ = asyncio.run(invoke("f", {}, {"x-amz-log-type": "Tail"}))
    log = base64.b64decode(headers["X-Amz-Log-Result"]).decode().splitlines()
    assert log[:3] == ["START RequestId: r-1 Version: 3", "of the function", "END RequestId: r-1"]
    assert log[3].startswith("REPORT RequestId: r-1\tDuration: ")


def test_it_is_not_given_out_unasked_and_ends_at_its_limit() -> None:
    async def long(*_: Any) -> Any:
        _, _, body = await _answer()
        return 200, {"X-Amz-Log-Result": base64.b64encode(b"x" * 9000).decode()}, body

    _, headers, _ = asyncio.run(giving_out_the_log(long)("f", {}, {"X-Amz-Log-Type": "Tail"}))
    assert len(base64.b64decode(headers["X-Amz-Log-Result"])) == LOG_TAIL_BYTES

    async def plain(*_: Any) -> Any:
        return 200, {}, b""

    assert asyncio.run(giving_out_the_log(plain)("f", {}, {}))[1] == {}


def lines(*written: str) -> Queue[str]:
    queue: Queue[str] = Queue()
    for line in written:
        queue.put(line)
    return queue


def test_a_log_is_all_before_its_mark() -> None:
    alive = threading.current_thread()
    queue = lines("one", "two", END_OF_LOG, "of the next one", f"no newline{END_OF_LOG}")
    assert log_to_the_mark(queue, alive) == "one\ntwo"
    assert log_to_the_mark(queue, alive) == "of the next one\nno newline"
    assert log_to_the_mark(lines("", END_OF_LOG), alive) == "", "an empty line is a line"


def test_a_log_of_a_worker_that_ended_is_what_there_is() -> None:
    ended = threading.Thread(target=print)
    assert log_to_the_mark(lines("one", "two"), ended) == "one\ntwo"


def test_a_mark_is_waited_for() -> None:
    queue = lines("one")
    late = threading.Timer(0.2, queue.put, ["two"])
    last = threading.Timer(0.3, queue.put, [END_OF_LOG])
    late.start()
    last.start()
    assert log_to_the_mark(queue, threading.current_thread()) == "one\ntwo"
    last.join()


def test_only_workers_that_give_a_mark_are_read_to_it() -> None:
    read = reading_to_the_mark(lambda *_: "as ministack does")
    given = {"_stderr_queue": lines("one", END_OF_LOG), "_stderr_thread": threading.main_thread()}
    python = SimpleNamespace(config={"Runtime": "python3.14"}, **given)
    assert read(python) == "one"
    assert read(SimpleNamespace(config={"Runtime": "nodejs22.x"})) == "as ministack does"


def test_our_marks_do_not_stay_in_a_log_that_was_cut_off() -> None:
    result = {"body": {}, "error": True, "log": f"one\n{END_OF_LOG}"}
    assert telling_errors(lambda *_: result)(None, None, "r-1")["log"] == "one"


def test_another_script_than_the_one_that_was_read_is_refused() -> None:
    with pytest.raises(ValueError, match="worker script"):
        worker_script("print()")


def test_all_of_it_is_put_in_place() -> None:
    script = "".join(f"{part}\n" for part in lambda_runtime._EDITS)
    worker = type("Worker", (), {"_drain_stderr_bounded": print, "invoke": print})
    runtime = SimpleNamespace(_PYTHON_WORKER_SCRIPT=script, Worker=worker)
    service = SimpleNamespace(
        _execute_function_warm=print, _execute_function_dispatch=print, _invoke=print
    )
    lambda_runtime.install(service, runtime)
    assert "set_up_logging()" in runtime._PYTHON_WORKER_SCRIPT
    assert print not in (*vars(service).values(), *vars(runtime.Worker).values())
