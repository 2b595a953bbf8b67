"""The durable executions, as the gateway sees them: started in the runner, read from its file.

The file stays readable while the runner is down.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from localcloud import paging
from localcloud.functions import function_of
from localcloud.settings import ACCOUNT_ID, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from localcloud.functions import DurableConfiguration, Function

RUNNING = "RUNNING"
SUCCEEDED = "SUCCEEDED"
_PAUSES = {"PAUSED", "PAUSING"}

# How long the runner or ministack may be away before what needs it fails.
AWAY_SECONDS = 60.0
PAUSE_SECONDS = 0.1
# What the gateway sees when the runner ends or is not there yet.
_RUNNER_AWAY = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
_FIRST_ERROR = 400
_NOT_FOUND = "ResourceNotFoundException"
_NO_TABLE = "no such table"
_POLL_SECONDS = 0.015
# A pause is not in the runner's own record of an execution (see `journal`).
_WITH_STATUS = """
SELECT durable_execution_arn AS arn, execution_name, start_timestamp, end_timestamp, function_name,
status AS recorded,
CASE WHEN status != 'RUNNING' THEN status ELSE COALESCE(
    (SELECT CASE WHEN paused IS NULL THEN 'PAUSING' ELSE 'PAUSED' END FROM localcloud_pauses
    WHERE localcloud_pauses.arn = durable_execution_arn AND resumed IS NULL), status) END AS status
FROM executions
"""
_PER_QUERY = 500


class ExecutionError(Exception):
    """What the runner answers to a question that it refuses: an error of the durable API."""

    def __init__(self, status: int, error_type: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error_type = error_type

    @property
    def says_there_is_none(self) -> bool:
        """Whether the execution is not on record: it never began, or was deleted."""
        return self.error_type == _NOT_FOUND


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
        self,
        function: Function,
        durable: DurableConfiguration,
        payload: str,
        arn: str,
        *,
        asynchronous: bool,
    ) -> str:
        """Start an execution of a function's version, with an ARN that none has; return the ARN.

        `asynchronous` says that nobody waits for its result. Waits for a runner that is being
        restarted; aiohttp's error passes through if that takes longer than AWAY_SECONDS.
        """
        _, _, execution_name, unique = arn.split("/")
        document = {
            "AccountId": ACCOUNT_ID,
            "FunctionName": function.name,
            "FunctionQualifier": function.version,
            "ExecutionName": execution_name,
            "ExecutionTimeoutSeconds": durable.execution_timeout_seconds,
            "ExecutionRetentionPeriodDays": durable.retention_days,
            "InvocationId": unique,
            "Input": payload,
            "Asynchronous": asynchronous,
        }
        give_up_at = time.monotonic() + AWAY_SECONDS
        while True:
            try:
                return str(
                    (await self.ask("StartDurableExecution", document))["DurableExecutionArn"]
                )
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
                return await self.ask("GetDurableExecution", {"DurableExecutionArn": arn})
            except _RUNNER_AWAY:
                if time.monotonic() > give_up_at:
                    raise
            await asyncio.sleep(PAUSE_SECONDS)

    async def wait(self, arn: str) -> str:
        """Return the status with which the execution ends, however long that takes.

        Raises:
            ExecutionError: it is not on record, or not any more: it was deleted.
            sqlite3.Error: the record cannot be read.
        """
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

    async def ask(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Have the runner do one of its operations (see `operations`).

        aiohttp's errors pass through while the runner is away.

        Raises:
            ExecutionError: the runner refuses.
        """
        url = f"{self._url}/_localcloud/operations/{operation}"
        async with self._http.post(url, json=parameters) as answer:
            # The SDK's server leaves an empty document out.
            document: dict[str, Any] = await answer.json(content_type=None) or {}
            if answer.status >= _FIRST_ERROR:
                message = document.get("message") or document.get("Message") or ""
                raise ExecutionError(answer.status, document["Type"], message)
            return document

    def listed(
        self, function_arn: str, parameters: Mapping[str, Any], version: str | None
    ) -> dict[str, Any]:
        """Return what ListDurableExecutionsByFunction answers, with the API's parameters.

        `function_arn` is unqualified; `version` that of the executions, or None for all of them.

        Raises:
            paging.MarkerError: the marker is none.
        """
        oldest_first = parameters.get("ReverseOrder", False)
        where, arguments = _conditions(function_arn, parameters, version)
        last = paging.read_marker(parameters.get("Marker"), float, str)
        if last is not None:
            where.append(f"(start_timestamp, arn) {'>' if oldest_first else '<'} (?, ?)")
            arguments += last
        size = paging.size(parameters)
        order = "ASC" if oldest_first else "DESC"
        query = (
            f"SELECT arn, execution_name, status, start_timestamp, end_timestamp "  # noqa: S608 - our own words
            f"FROM ({_WITH_STATUS}) WHERE {' AND '.join(where)} AND {{}} "
            f"ORDER BY start_timestamp {order}, arn {order} LIMIT ?"
        )
        # One after another: of several at once, the file would give all, to be put in order.
        rows = [
            row
            for condition, status in _recorded(parameters.get("Statuses"))
            for row in self._query(query.format(condition), [*arguments, *status, size + 1])
        ]
        rows.sort(key=lambda row: (row[3], row[0]), reverse=not oldest_first)
        page = rows[:size]
        last_row = [page[-1][3], page[-1][0]] if len(rows) > size else None
        return {"DurableExecutions": [_summary(*row) for row in page]} | paging.next_marker(
            last_row
        )

    async def _poll(self) -> None:
        while self._waiting:
            arns = list(self._waiting)
            try:
                found = self._statuses(arns)
            except sqlite3.Error as error:
                outcomes: dict[str, str | Exception] = dict.fromkeys(arns, error)
            else:
                outcomes = {arn: found.get(arn) or _unknown(arn) for arn in arns}
            for arn, outcome in outcomes.items():
                if outcome != RUNNING:
                    self._tell(arn, outcome)
            await asyncio.sleep(_POLL_SECONDS)

    def _tell(self, arn: str, outcome: str | Exception) -> None:
        for future in self._waiting.pop(arn):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)

    def _statuses(self, arns: Sequence[str]) -> dict[str, str]:
        """Return the status of each execution that is on record."""
        found: dict[str, str] = {}
        for first in range(0, len(arns), _PER_QUERY):
            some = arns[first : first + _PER_QUERY]
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

    def _query(self, statement: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, arguments).fetchall()
        except sqlite3.OperationalError as error:
            if not str(error).startswith(_NO_TABLE):
                raise
            # The runner has not made it yet.
            return []


def _unknown(arn: str) -> ExecutionError:
    return ExecutionError(404, _NOT_FOUND, f"There is no durable execution {arn}.")


def _recorded(statuses: Sequence[str] | None) -> list[tuple[str, list[str]]]:
    """What the recorded status of executions may be that have one of these, as SQL."""
    if statuses is None:
        return [("true", [])]
    recorded = {RUNNING if status in _PAUSES else status for status in statuses}
    return [("recorded = ?", [status]) for status in sorted(recorded)]


def _conditions(
    function_arn: str, parameters: Mapping[str, Any], version: str | None
) -> tuple[list[str], list[Any]]:
    """What the executions of a list have in common, as SQL."""
    # Of a name there are few; the + keeps the file from going through all of the function's.
    by_name = "DurableExecutionName" in parameters
    where = [f"{'+' if by_name else ''}function_name = ?", "arn GLOB ?"]
    arguments: list[Any] = [
        function_arn.rpartition(":")[2],
        f"{function_arn}:{'*' if version is None else version}/durable-execution/*",
    ]
    for name, condition in (
        ("DurableExecutionName", "execution_name = ?"),
        ("StartedAfter", "start_timestamp >= ?"),
        ("StartedBefore", "start_timestamp <= ?"),
    ):
        if name in parameters:
            where.append(condition)
            arguments.append(parameters[name])
    if "Statuses" in parameters:
        where.append(f"status IN ({','.join('?' * len(parameters['Statuses']))})")
        arguments += parameters["Statuses"]
    return where, arguments


def _summary(
    arn: str, name: str, status: str, started: float, ended: float | None
) -> dict[str, Any]:
    end = {} if ended is None else {"EndTimestamp": ended}
    return {
        "DurableExecutionArn": arn,
        "DurableExecutionName": name,
        "FunctionArn": function_of(arn),
        "Status": status,
        "StartTimestamp": started,
        **end,
    }


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
