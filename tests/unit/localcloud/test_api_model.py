"""Requests of the durable API, as a stock client sends them, are read and checked by the model."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import botocore.session
import pytest

from localcloud.api_model import DurableApi, ParameterError

MODEL = botocore.session.get_session().get_service_model("lambda")
API = DurableApi(MODEL)
ARN = "arn:aws:lambda:eu-central-2:000000000000:function:f:1/durable-execution/name/id"
ONE = f"/2025-12-01/durable-executions/{quote(ARN, safe='')}"
LISTED = "/2025-12-01/functions/f/durable-executions"
CALLBACK = f"/2025-12-01/durable-execution-callbacks/{quote('YQ==', safe='')}"
MIB = 1024 * 1024


def read(method: str, path: str, query: dict[str, Any] | None = None, body: bytes = b"") -> Any:
    call = API.recognise(method, path)
    assert call
    return API.parameters(call, urlencode(query or {}, doseq=True), body)


DEPTHS = [1, 100, 300, 600, 900, 10_000]
"""Python's own limit is 1,000, and how much of it one level takes depends on who descends."""


def deep(levels: int) -> bytes:
    """So many lists in each other, of which the innermost one is not empty."""
    return b"[" * levels + b"1" + b"]" * levels


def checkpoint(**changes: Any) -> bytes:
    """The body of a checkpoint with one update."""
    update = {"Id": "a", "Type": "WAIT", "Action": "START", **changes}
    return json.dumps({"CheckpointToken": "YQ==", "Updates": [update]}).encode()


@pytest.mark.parametrize(
    ("method", "path", "operation", "status"),
    [
        ("GET", ONE, "GetDurableExecution", 200),
        ("DELETE", ONE, "DeleteDurableExecution", 202),
        ("GET", f"{ONE}/history", "GetDurableExecutionHistory", 200),
        ("GET", f"{ONE}/state", "GetDurableExecutionState", 200),
        ("POST", f"{ONE}/checkpoint", "CheckpointDurableExecution", 200),
        ("POST", f"{ONE}/stop", "StopDurableExecution", 200),
        ("POST", f"{ONE}/pause", "PauseDurableExecution", 202),
        ("POST", f"{ONE}/resume", "ResumeDurableExecution", 202),
        ("GET", LISTED, "ListDurableExecutionsByFunction", 200),
        ("POST", f"{CALLBACK}/succeed", "SendDurableExecutionCallbackSuccess", 200),
        ("POST", f"{CALLBACK}/fail", "SendDurableExecutionCallbackFailure", 200),
        ("POST", f"{CALLBACK}/heartbeat", "SendDurableExecutionCallbackHeartbeat", 200),
    ],
)
def test_an_operation_is_known_by_its_path(
    method: str, path: str, operation: str, status: int
) -> None:
    call = API.recognise(method, path)
    assert call
    assert (call.operation, call.status) == (operation, status)


def test_every_durable_operation_of_the_model_is_known() -> None:
    assert len(API._paths) == sum("Durable" in name for name in MODEL.operation_names) == 12


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", ONE), ("GET", "/2015-03-31/functions"), ("GET", f"{ONE}/none")]
)
def test_what_is_of_another_api_is_left_alone(method: str, path: str) -> None:
    assert API.recognise(method, path) is None


def test_parameters_have_the_models_names_and_types() -> None:
    started = datetime(2026, 1, 1, tzinfo=UTC)
    query = {
        "Statuses": ["FAILED", "TIMED_OUT"],
        "MaxItems": 0,
        "ReverseOrder": "true",
        "StartedAfter": started.isoformat(),
    }
    assert read("GET", LISTED, query) == {
        "FunctionName": "f",
        "Statuses": ["FAILED", "TIMED_OUT"],
        "MaxItems": 0,
        "ReverseOrder": True,
        "StartedAfter": started.timestamp(),
    }


def test_the_body_of_a_stop_is_the_error() -> None:
    error = {"ErrorType": "T", "ErrorMessage": "m", "ErrorData": "d", "StackTrace": ["one"]}
    body = json.dumps(error).encode()
    assert read("POST", f"{ONE}/stop", body=body) == {"DurableExecutionArn": ARN, "Error": error}
    assert read("POST", f"{ONE}/stop") == {"DurableExecutionArn": ARN}


def test_the_body_of_a_callback_is_the_result_and_that_of_a_pause_an_object() -> None:
    assert read("POST", f"{CALLBACK}/succeed", body=b"not json")["Result"] == "not json"
    asked = b'{"Reason": "r", "ExecutionTimeoutPaused": false, "ClientToken": null, "Other": 1}'
    assert read("POST", f"{ONE}/pause", body=asked) == {
        "DurableExecutionArn": ARN,
        "Reason": "r",
        "ExecutionTimeoutPaused": False,
    }


@pytest.mark.parametrize("depth", [1, 100, 300, 600])
def test_what_the_model_does_not_know_is_not_looked_at(depth: int) -> None:
    body = b'{"ErrorType": "T", "Other": %s}' % deep(depth)
    assert read("POST", f"{ONE}/stop", body=body)["Error"] == {"ErrorType": "T"}


def test_what_is_null_is_not_there() -> None:
    body = checkpoint(Name=None, WaitOptions=None, Error={"ErrorType": None, "StackTrace": None})
    [update] = read("POST", f"{ONE}/checkpoint", body=body)["Updates"]
    assert update == {"Id": "a", "Type": "WAIT", "Action": "START", "Error": {}}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"MaxItems": 1001}, "at 'maxItems' .* less than or equal to 1000"),
        ({"MaxItems": -1}, "at 'maxItems' .* greater than or equal to 0"),
        *(({"MaxItems": n}, "not of type integer") for n in ("1_0", " 1", "\u0661", "True", "1.0")),
        *(({"StartedAfter": at}, "not of type timestamp") for at in ("1e400", "nan", "9" * 20)),
        ({"MaxItems": "many"}, "Value 'many' at 'maxItems' is not of type integer"),
        ({"ReverseOrder": "yes"}, "'reverseOrder' is not of type boolean"),
        ({"StartedAfter": "noon"}, "'startedAfter' is not of type timestamp"),
        ({"Statuses": ["FAILED", "BOGUS"]}, "'BOGUS' at 'statuses.2.member' .* enum"),
        ({"Statuses": ["FAILED"] * 11}, "at 'statuses' .* less than or equal to 10"),
        ({"DurableExecutionName": "a.b"}, "'a.b' at 'durableExecutionName' .* pattern"),
        ({"Qualifier": ""}, "at 'qualifier' .* length greater than or equal to 1"),
    ],
)
def test_a_list_that_is_asked_for_wrongly_is_refused(query: dict[str, Any], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        read("GET", LISTED, query)


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (f"{ONE}/stop", b"[]", "at 'error' is not of type structure"),
        (f"{ONE}/stop", b"{", "Could not parse request body"),
        (f"{ONE}/stop", b'{"StackTrace": [1]}', "'error.stackTrace.1.member' is not of type str"),
        (f"{ONE}/pause", b"[]", "must be a JSON object"),
        *((f"{ONE}/stop", b'{"StackTrace": %s}' % deep(n), "stackTrace|parse") for n in DEPTHS),
        (f"{ONE}/pause", b"[" * 100_000, "Could not parse request body"),
        (f"{ONE}/pause", b'{"Reason": "\\ud800"}', "at 'reason' .* be text"),
        (f"{ONE}/pause", b'{"ExecutionTimeoutPaused": 1}', "Paused' is not of type boolean"),
        (f"{ONE}/stop", b'{"StackTrace": ["\\udfff"]}', "'error.stackTrace.1.member' .* be text"),
        (f"{ONE}/checkpoint", b"", "'checkpointToken' .* not be null"),
        (f"{ONE}/checkpoint", checkpoint(Action="BEGIN"), "'updates.1.member.action' .* enum"),
        (f"{ONE}/checkpoint", checkpoint(Action=None), "'updates.1.member.action' .* not be null"),
        (f"{ONE}/checkpoint", checkpoint(WaitOptions={"WaitSeconds": True}), "of type integer"),
        (f"{ONE}/checkpoint", checkpoint(WaitOptions={"WaitSeconds": 1.0}), "of type integer"),
        (f"{ONE}/checkpoint", checkpoint(WaitOptions={"WaitSeconds": 0}), "or equal to 1"),
        (f"{ONE}/pause", b'{"Reason": "%s"}' % (b"x" * 1025), "'reason' .* or equal to 1024"),
        (f"{CALLBACK}/succeed", b"\xff", "must be text in UTF-8"),
        (f"{CALLBACK}/succeed", b"x" * (MIB + 1), "at 'result' .* or equal to 1048576"),
        (f"{CALLBACK}/fail", b'{"ErrorData": "%s"}' % (b"x" * MIB), "combined size .* 1048576"),
        ("/2025-12-01/durable-executions/not-an-arn/stop", b"", "'not-an-arn' .* pattern"),
        ("/2025-12-01/durable-execution-callbacks/no-id/heartbeat", b"", "'no-id' .* pattern"),
    ],
)
def test_a_request_that_is_not_as_the_model_has_it_is_refused(
    path: str, body: bytes, words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        read("POST", path, body=body)


def test_a_result_at_the_limit_is_taken() -> None:
    assert len(read("POST", f"{CALLBACK}/succeed", body=b"x" * MIB)["Result"]) == MIB
