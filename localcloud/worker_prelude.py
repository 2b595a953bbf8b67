"""What stands before ministack's worker script, in the process that runs a handler.

Lambda's runtime for Python sets up logging and tells errors so; see `lambda_runtime`, which puts
the text of this file there. The process has nothing else of this project.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
import traceback
from typing import Any

TOLD = "lambda-error:"
"""Marks an error that is told as a document."""

END_OF_LOG = "\0localcloud:end-of-log\0"
"""Marks where the log of an invocation ends."""

current_invocation: dict[str, str] = {}
"""`request_id` of the invocation that runs."""

_OF_EVERY_RECORD = {*logging.makeLogRecord({}).__dict__, "message", "asctime", "taskName"}


def handler_error(error: BaseException) -> str:
    """Tell what a handler has raised."""
    trace = traceback.format_tb(error.__traceback__)
    return _told(type(error).__name__, str(error), trace)


def init_error(error: BaseException, module: str, handler: str) -> str:
    """Tell why there is no handler to run."""
    if isinstance(error, ImportError):
        kind, message = "ImportModuleError", f"Unable to import module '{module}': {error}"
    elif isinstance(error, SyntaxError):
        kind, message = "UserCodeSyntaxError", f"Syntax error in module '{module}': {error}"
    elif isinstance(error, AttributeError) and repr(handler) in str(error):
        kind, message = "HandlerNotFound", f"Handler '{handler}' missing on module '{module}'"
    else:
        return handler_error(error)
    return _told(f"Runtime.{kind}", message, [])


def _told(kind: str, message: str, trace: list[str]) -> str:
    return TOLD + json.dumps({"errorType": kind, "errorMessage": message, "stackTrace": trace})


def end_log() -> None:
    """Mark the end of what an invocation has written, before its answer is given."""
    # A handler may have closed what it writes to, or put something else in its place.
    with contextlib.suppress(OSError, ValueError, AttributeError):
        sys.stderr.flush()
    with contextlib.suppress(OSError):
        os.write(2, f"{END_OF_LOG}\n".encode())


class JsonLines(logging.Formatter):
    """Each record as an object, with what the caller has given in `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """As JSON, in one line."""
        line: dict[str, Any] = {
            "timestamp": self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ"),
            "level": record.levelname,
            "message": record.getMessage(),
            "logger": record.name,
            "requestId": current_invocation.get("request_id"),
        }
        if record.exc_info and record.exc_info[0]:
            kind, error, trace = record.exc_info
            line["errorType"] = kind.__name__
            line["errorMessage"] = str(error)
            line["stackTrace"] = traceback.format_tb(trace)
        given = {k: v for k, v in vars(record).items() if k not in _OF_EVERY_RECORD | set(line)}
        return json.dumps(line | given, default=str)


class TextLines(logging.Formatter):
    """Each record as a line of text, with its request."""

    def __init__(self) -> None:
        super().__init__(
            "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s",
            "%Y-%m-%dT%H:%M:%S",
        )

    def format(self, record: logging.LogRecord) -> str:
        """As text."""
        record.aws_request_id = current_invocation.get("request_id", "")
        return super().format(record)


def set_up_logging() -> None:
    """Have the root logger write in the format and from the level that the environment says."""
    is_json = os.environ.get("AWS_LAMBDA_LOG_FORMAT") == "JSON"
    formatter = JsonLines() if is_json else TextLines()
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logging.getLogger().addHandler(handler)
    level = os.environ.get("AWS_LAMBDA_LOG_LEVEL")
    if level:
        logging.getLogger().setLevel({"TRACE": "DEBUG"}.get(level, level))
