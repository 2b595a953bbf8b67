"""A handler's log and its errors are what Lambda's runtime for Python makes of them."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from localcloud import worker_prelude
from localcloud.worker_prelude import TOLD, handler_error, init_error


def told(error: str) -> dict[str, object]:
    assert error.startswith(TOLD)
    found: dict[str, object] = json.loads(error.removeprefix(TOLD))
    return found


def test_an_error_of_a_handler_has_its_type_and_its_trace() -> None:
    try:
        os.environ["MISSING"]
    except KeyError as error:
        document = told(handler_error(error))
    assert (document["errorType"], document["errorMessage"]) == ("KeyError", "'MISSING'")
    assert "test_worker_prelude.py" in str(document["stackTrace"])


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (
            ModuleNotFoundError("No module named 'x'"),
            "Runtime.ImportModuleError",
            "Unable to import module 'app': No module named 'x'",
        ),
        (
            SyntaxError("invalid syntax"),
            "Runtime.UserCodeSyntaxError",
            "Syntax error in module 'app': invalid syntax",
        ),
        (
            AttributeError("module 'app' has no attribute 'handler'"),
            "Runtime.HandlerNotFound",
            "Handler 'handler' missing on module 'app'",
        ),
        (AttributeError("module 'app' has no attribute 'other'"), "AttributeError", None),
        (ValueError("of the module"), "ValueError", "of the module"),
    ],
)
def test_why_there_is_no_handler(error: Exception, kind: str, message: str | None) -> None:
    document = told(init_error(error, "app", "handler"))
    assert document["errorType"] == kind
    assert message is None or document["errorMessage"] == message


def logged(script: str, **environment: str) -> list[str]:
    """Run a handler's code behind the prelude, in a process of its own; return its log."""
    prelude = Path(worker_prelude.__file__).read_text()
    code = f"{prelude}\ncurrent_invocation['request_id'] = 'r-1'\nset_up_logging()\n{script}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stderr.splitlines()


def test_json_lines_have_the_message_the_request_and_what_was_given() -> None:
    script = "logging.info('hello %s', 'you', extra={'executionArn': 'arn'})\nlogging.debug('no')"
    (line,) = logged(script, AWS_LAMBDA_LOG_FORMAT="JSON", AWS_LAMBDA_LOG_LEVEL="INFO")
    document = json.loads(line)
    assert document.pop("timestamp").endswith("Z")
    assert document == {
        "level": "INFO",
        "message": "hello you",
        "logger": "root",
        "requestId": "r-1",
        "executionArn": "arn",
    }


def test_a_json_line_has_the_error() -> None:
    script = "try:\n    1 / 0\nexcept ZeroDivisionError:\n    logging.exception('oh')"
    (line,) = logged(script, AWS_LAMBDA_LOG_FORMAT="JSON")
    document = json.loads(line)
    assert (document["errorType"], document["errorMessage"]) == (
        "ZeroDivisionError",
        "division by zero",
    )


def test_text_lines_start_at_warnings() -> None:
    (line,) = logged("logging.info('no')\nlogging.warning('yes')")
    level, at, request, message = line.split("\t")
    assert (level, request, message) == ("[WARNING]", "r-1", "yes")
    assert at.endswith("Z")


def test_the_level_is_lambdas_word() -> None:
    lines = logged("logging.debug('yes')", AWS_LAMBDA_LOG_LEVEL="TRACE")
    assert len(lines) == 1
    assert logged("logging.warning('no')", AWS_LAMBDA_LOG_LEVEL="ERROR") == []
    assert logging.getLevelName("WARN") == logging.WARNING


def test_the_end_of_a_log_is_marked_whatever_a_handler_has_done_to_its_streams() -> None:
    prelude = Path(worker_prelude.__file__).read_text()
    for done in ("", "sys.stderr.close()", "sys.stderr = None", "sys.stderr = sys.stdout"):
        script = f"{prelude}\nsys.stderr.write('no newline')\n{done}\nend_log()\n"
        ran = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
        if "close" not in done:  # of which nothing is left to be marked
            assert ran.stderr.decode() == f"no newline{worker_prelude.END_OF_LOG}\n"
