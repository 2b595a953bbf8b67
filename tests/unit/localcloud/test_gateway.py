"""What the gateway refuses, in Lambda's words, and whose events may become dead letters."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from localcloud import gateway
from localcloud.async_dead_letters import AsyncExecution
from localcloud.executions import ExecutionRecord, error_document
from localcloud.functions import DurableConfiguration, Function
from localcloud.gateway import AwsError, Gateway
from localcloud.settings import Settings


def test_no_payload_is_an_empty_object() -> None:
    assert gateway._checked_input(b"", "RequestResponse") == "{}"


def test_a_payload_is_passed_on_character_by_character() -> None:
    text = '{"n": 1.10, "ü": "\\u00fc"}'
    assert gateway._checked_input(text.encode(), "Event") == text


@pytest.mark.parametrize(
    ("body", "kind", "error_type"),
    [
        (b"{", "RequestResponse", "InvalidRequestContentException"),
        (b"\xff", "RequestResponse", "InvalidRequestContentException"),
        (b"[" * 100_000, "Event", "InvalidRequestContentException"),
        (b"1" * (1024 * 1024 + 1), "Event", "RequestTooLargeException"),
        (b"1" * (6 * 1024 * 1024 + 1), "RequestResponse", "RequestTooLargeException"),
        (b"{}", "Other", "InvalidParameterValueException"),
    ],
)
def test_an_input_that_lambda_would_not_take(body: bytes, kind: str, error_type: str) -> None:
    with pytest.raises(AwsError) as caught:
        gateway._checked_input(body, kind)
    assert caught.value.error_type == error_type


@pytest.mark.parametrize(
    ("kind", "size"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)]
)
def test_an_input_at_the_limit_is_taken(kind: str, size: int) -> None:
    assert len(gateway._checked_input(b'"' + b"x" * (size - 2) + b'"', kind)) == size


def test_who_waits_for_an_execution_waits_15_minutes_at_most() -> None:
    gateway._require_short(DurableConfiguration(900, 1))
    with pytest.raises(AwsError, match="cannot synchronously invoke a durable function"):
        gateway._require_short(DurableConfiguration(901, 1))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65])
def test_an_execution_name_that_lambda_would_not_take(name: str) -> None:
    with pytest.raises(AwsError, match="must match"):
        gateway._checked_name(name)


def test_the_same_name_takes_the_same_input_only() -> None:
    existing = ExecutionRecord("arn", "f", "1", "name", '{"a": 1, "b": 2}')
    gateway._require_same_input(existing, '{"b":2,"a":1}')
    with pytest.raises(AwsError) as caught:
        gateway._require_same_input(existing, '{"a": 2}')
    assert (caught.value.status, caught.value.error_type) == (
        409,
        "DurableExecutionAlreadyStartedException",
    )


def test_an_error_has_the_shape_that_boto3_reads() -> None:
    response = AwsError(404, "ResourceNotFoundException", "no").response()
    assert response.status == 404
    assert response.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"
    assert json.loads(response.text or "")["Message"] == "no"


def test_an_execution_without_an_error_of_its_own_is_reported_by_its_status() -> None:
    document = error_document({"Error": {"ErrorMessage": "too late"}}, "TIMED_OUT")
    assert document == {"errorType": "TIMED_OUT", "errorMessage": "too late", "stackTrace": []}


class Record:
    """Stands for the executions and their dead letters; notes what begins and what is watched."""

    def __init__(self) -> None:
        self.begun: dict[str, ExecutionRecord] = {}
        self.watched: list[AsyncExecution] = []

    def find_named(self, function_name: str, name: str) -> ExecutionRecord | None:
        return self.begun.get(name)

    async def start(self, function: Function, _: object, payload: str, arn: str, **__: bool) -> str:
        name = arn.split("/")[2]
        self.begun[name] = ExecutionRecord(arn, function.name, function.version, name, payload)
        return arn

    async def watch(self, execution: AsyncExecution, start: Callable[[], Awaitable[str]]) -> str:
        self.watched.append(execution)
        return await start()


@pytest.mark.parametrize(
    ("name", "asynchronous", "queue", "watched"),
    [
        ("name", True, "queue", 1),
        (None, True, "queue", 2),
        ("name", True, None, 0),
        ("name", False, "queue", 0),
    ],
)
def test_an_execution_is_watched_by_who_begins_it(
    tmp_path: Path, name: str | None, asynchronous: bool, queue: str | None, watched: int
) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    settings.make_credentials()
    settings.executions_file.parent.mkdir(parents=True, exist_ok=True)
    found = Gateway(settings, cast("Any", None))
    found._executions._connection.close()
    record: Any = Record()
    found._executions = found._dead_letters = record
    durable = DurableConfiguration(60, 7, queue)
    function = Function("f", "arn:f", "3", "role", durable)

    async def twice() -> list[str]:
        start = found._start
        return [
            await start(function, durable, "{}", name, asynchronous=asynchronous) for _ in range(2)
        ]

    arns = asyncio.run(twice())
    assert [execution.arn for execution in record.watched] == arns[:watched]
    assert all(arn.startswith("arn:f:3/durable-execution/") for arn in arns)
