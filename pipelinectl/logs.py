"""Read logs: of functions from CloudWatch Logs, of the local cloud's processes from files."""

from __future__ import annotations

import itertools
import time
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelinectl.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef

POLL_SECONDS = 1.0
_LATE_MILLISECONDS = 5000


@dataclass(frozen=True)
class LogLine:
    """A line of a log; `at` is None where the log itself says no time."""

    at: datetime | None
    text: str


@dataclass(frozen=True)
class FunctionLog:
    """The log groups of one function."""

    logs: CloudWatchLogsClient
    groups: Sequence[str]
    pause: Callable[[float], None] = time.sleep

    def lines(self, limit: int, *, follow: bool = False) -> Iterator[LogLine]:
        """The last `limit` lines of all groups together, oldest first, then what comes after.

        Following never ends by itself.

        Raises:
            NotFoundError: there is no such log group.
        """
        known = sorted(self._events(since=0), key=_time)
        yield from map(_log_line, known[-limit:] if limit else [])
        if follow:
            yield from map(_log_line, self._new(set(map(_identity, known)), known))

    def _new(
        self, seen: set[str], known: list[FilteredLogEventTypeDef]
    ) -> Iterator[FilteredLogEventTypeDef]:
        newest = _time(known[-1]) if known else 0
        while True:
            # Lines arrive late and out of order, so what was just read is read again.
            for event in self._events(since=max(0, newest - _LATE_MILLISECONDS)):
                if (identity := _identity(event)) not in seen:
                    seen.add(identity)
                    newest = max(newest, _time(event))
                    yield event
            self.pause(POLL_SECONDS)

    def _events(self, since: int) -> list[FilteredLogEventTypeDef]:
        found = [group for group in self.groups if self._exists(group)]
        if not found:
            msg = f"no log group {self.groups[0]}: the function has not run or is not deployed"
            raise NotFoundError(msg)
        return list(itertools.chain.from_iterable(self._of(group, since) for group in found))

    def _of(self, group: str, since: int) -> Iterator[FilteredLogEventTypeDef]:
        pages = self.logs.get_paginator("filter_log_events").paginate(
            logGroupName=group, startTime=since
        )
        return (event for page in pages for event in page["events"])

    def _exists(self, group: str) -> bool:
        response = self.logs.describe_log_groups(logGroupNamePrefix=group)
        return any(found["logGroupName"] == group for found in response["logGroups"])


@dataclass(frozen=True)
class FileLog:
    """The log file of a process."""

    path: Path
    pause: Callable[[float], None] = time.sleep

    def lines(self, limit: int, *, follow: bool = False) -> Iterator[LogLine]:
        """The last `limit` lines, then what is written after; following never ends by itself.

        Raises:
            NotFoundError: there is no such file.
        """
        try:
            file = self.path.open(errors="replace")
        except FileNotFoundError as error:
            msg = f"no log {self.path}: start the local cloud with 'pipelinectl local up'"
            raise NotFoundError(msg) from error
        with file:
            yield from map(_file_line, deque(file, maxlen=limit))
            while follow:
                if line := file.readline():
                    yield _file_line(line)
                else:
                    self.pause(POLL_SECONDS)


def _identity(event: FilteredLogEventTypeDef) -> str:
    # The local cloud's events have no id.
    stream, at = event.get("logStreamName", ""), event["timestamp"]
    return event.get("eventId") or f"{stream} {at} {event['message']}"


def _time(event: FilteredLogEventTypeDef) -> int:
    return event["timestamp"]


def _log_line(event: FilteredLogEventTypeDef) -> LogLine:
    at = datetime.fromtimestamp(event["timestamp"] / 1000, UTC)
    return LogLine(at, event["message"].rstrip("\n"))


def _file_line(line: str) -> LogLine:
    return LogLine(None, line.rstrip("\n"))
