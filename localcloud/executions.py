"""Reads the durable executions from the file in which the runner keeps them."""

from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"

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


class ExecutionRecords:
    """The executions on disk; they stay readable while the runner is down."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, timeout=5.0)
        self._connection.execute("PRAGMA query_only = ON")

    def statuses(self, arns: Iterable[str]) -> dict[str, str]:
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

    def find(self, arn: str) -> ExecutionRecord | None:
        """Return the execution with this ARN, if it is on record."""
        return self._one("durable_execution_arn = ?", [arn])

    def find_named(self, function_name: str, execution_name: str) -> ExecutionRecord | None:
        """Return the function's execution with this name, if it is on record."""
        return self._one(
            "execution_name = ? AND function_name = ?", [execution_name, function_name]
        )

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


class CompletionWatcher:
    """Waits for executions to end, with one query at a time for all who wait."""

    def __init__(self, records: ExecutionRecords) -> None:
        self._records = records
        self._waiting: dict[str, list[asyncio.Future[str]]] = {}
        self._task: asyncio.Task[None] | None = None

    async def wait(self, arn: str) -> str:
        """Return the status with which the execution ends, however long that takes."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(arn, []).append(future)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll())
        return await future

    async def _poll(self) -> None:
        while self._waiting:
            for arn, status in self._records.statuses(self._waiting).items():
                if status != RUNNING:
                    self._tell(arn, status)
            await asyncio.sleep(_POLL_SECONDS)

    def _tell(self, arn: str, status: str) -> None:
        for future in self._waiting.pop(arn):
            if not future.done():
                future.set_result(status)
