"""The event of an execution that nobody waited for, and that failed, becomes a dead letter."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from localcloud.async_dead_letters import (
    AsyncDeadLetters,
    AsyncExecution,
    is_asynchronous,
    name_of_event,
)
from localcloud.executions import ExecutionError, Executions
from localcloud.functions import Permissions

ARN = "arn:aws:lambda:eu-central-2:000000000000:function:f:1/durable-execution/name/id"
QUEUE = "arn:aws:sqs:eu-central-2:000000000000:dead"
EVENT = '{"Records": [{"eventSource": "aws:s3", "n": 1.10}]}'
EXECUTION = AsyncExecution(ARN, EVENT, "role", QUEUE)


class FakeExecutions:
    """Knows one execution, which ends with a status, at once or never; or the error of waiting."""

    def __init__(self, outcome: str | Exception) -> None:
        self.outcome = outcome

    async def wait(self, arn: str) -> str:
        assert arn == ARN
        if isinstance(self.outcome, Exception):
            raise self.outcome
        if self.outcome == "RUNNING":
            await asyncio.Event().wait()
        return self.outcome

    async def describe(self, arn: str) -> dict[str, Any]:
        assert arn == ARN
        return {"Error": {"ErrorType": "ValueError", "ErrorMessage": "x" * 2000}}


class FakePermissions:
    """Allows everything or nothing."""

    def __init__(self, *, allow: bool = True) -> None:
        self.allow = allow
        self.asked: list[tuple[str, str, str]] = []

    def allows(self, role: str, action: str, resource: str) -> bool:
        self.asked.append((role, action, resource))
        return self.allow


@pytest.fixture(scope="module")
def client() -> Any:
    """One for all tests: to make it takes longer than each of them."""
    with mock_aws():
        return boto3.client("sqs", region_name="eu-central-2")


@pytest.fixture
def sqs(client: Any) -> Iterator[Any]:
    with mock_aws():
        client.create_queue(QueueName="dead")
        yield client


def dead_letters(
    directory: Path,
    sqs: Any,
    outcome: str | Exception,
    permissions: FakePermissions | None = None,
) -> AsyncDeadLetters:
    return AsyncDeadLetters(
        directory,
        cast("Executions", FakeExecutions(outcome)),
        sqs,
        cast("Permissions", permissions or FakePermissions()),
    )


async def started() -> str:
    return ARN


async def settled(letters: AsyncDeadLetters) -> None:
    await asyncio.wait_for(asyncio.gather(*letters._tasks.values()), 30)


def watch(letters: AsyncDeadLetters) -> None:
    async def scenario() -> None:
        assert await letters.watch(EXECUTION, started) == ARN
        letters.take_up()
        await settled(letters)

    asyncio.run(scenario())


def take_up(letters: AsyncDeadLetters) -> None:
    async def scenario() -> None:
        letters.take_up()
        await settled(letters)

    asyncio.run(scenario())


def sent(sqs: Any) -> list[Any]:
    url = sqs.get_queue_url(QueueName="dead")["QueueUrl"]
    received = sqs.receive_message(
        QueueUrl=url, MessageAttributeNames=["All"], MaxNumberOfMessages=10
    )
    return list(received.get("Messages", []))


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "STOPPED"])
def test_what_did_not_succeed_is_sent_once_and_forgotten(
    sqs: Any, tmp_path: Path, status: str
) -> None:
    watch(dead_letters(tmp_path, sqs, status))
    assert [letter["Body"] for letter in sent(sqs)] == [EVENT]
    assert list(tmp_path.iterdir()) == []


def test_what_succeeded_is_forgotten(sqs: Any, tmp_path: Path) -> None:
    watch(dead_letters(tmp_path, sqs, "SUCCEEDED"))
    assert sent(sqs) == []
    assert list(tmp_path.iterdir()) == []


def test_the_next_gateway_takes_up_what_was_under_way(sqs: Any, tmp_path: Path) -> None:
    async def first_life() -> None:
        await dead_letters(tmp_path, sqs, "RUNNING").watch(EXECUTION, started)

    asyncio.run(first_life())
    assert len(list(tmp_path.iterdir())) == 1
    take_up(dead_letters(tmp_path, sqs, "FAILED"))
    assert [letter["Body"] for letter in sent(sqs)] == [EVENT]
    assert list(tmp_path.iterdir()) == []


def test_what_could_not_be_sent_stays_for_the_next_gateway(
    sqs: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName="dead")["QueueUrl"])
    watch(dead_letters(tmp_path, sqs, "FAILED"))
    assert "until the gateway restarts" in caplog.text
    with pytest.raises(ClientError):
        sent(sqs)
    sqs.create_queue(QueueName="dead")
    take_up(dead_letters(tmp_path, sqs, "FAILED"))
    assert [letter["Body"] for letter in sent(sqs)] == [EVENT]


def test_the_next_gateway_knows_of_it_before_it_begins(sqs: Any, tmp_path: Path) -> None:
    async def dies() -> str:
        raise asyncio.CancelledError

    async def first_life() -> None:
        await dead_letters(tmp_path, sqs, "RUNNING").watch(EXECUTION, dies)

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(first_life())
    take_up(dead_letters(tmp_path, sqs, "FAILED"))
    assert [letter["Body"] for letter in sent(sqs)] == [EVENT]


NONE = ExecutionError(404, "ResourceNotFoundException", "There is none.")
REFUSED = ExecutionError(500, "ServiceException", "no")
UNREADABLE = sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize(("error", "kept"), [(NONE, 0), (REFUSED, 1), (UNREADABLE, 1)])
def test_only_what_is_not_on_record_is_forgotten_without_its_end(
    sqs: Any, tmp_path: Path, error: Exception, kept: int, caplog: pytest.LogCaptureFixture
) -> None:
    watch(dead_letters(tmp_path, sqs, error))
    assert sent(sqs) == []
    assert f"no dead letter for {ARN}" in caplog.text
    assert len(list(tmp_path.iterdir())) == kept


def test_a_dead_letter_is_the_event_as_it_came_with_what_went_wrong(
    sqs: Any, tmp_path: Path
) -> None:
    watch(dead_letters(tmp_path, sqs, "FAILED"))
    [letter] = sent(sqs)
    attributes = {n: a["StringValue"] for n, a in letter["MessageAttributes"].items()}
    assert letter["Body"] == EVENT
    assert attributes == {"RequestID": "id", "ErrorCode": "200", "ErrorMessage": "x" * 1024}


def test_a_role_that_may_not_send_loses_the_event_and_the_log_says_so(
    sqs: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    permissions = FakePermissions(allow=False)
    watch(dead_letters(tmp_path, sqs, "FAILED", permissions))
    assert sent(sqs) == []
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
