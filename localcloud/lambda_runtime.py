"""What Lambda's own runtime does around a handler, for the workers in which ministack runs one.

Logging is set up as a function's LoggingConfig says, errors have Lambda's types and words, a worker
goes on after an error that its handler has raised, and the tail of the log is given out with the
answer. The words are those of AWS's runtime for Python,
https://github.com/aws/aws-lambda-python-runtime-interface-client.

ministack's own interpreter runs this module: it imports nothing but the standard library.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from typing import Any

from localcloud import worker_prelude
from localcloud.ministack import wrap
from localcloud.worker_prelude import END_OF_LOG, TOLD

Action = Callable[..., Any]
Document = dict[str, Any]

LOG_TAIL_BYTES = 4096
# A worker whose handler has put something else in the place of its standard error gives no mark.
_LOG_SECONDS = 5.0
_LOOK_SECONDS = 0.05
_DIED = re.compile(r"Worker process (died|exited immediately)|\[Errno 32\] Broken pipe")
_TIMED_OUT = re.compile(r"Task timed out after \d+\.\d\d seconds")

# Where an answer has the error that the handler has raised.
_RAISED = "raised"

# Of our own lines, those that stand in the log of a worker that was killed.
_MARKS = (TOLD, END_OF_LOG)

# What of the script becomes what. Each is there once.
_IMPORT = "        mod = importlib.import_module(module_name)\n"
_INIT_ERROR = '_real_stdout.write(json.dumps({"status": "error", "error": str(e)}) + "\\n")'
_ANSWER = '            _real_stdout.write(json.dumps({"status": "ok",'
_ERROR = (
    '            _real_stdout.write(json.dumps({"status": "error", '
    '"error": str(e), "trace": traceback.format_exc()'
)
_CONTEXT = '        _function_name = init.get("function_name", "")\n'
_EDITS = {
    _IMPORT: f"        set_up_logging()\n{_IMPORT}",
    _INIT_ERROR: _INIT_ERROR.replace("str(e)", "init_error(e, module_name, handler_name)"),
    _ANSWER: f"            end_log()\n{_ANSWER}",
    _ERROR: "            end_log()\n"
    + _ERROR.replace('"error", "error": str(e)', f'"ok", "{_RAISED}": handler_error(e)'),
    _CONTEXT: f'        current_invocation["request_id"] = _ms_ctx["request_id"]\n{_CONTEXT}',
}


@dataclass
class _Invocation:
    """What is known of an invocation once it has run."""

    request_id: str = ""
    version: str = "$LATEST"
    milliseconds: int = 0


_invocation: ContextVar[_Invocation | None] = ContextVar("invocation", default=None)


def install(lambda_service: Any, runtime: Any) -> None:
    """Have ministack run handlers so; these are its modules `lambda_svc` and `lambda_runtime`."""
    script = worker_script(runtime._PYTHON_WORKER_SCRIPT)
    runtime._PYTHON_WORKER_SCRIPT = script
    runtime.Worker.__init__ = setting_up_logging(runtime.Worker.__init__)
    drain = runtime.Worker._drain_stderr_bounded
    runtime.Worker._drain_stderr_bounded = reading_to_the_mark(drain)
    runtime.Worker.invoke = outliving_errors(runtime.Worker.invoke)
    wrap(lambda_service, "_execute_function_warm", telling_errors)
    wrap(lambda_service, "_execute_function_dispatch", timing)
    wrap(lambda_service, "_invoke", giving_out_the_log)


def worker_script(script: str) -> str:
    """Return ministack's worker script with logging and errors as of Lambda's runtime.

    Raises ValueError if it is not the script that was read.
    """
    for before, after in _EDITS.items():
        if script.count(before) != 1:
            raise ValueError(f"ministack's worker script has not once: {before.strip()}")
        script = script.replace(before, after)
    return Path(worker_prelude.__file__).read_text() + script


def setting_up_logging(init: Action) -> Action:
    """Return the worker's constructor so that its process is told how to log."""

    def made(worker: Any, name: str, config: Mapping[str, Any], code: bytes) -> None:
        variables = (config.get("Environment") or {}).get("Variables") or {}
        told = logging_variables(config.get("LoggingConfig") or {})
        init(worker, name, {**config, "Environment": {"Variables": {**variables, **told}}}, code)

    return made


def logging_variables(logging_config: Mapping[str, str]) -> dict[str, str]:
    """Return what Lambda sets in the environment for a function's LoggingConfig."""
    log_format = logging_config.get("LogFormat", "Text")
    variables = {"AWS_LAMBDA_LOG_FORMAT": log_format}
    if "LogGroup" in logging_config:
        variables["AWS_LAMBDA_LOG_GROUP_NAME"] = logging_config["LogGroup"]
    if log_format == "JSON":
        variables["AWS_LAMBDA_LOG_LEVEL"] = logging_config.get("ApplicationLogLevel", "INFO")
    return variables


def reading_to_the_mark(drain: Action) -> Action:
    """Return ministack's reading of an invocation's log; of a Python worker's it is all, at once.

    ministack looks every millisecond until nothing has come for five, or nothing at all for fifty.
    """

    def read(worker: Any, *arguments: Any, **named: Any) -> str:
        if worker.config.get("Runtime", "python").startswith("python"):
            return log_to_the_mark(worker._stderr_queue, worker._stderr_thread)
        log: str = drain(worker, *arguments, **named)
        return log

    return read


def log_to_the_mark(lines: Queue[str], reader: threading.Thread) -> str:
    """Return the lines before the mark, or all of a worker that has ended without one.

    `reader` puts them into the queue for as long as the worker has its end of them open.
    """
    log: list[str] = []
    give_up_at = time.monotonic() + _LOG_SECONDS
    while time.monotonic() < give_up_at:
        is_all = not reader.is_alive()
        try:
            own, mark, _ = lines.get(timeout=0 if is_all else _LOOK_SECONDS).partition(END_OF_LOG)
        except Empty:
            if is_all:
                break
            continue
        if own or not mark:
            log.append(own)
        if mark:
            break
    return "\n".join(log)


def outliving_errors(invoke: Action) -> Action:
    """Return the worker's invocation so that its process goes on after an error of the handler.

    ministack ends a worker whose answer is an error; Lambda ends an environment that has died or
    was too slow, and keeps one whose handler has raised.
    """

    def invoked(worker: Any, *arguments: Any, **named: Any) -> Document:
        answer: Document = invoke(worker, *arguments, **named)
        if _RAISED in answer:
            answer = {**answer, "status": "error", "error": answer[_RAISED]}
        return answer

    return invoked


def telling_errors(execute: Action) -> Action:
    """Return ministack's execution in a worker, with errors in Lambda's words."""

    def executed(function: Any, event: Any, request_id: str) -> Document:
        result: Document = execute(function, event, request_id)
        body = result.get("body")
        if result.get("error") and isinstance(body, dict) and "errorMessage" in body:
            result = {**result, "body": lambda_error(body, request_id)}
        if isinstance(result.get("log"), str) and any(mark in result["log"] for mark in _MARKS):
            lines = result["log"].splitlines()
            result = {**result, "log": "\n".join(x for x in lines if not x.startswith(_MARKS))}
        return result

    return executed


def lambda_error(body: Document, request_id: str) -> Document:
    """Return the error that Lambda answers for what ministack says of one."""
    message = str(body["errorMessage"])
    _, told, document = message.partition(TOLD)
    if told:
        error: Document = json.loads(document)
        return {**error, "requestId": request_id}
    if _TIMED_OUT.fullmatch(message):
        return _of_sandbox("Sandbox.Timedout", f"RequestId: {request_id} Error: {message}")
    if _DIED.search(message):
        why = "Runtime exited without providing a reason"
        return _of_sandbox("Runtime.ExitError", f"RequestId: {request_id} Error: {why}")
    return body


def _of_sandbox(kind: str, message: str) -> Document:
    return {"errorType": kind, "errorMessage": message}


def timing(execute: Action) -> Action:
    """Return ministack's execution so that an Invoke learns of its request's id and duration."""

    def executed(
        function: Any, config: Mapping[str, Any], event: Any, request_id: str, started: float
    ) -> Any:
        result = execute(function, config, event, request_id, started)
        invocation = _invocation.get()
        if invocation:
            invocation.request_id = request_id
            invocation.version = config.get("Version", "$LATEST")
            invocation.milliseconds = int((time.time() - started) * 1000)
        return result

    return executed


def giving_out_the_log(invoke: Action) -> Action:
    """Return ministack's answer to Invoke, with the platform's lines in the log that it gives out.

    ministack leaves out the log of a function that has written nothing.
    """

    async def invoked(
        name: str, event: Any, headers: Mapping[str, str], *rest: Any, **named: Any
    ) -> Any:
        invocation = _Invocation()
        token = _invocation.set(invocation)
        try:
            status, answered, body = await invoke(name, event, headers, *rest, **named)
        finally:
            _invocation.reset(token)
        wanted = {key.lower(): value for key, value in headers.items()}.get("x-amz-log-type")
        if wanted == "Tail" and invocation.request_id:
            own = base64.b64decode(answered.get("X-Amz-Log-Result", "")).decode(errors="replace")
            log = platform_log(own, invocation).encode()[-LOG_TAIL_BYTES:]
            answered = {**answered, "X-Amz-Log-Result": base64.b64encode(log).decode()}
        return status, answered, body

    return invoked


def platform_log(own: str, invocation: _Invocation) -> str:
    """Return the log of an invocation: what the function wrote, between Lambda's own lines."""
    request = f"RequestId: {invocation.request_id}"
    duration = f"{invocation.milliseconds} ms"
    lines = (
        f"START {request} Version: {invocation.version}",
        *own.splitlines(),
        f"END {request}",
        f"REPORT {request}\tDuration: {duration}\tBilled Duration: {duration}",
    )
    return "".join(f"{line}\n" for line in lines)
