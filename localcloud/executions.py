"""The durable executions, as the gateway sees them: started in the runner, read from its file.

The file stays readable while the runner is down.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import aiohttp
from yarl import URL

from localcloud.settings import ACCOUNT_ID, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from localcloud.functions import DurableConfiguration, Function

RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"

# How long the runner or ministack may be away before what needs it fails.
AWAY_SECONDS = 60.0
PAUSE_SECONDS = 0.1
# What the gateway sees when the runner ends or is not there yet.
_RUNNER_AWAY = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
_POLL_SECONDS = 0.015
_PER_QUERY = 500


@dataclass(frozen=True)
class ExecutionRecord:
    """What identifies an execution, and the input it was started with."""

    arn: str
    function_name: str
    qualifier: str
    execution_name: str
    input: str


class Executions:
    """Starts executions, finds them and waits for their ends."""

    def __init__(self, settings: Settings, http: aiohttp.ClientSession) -> None:
        self._url = settings.runner_endpoint_url
        self._http = http
        self._connection = sqlite3.connect(settings.executions_file, timeout=5.0)
        self._connection.execute("PRAGMA query_only = ON")
        self._waiting: dict[str, list[asyncio.Future[str]]] = {}
        self._polling: asyncio.Task[None] | None = None

    async def start(
        self, function: Function, durable: DurableConfiguration, payload: str, execution_name: str
    ) -> str:
        """Start an execution of a function's version; return its ARN.

        Waits for a runner that is being restarted; aiohttp's error passes through if that takes
        longer than AWAY_SECONDS.
        """
        document = {
            "AccountId": ACCOUNT_ID,
            "FunctionName": function.name,
            "FunctionQualifier": function.version,
            "ExecutionName": execution_name,
            "ExecutionTimeoutSeconds": durable.execution_timeout_seconds,
            "ExecutionRetentionPeriodDays": durable.retention_days,
            "InvocationId": str(uuid.uuid4()),
            "Input": payload,
        }
        give_up_at = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                started = await self._call("POST", "/start-durable-execution", json=document)
                return str(started["ExecutionArn"])
            except _RUNNER_AWAY:
                # The runner may have ended after it recorded the execution and before it said so.
                recorded = self.find_named(function.name, execution_name)
                if recorded:
                    return recorded.arn
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def describe(self, arn: str) -> dict[str, Any]:
        """Return what GetDurableExecution answers; wait for a runner that is being restarted."""
        give_up_at = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return await self._call(
                    "GET", f"/2025-12-01/durable-executions/{quote(arn, safe='')}"
                )
            except _RUNNER_AWAY:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def wait(self, arn: str) -> str:
        """Return the status with which the execution ends, however long that takes."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(arn, []).append(future)
        # One query at a time for all who wait.
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll())
        return await future

    def find(self, arn: str) -> ExecutionRecord | None:
        """Return the execution with this ARN, if it is on record."""
        return self._one("durable_execution_arn = ?", [arn])

    def find_named(self, function_name: str, execution_name: str) -> ExecutionRecord | None:
        """Return the function's execution with this name, if it is on record."""
        return self._one(
            "execution_name = ? AND function_name = ?", [execution_name, function_name]
        )

    async def _call(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        url = URL(f"{self._url}{path}", encoded=True)
        async with self._http.request(method, url, raise_for_status=True, **options) as answer:
            document: dict[str, Any] = await answer.json(content_type=None)
            return document

    async def _poll(self) -> None:
        while self._waiting:
            for arn, status in self._statuses(self._waiting).items():
                if status != RUNNING:
                    self._tell(arn, status)
            await asyncio.sleep(_POLL_SECONDS)

    def _tell(self, arn: str, status: str) -> None:
        for future in self._waiting.pop(arn):
            if not future.done():
                future.set_result(status)

    def _statuses(self, arns: Iterable[str]) -> dict[str, str]:
        """Return the status of each execution that is on record."""
        wanted = list(arns)
        found: dict[str, str] = {}
        for first in range(0, len(wanted), _PER_QUERY):
            some = wanted[first : first + _PER_QUERY]
            marks = ",".join("?" * len(some))
            rows = self._query(
                "SELECT durable_execution_arn, status FROM executions "  # noqa: S608 - only marks
                f"WHERE durable_execution_arn IN ({marks})",
                some,
            )
            found |= {arn: status for arn, status in rows}  # noqa: C416 - tells the two apart
        return found

    def _one(self, condition: str, arguments: list[str]) -> ExecutionRecord | None:
        rows = self._query(
            "SELECT durable_execution_arn, function_name, "  # noqa: S608 - our own conditions
            "json_extract(data, '$.StartInput.FunctionQualifier'), execution_name, "
            f"json_extract(data, '$.StartInput.Input') FROM executions WHERE {condition}",
            arguments,
        )
        return ExecutionRecord(*rows[0]) if rows else None

    def _query(self, statement: str, arguments: list[str]) -> list[tuple[str, ...]]:
        try:
            return self._connection.execute(statement, arguments).fetchall()
        except sqlite3.OperationalError:
            # The runner has not made the table yet, or holds the file this very moment.
            return []


def error_document(execution: Mapping[str, Any], status: str) -> dict[str, Any]:
    """Return the error of an ended execution the way Lambda reports a function's error.

    `execution` is what GetDurableExecution answers.
    """
    error = execution.get("Error") or {}
    return {
        "errorType": error.get("ErrorType") or status,
        "errorMessage": error.get("ErrorMessage") or f"The durable execution ended {status}.",
        "stackTrace": error.get("StackTrace") or [],
    }
