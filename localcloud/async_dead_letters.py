"""Dead letters of asynchronous invocations: the event of an execution that failed goes to a queue.

So does Lambda with durable functions that are invoked asynchronously: the event is sent as it
came, with three message attributes that say what went wrong, and nothing is repeated.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
import time
import uuid
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from localcloud.executions import (
    AWAY_SECONDS,
    PAUSE_SECONDS,
    SUCCEEDED,
    ExecutionError,
    Executions,
    error_document,
)
from localcloud.functions import Permissions, denial

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path
    from typing import Any

    from mypy_boto3_sqs import SQSClient

log = logging.getLogger("localcloud.async_dead_letters")

_SEND = "sqs:SendMessage"
_MAX_ERROR_CHARACTERS = 1024


@dataclass(frozen=True)
class AsyncExecution:
    """An execution, its event (JSON), its function's role, the ARN of the queue for the event."""

    arn: str
    event: str
    role: str
    dead_letter_queue: str


class AsyncDeadLetters:
    """Looks after executions that nobody waits for, until they have ended.

    Each has a file in `directory` for as long, so that the next gateway knows of it.
    """

    def __init__(
        self, directory: Path, executions: Executions, sqs: SQSClient, permissions: Permissions
    ) -> None:
        self._directory = directory
        self._executions = executions
        self._sqs = sqs
        self._permissions = permissions
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def watch(self, execution: AsyncExecution, start: Callable[[], Awaitable[str]]) -> str:
        """Start an execution and look after it, from before it begins; return its ARN.

        Whoever finds it begun already has nothing to watch: it may have had its dead letter.
        """
        path = self._path(execution)
        draft = path.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(execution)))
        draft.replace(path)
        try:
            return await start()
        finally:
            self._attend(execution)

    def take_up(self) -> None:
        """Look after the executions that an earlier gateway had not seen end."""
        for path in self._directory.glob("*.json"):
            self._attend(AsyncExecution(**json.loads(path.read_text())))

    def _attend(self, execution: AsyncExecution) -> None:
        if execution.arn not in self._tasks:
            self._tasks[execution.arn] = asyncio.create_task(self._see_to(execution))

    async def _see_to(self, execution: AsyncExecution) -> None:
        try:
            status = await self._executions.wait(execution.arn)
            if status != SUCCEEDED:
                await self._send_dead_letter(execution, status)
            self._path(execution).unlink(missing_ok=True)
        except ExecutionError as error:
            if not error.says_there_is_none:
                self._put_off(execution)
                return
            log.warning("no dead letter for %s: it never began, or was deleted", execution.arn)
            self._path(execution).unlink(missing_ok=True)
        except (aiohttp.ClientError, BotoCoreError, ClientError, sqlite3.Error):
            self._put_off(execution)
        finally:
            del self._tasks[execution.arn]

    def _put_off(self, execution: AsyncExecution) -> None:
        log.exception("no dead letter for %s until the gateway restarts", execution.arn)

    async def _send_dead_letter(self, execution: AsyncExecution, status: str) -> None:
        """Send the execution's event, if its role may; wait for a ministack that is away."""
        error = error_document(await self._executions.describe(execution.arn), status)
        give_up_at = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                await asyncio.to_thread(self._send, execution, error)
            except BotoCoreError:
                if time.monotonic() > give_up_at:
                    raise
            else:
                return
            await asyncio.sleep(PAUSE_SECONDS)

    def _send(self, execution: AsyncExecution, error: Mapping[str, Any]) -> None:
        queue = execution.dead_letter_queue
        if not self._permissions.allows(execution.role, _SEND, queue):
            # Lambda drops the event and counts it in a metric, DeadLetterErrors.
            log.error("event lost: %s", denial(execution.role, _SEND, queue))
            return
        message = str(error["errorMessage"])[:_MAX_ERROR_CHARACTERS]
        self._sqs.send_message(
            QueueUrl=self._sqs.get_queue_url(QueueName=queue.rpartition(":")[2])["QueueUrl"],
            MessageBody=execution.event,
            MessageAttributes={
                "RequestID": {
                    "DataType": "String",
                    "StringValue": execution.arn.rpartition("/")[2],
                },
                # Of the invocation, which went well as such: the function's error is in its answer.
                "ErrorCode": {"DataType": "Number", "StringValue": "200"},
                "ErrorMessage": {"DataType": "String", "StringValue": message},
            },
        )

    def _path(self, execution: AsyncExecution) -> Path:
        return self._directory / f"{hashlib.sha256(execution.arn.encode()).hexdigest()}.json"


def is_asynchronous(event: str) -> bool:
    """Tell whether the event (JSON) is of a service that does not wait for the function."""
    match json.loads(event):
        case {"Records": [{"eventSource": "aws:s3"} | {"EventSource": "aws:sns"}, *_]}:
            return True
    return False


def name_of_event(function_name: str, event: str) -> str:
    """Return a name for the execution of an event: the same one whenever the event comes."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{function_name}/{event}"))
