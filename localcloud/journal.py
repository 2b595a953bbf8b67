"""What AWS's runner keeps no record of: failed invocations, pauses, aliases, who waits for an end.

The tables lie in the file of its executions, beside its own.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localcloud.store import Store

_TABLES = """
CREATE TABLE IF NOT EXISTS localcloud_failures(
    arn TEXT, request_id TEXT, error TEXT, PRIMARY KEY (arn, request_id));
CREATE TABLE IF NOT EXISTS localcloud_versions(
    arn TEXT, operation_id TEXT, version TEXT, PRIMARY KEY (arn, operation_id));
CREATE TABLE IF NOT EXISTS localcloud_asynchronous(arn TEXT PRIMARY KEY);
CREATE TABLE IF NOT EXISTS localcloud_pauses(
    id INTEGER PRIMARY KEY, arn TEXT, requested REAL, token TEXT, reason TEXT,
    timeout_paused INTEGER, paused REAL, resumed REAL, resume_token TEXT, resume_reason TEXT);
CREATE INDEX IF NOT EXISTS localcloud_pauses_arn ON localcloud_pauses(arn);
CREATE INDEX IF NOT EXISTS localcloud_execution_name ON executions(execution_name);
CREATE INDEX IF NOT EXISTS localcloud_end ON executions(end_timestamp, durable_execution_arn);
CREATE INDEX IF NOT EXISTS localcloud_start
    ON executions(function_name, start_timestamp, durable_execution_arn);
CREATE INDEX IF NOT EXISTS localcloud_status
    ON executions(function_name, status, start_timestamp, durable_execution_arn);
"""
_AT_ONCE = 100
_DAY = 86400
_OF_AN_EXECUTION = (
    "localcloud_failures",
    "localcloud_versions",
    "localcloud_asynchronous",
    "localcloud_pauses",
)


@dataclass(frozen=True)
class Pause:
    """One pause of an execution.

    `paused` is None while an invocation goes on (status PAUSING), `resumed` until it is over. The
    tokens are those of the two requests.
    """

    requested: datetime
    token: str | None
    reason: str | None
    timeout_paused: bool
    paused: datetime | None = None
    resumed: datetime | None = None
    resume_token: str | None = None
    resume_reason: str | None = None

    @property
    def status(self) -> str | None:
        """The execution's status for the pause; None when it is over."""
        if self.resumed:
            return None
        return "PAUSED" if self.paused else "PAUSING"

    def held_up(self, now: datetime) -> float:
        """Seconds by which the pause has put off the end of the execution's time."""
        if not self.timeout_paused:
            return 0.0
        return ((self.resumed or now) - (self.paused or self.requested)).total_seconds()


class Journal:
    """The record, in the file of the executions. Safe to use from several threads."""

    def __init__(self, store: Store) -> None:
        """The store has its table of executions already."""
        self._store = store
        with store.connection() as connection:
            connection.executescript(_TABLES)

    def note_asynchronous(self, arn: str) -> None:
        """Record that nobody waits for the execution's result."""
        self._write("INSERT OR IGNORE INTO localcloud_asynchronous VALUES (?)", [arn])

    def is_asynchronous(self, arn: str) -> bool:
        """Tell whether nobody waits for the execution's result."""
        return bool(self._read("SELECT 1 FROM localcloud_asynchronous WHERE arn = ?", [arn]))

    def note_failure(self, arn: str, request_id: str, error: dict[str, Any]) -> None:
        """Record that an invocation of the handler has failed; the error is as the API has it."""
        self._write(
            "INSERT OR REPLACE INTO localcloud_failures VALUES (?, ?, ?)",
            [arn, request_id, json.dumps(error)],
        )

    def failures(self, arn: str) -> dict[str, dict[str, Any]]:
        """Return the errors of failed invocations of the handler, by their requests."""
        statement = "SELECT request_id, error FROM localcloud_failures WHERE arn = ?"
        return {request: json.loads(error) for request, error in self._read(statement, [arn])}

    def note_version(self, arn: str, operation_id: str, version: str) -> None:
        """Record which version an alias stood for when the execution invoked it."""
        self._write(
            "INSERT OR REPLACE INTO localcloud_versions VALUES (?, ?, ?)",
            [arn, operation_id, version],
        )

    def versions(self, arn: str) -> dict[str, str]:
        """Return the versions that aliases stood for, by the operations that invoked them."""
        statement = "SELECT operation_id, version FROM localcloud_versions WHERE arn = ?"
        return dict(self._read(statement, [arn]))

    def pauses(self, arn: str) -> list[Pause]:
        """Return the execution's pauses, oldest first."""
        statement = (
            "SELECT requested, token, reason, timeout_paused, paused, resumed, resume_token, "
            "resume_reason FROM localcloud_pauses WHERE arn = ? ORDER BY id"
        )
        return [
            Pause(
                _time(asked), token, reason, bool(timeout), _time_or_none(paused), *_resumed(rest)
            )
            for asked, token, reason, timeout, paused, *rest in self._read(statement, [arn])
        ]

    def current_pause(self, arn: str) -> Pause | None:
        """Return the pause of an execution that is not over, if there is one."""
        last = self.pauses(arn)[-1:]
        return last[0] if last and last[0].status else None

    def begin_pause(self, arn: str, pause: Pause) -> None:
        """Record a pause that has been asked for."""
        self._write(
            "INSERT INTO localcloud_pauses(arn, requested, token, reason, timeout_paused) "
            "VALUES (?, ?, ?, ?, ?)",
            [arn, pause.requested.timestamp(), pause.token, pause.reason, pause.timeout_paused],
        )

    def settle_pause(self, arn: str, now: datetime) -> None:
        """Record that no invocation goes on any more: the execution is paused."""
        self._write(
            "UPDATE localcloud_pauses SET paused = ? "
            "WHERE arn = ? AND paused IS NULL AND resumed IS NULL",
            [now.timestamp(), arn],
        )

    def end_pause(self, arn: str, now: datetime, token: str | None, reason: str | None) -> None:
        """Record that the execution goes on; a pause that had not come into effect never was."""
        self._write(
            "DELETE FROM localcloud_pauses WHERE arn = ? AND paused IS NULL AND resumed IS NULL",
            [arn],
        )
        self._write(
            "UPDATE localcloud_pauses SET resumed = ?, resume_token = ?, resume_reason = ? "
            "WHERE arn = ? AND resumed IS NULL",
            [now.timestamp(), token, reason, arn],
        )

    def forget(self, *arns: str) -> None:
        """Delete executions, and all that is recorded of them."""
        with self._store.connection() as connection:
            for arn in arns:
                for table in _OF_AN_EXECUTION:
                    connection.execute(f"DELETE FROM {table} WHERE arn = ?", [arn])  # noqa: S608 - our own tables
                connection.execute("DELETE FROM executions WHERE durable_execution_arn = ?", [arn])
        self._store.forget(*arns)

    def forget_expired(self, now: datetime) -> int:
        """Delete the executions that ended longer ago than their retention; return how many.

        It reads all of each that ended more than a day ago, some at a time.
        """
        query = (
            "SELECT end_timestamp, durable_execution_arn, "
            "json_extract(data, '$.StartInput.ExecutionRetentionPeriodDays') FROM executions "
            "WHERE end_timestamp < ? AND (end_timestamp, durable_execution_arn) > (?, ?) "
            "ORDER BY end_timestamp, durable_execution_arn LIMIT ?"
        )
        seconds, count = now.timestamp(), 0
        last: tuple[float, str] = (0.0, "")
        while found := self._read(query, [seconds - _DAY, *last, _AT_ONCE]):
            expired = [arn for end, arn, days in found if end < seconds - _DAY * days]
            self.forget(*expired)
            count += len(expired)
            last = found[-1][:2]
        return count

    def forget_old(self, most: int, most_bytes: int) -> int:
        """Delete the oldest of the executions that have ended; return how many.

        At most so many stay, and at most as many as have room in so many bytes of the file.
        """
        query = (
            "SELECT durable_execution_arn FROM executions WHERE end_timestamp IS NOT NULL "
            "ORDER BY end_timestamp {} LIMIT ? OFFSET ?"
        )
        beyond, oldest = query.format("DESC"), query.format("ASC")
        too_many = self._forget_while(lambda: self._read(beyond, [_AT_ONCE, most]))
        return too_many + self._forget_while(
            lambda: (
                self._read(oldest, [_AT_ONCE, 0]) if self._store.used_bytes() > most_bytes else []
            )
        )

    def _forget_while(self, find: Callable[[], list[tuple[Any, ...]]]) -> int:
        """Delete what is found, some at a time: the file is nobody else's meanwhile."""
        count = 0
        while found := [arn for (arn,) in find()]:
            self.forget(*found)
            count += len(found)
        return count

    def _write(self, statement: str, arguments: Sequence[Any]) -> None:
        with self._store.connection() as connection:
            connection.execute(statement, arguments)

    def _read(self, statement: str, arguments: Sequence[Any]) -> list[tuple[Any, ...]]:
        with self._store.connection() as connection:
            return connection.execute(statement, arguments).fetchall()


def _resumed(columns: Sequence[Any]) -> tuple[datetime | None, str | None, str | None]:
    at, token, reason = columns
    return _time_or_none(at), token, reason


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _time_or_none(seconds: float | None) -> datetime | None:
    return None if seconds is None else _time(seconds)
