"""The event of an execution that nobody waited for, and that failed, becomes a dead letter."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from localcloud.executions import CompletionWatcher
from localcloud.permissions import Permissions
from localcloud.runner_client import Runner
from localcloud.unattended import (
    DeadLetters,
    UnattendedExecution,
    UnattendedExecutions,
    is_asynchronous,
    name_of_event,
)

ARN = "arn:aws:lambda:eu-central-2:000000000000:function:f:1/durable-execution/name/id"
QUEUE = "arn:aws:sqs:eu-central-2:000000000000:dead"
EVENT = '{"Records": [{"eventSource": "aws:s3", "n": 1.10}]}'
EXECUTION = UnattendedExecution(ARN, EVENT, "role", QUEUE)


class FakeWatcher:
    """Says how each execution has ended, at once or when asked to."""

    def __init__(self, status: str, *, at_once: bool = True) -> None:
        self.status = status
        self.asked = 0
        self.ended = asyncio.Event()
        if at_once:
            self.ended.set()

    async def wait(self, arn: str) -> str:
        self.asked += 1
        await self.ended.wait()
        return self.status


class Buried:
    """Keeps what it was told to bury; fails as often as told to."""

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.executions: list[tuple[UnattendedExecution, str]] = []

    async def bury(self, execution: UnattendedExecution, status: str) -> None:
        if self.failures:
            self.failures -= 1
            raise EndpointConnectionError(endpoint_url="there")
        self.executions.append((execution, status))


def unattended(directory: Path, watcher: FakeWatcher, buried: Buried) -> UnattendedExecutions:
    return UnattendedExecutions(directory, cast("CompletionWatcher", watcher), buried)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "STOPPED"])
def test_what_did_not_succeed_is_buried_once_and_forgotten(tmp_path: Path, status: str) -> None:
    async def scenario() -> Buried:
        buried = Buried()
        looked_after = unattended(tmp_path, FakeWatcher(status), buried)
        looked_after.watch(EXECUTION)
        looked_after.watch(EXECUTION)
        await settled()
        return buried

    assert asyncio.run(scenario()).executions == [(EXECUTION, status)]
    assert list(tmp_path.iterdir()) == []


def test_what_succeeded_is_forgotten(tmp_path: Path) -> None:
    async def scenario() -> Buried:
        buried = Buried()
        unattended(tmp_path, FakeWatcher("SUCCEEDED"), buried).watch(EXECUTION)
        await settled()
        return buried

    assert asyncio.run(scenario()).executions == []
    assert list(tmp_path.iterdir()) == []


def test_the_next_gateway_takes_up_what_was_under_way(tmp_path: Path) -> None:
    async def first_life() -> None:
        unattended(tmp_path, FakeWatcher("RUNNING", at_once=False), Buried()).watch(EXECUTION)
        await settled()

    async def second_life() -> Buried:
        buried = Buried()
        unattended(tmp_path, FakeWatcher("FAILED"), buried).take_up()
        await settled()
        return buried

    asyncio.run(first_life())
    assert asyncio.run(second_life()).executions == [(EXECUTION, "FAILED")]
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_buried_stays_for_the_next_gateway(tmp_path: Path) -> None:
    async def scenario() -> Buried:
        buried = Buried(failures=1)
        looked_after = unattended(tmp_path, FakeWatcher("FAILED"), buried)
        looked_after.watch(EXECUTION)
        await settled()
        assert len(list(tmp_path.iterdir())) == 1
        looked_after.take_up()
        await settled()
        return buried

    assert asyncio.run(scenario()).executions == [(EXECUTION, "FAILED")]


class FakePermissions:
    """Allows everything or nothing."""

    def __init__(self, *, allow: bool) -> None:
        self.allow = allow
        self.asked: list[tuple[str, str, str]] = []

    def allows(self, role: str, action: str, resource: str) -> bool:
        self.asked.append((role, action, resource))
        return self.allow


class FakeRunner:
    """Knows one execution, which failed."""

    async def get_execution(self, arn: str) -> dict[str, Any]:
        assert arn == ARN
        return {"Error": {"ErrorType": "ValueError", "ErrorMessage": "x" * 2000}}


@pytest.fixture
def sqs() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client("sqs", region_name="eu-central-2")
        client.create_queue(QueueName="dead")
        yield client


def bury(sqs: Any, permissions: FakePermissions) -> list[Any]:
    letters = DeadLetters(sqs, cast("Permissions", permissions), cast("Runner", FakeRunner()))
    asyncio.run(letters.bury(EXECUTION, "FAILED"))
    url = sqs.get_queue_url(QueueName="dead")["QueueUrl"]
    received = sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])
    return list(received.get("Messages", []))


def test_a_dead_letter_is_the_event_as_it_came_with_what_went_wrong(sqs: Any) -> None:
    [letter] = bury(sqs, FakePermissions(allow=True))
    attributes = {n: a["StringValue"] for n, a in letter["MessageAttributes"].items()}
    assert letter["Body"] == EVENT
    assert attributes == {"RequestID": "id", "ErrorCode": "200", "ErrorMessage": "x" * 1024}


def test_a_role_that_may_not_send_loses_the_event_and_the_log_says_so(
    sqs: Any, caplog: pytest.LogCaptureFixture
) -> None:
    permissions = FakePermissions(allow=False)
    assert bury(sqs, permissions) == []
    assert permissions.asked == [("role", "sqs:SendMessage", QUEUE)]
    assert "sqs:SendMessage" in caplog.text


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ({"Records": [{"eventSource": "aws:s3"}]}, True),
        ({"Records": [{"EventSource": "aws:sns"}]}, True),
        ({"Records": [{"eventSource": "aws:sqs", "body": '{"eventSource": "aws:s3"}'}]}, False),
        ({"Records": []}, False),
        ({"anything": "else"}, False),
        ([], False),
    ],
)
def test_s3_and_sns_do_not_wait_for_the_function(event: Any, expected: bool) -> None:
    assert is_asynchronous(json.dumps(event)) is expected


def test_an_event_that_comes_again_has_the_same_name() -> None:
    assert name_of_event("f", EVENT) == name_of_event("f", EVENT)
    assert name_of_event("f", EVENT) != name_of_event("g", EVENT)
    assert name_of_event("f", EVENT) != name_of_event("f", EVENT.replace("1.10", "1.1"))
