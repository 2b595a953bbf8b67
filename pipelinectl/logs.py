"""What the functions of a stack log: all of them together, in the order of time, and as it comes.

It is read with FilterLogEvents, on AWS and on the local cloud alike. StartLiveTail costs by the
minute, skips lines when there are many, and shows nothing of what was before.
"""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipelinectl.aws import FUNCTION_ROLES, function_name
from pipelinectl.errors import NotFoundError, throttled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mypy_boto3_logs.client import CloudWatchLogsClient
    from mypy_boto3_logs.type_defs import FilteredLogEventTypeDef, FilterLogEventsResponseTypeDef

LATE = timedelta(minutes=1)
"""So late a line may arrive, at most, after its time: so much is read again and again."""

REQUESTS_A_SECOND = 5
"""So many are made while following, at most; how many an account may make differs by region,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/cloudwatch_limits_cwl.html."""

_PAUSE_SECONDS = 1.0
_SLOWEST_SECONDS = 30.0
_PAGE_EVENTS = 10_000  # of one answer, at most
_UNQUOTABLE = re.compile(r'["\\\s]')
_MILLISECOND = timedelta(milliseconds=1)


def groups(stack_name: str, *functions: str) -> dict[str, str]:
    """Log group by function, named in full or by its role in the stack; of all roles if none is."""
    return {name: _group(stack_name, name) for name in functions or FUNCTION_ROLES}


def _group(stack_name: str, name: str) -> str:
    return f"/aws/lambda/{function_name(stack_name, name) if name in FUNCTION_ROLES else name}"


@dataclass(frozen=True)
class LogEvent:
    """A line that a function logged; `text` is as it was logged."""

    at: datetime
    function: str
    text: str
    identity: str = field(repr=False, default="")


@dataclass(frozen=True)
class Words:
    """What is looked for: lines in which any of `any_of` stands, as a word; all lines if none is.

    A word ends where no letter, digit or hyphen follows, so that no longer id is taken for it; one
    in `beginnings` may go on.
    """

    any_of: tuple[str, ...] = ()
    beginnings: tuple[str, ...] = ()

    def stand_in(self, text: str) -> bool:
        """Whether a line is looked for."""
        return self._pattern is None or self._pattern.search(text) is not None

    @property
    def patterns(self) -> Sequence[str]:
        """What has CloudWatch look for each; it reads all lines where it cannot be asked for one.

        https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html
        """
        every = sorted({*self.any_of, *self.beginnings}, key=len)
        if not every or any(_UNQUOTABLE.search(one) for one in every):
            return ("",)
        # Whoever finds the shorter finds the longer one that it stands in.
        needed = [one for n, one in enumerate(every) if not any(s in one for s in every[:n])]
        return [f'"{one}"' for one in needed]

    @cached_property
    def _pattern(self) -> re.Pattern[str] | None:
        ends = [rf"(?<![\w-]){re.escape(one)}(?![\w-])" for one in self.any_of]
        open_ = [rf"(?<![\w-]){re.escape(one)}" for one in self.beginnings]
        return re.compile("|".join(ends + open_)) if ends or open_ else None


@dataclass(frozen=True)
class FunctionLogs:
    """The logs of functions, by the names in `groups`: the lines that `words` stand in."""

    client: CloudWatchLogsClient
    groups: Mapping[str, str]
    words: Words = Words()
    pause: Callable[[float], None] = time.sleep

    def lines(
        self,
        since: datetime,
        *,
        until: datetime | None = None,
        limit: int | None = None,
        follow: bool = False,
    ) -> Iterator[LogEvent]:
        """Lines from `since` to `until`, the oldest first; then what comes, without an end.

        Each comes once; of those that there are only the last `limit`, if that is given. No more of
        them is kept in mind than what was logged within LATE.

        Raises:
            NotFoundError: none of the functions has a log group.
        """
        reading = _Reading(self, since, until)
        there_are = reading.lines()
        yield from there_are if limit is None else deque(there_are, maxlen=limit)
        if reading.missing >= set(self.groups.values()):
            missing = ", ".join(self.groups.values())
            msg = f"no log group {missing}: the function has not run or is not deployed"
            raise NotFoundError(msg)
        while follow:
            self.pause(max(_PAUSE_SECONDS, reading.requests / REQUESTS_A_SECOND))
            reading = reading.next()
            yield from reading.lines()


class _Reading:
    """One reading of all groups, and what of it the next one need not give again."""

    def __init__(
        self,
        of: FunctionLogs,
        since: datetime,
        until: datetime | None = None,
        seen: Mapping[str, datetime] | None = None,
    ) -> None:
        self._of, self._since, self._until = of, since, until
        self._seen = dict(seen or {})
        self._began: datetime | None = None
        self.missing: set[str] = set()
        self.requests = 0

    def next(self) -> _Reading:
        """The reading after this one, of what may have arrived since it began."""
        since = max(self._since, self._remembered_since)
        seen = {identity: at for identity, at in self._seen.items() if at >= since}
        return _Reading(self._of, since, seen=seen)

    def lines(self) -> Iterator[LogEvent]:
        """What this reading finds and no earlier one did; a page of each group is held at a time.

        What is found by several words, or twice where pages meet, has one time, and is met there.
        """
        now, met = self._since, set[str]()
        for event in heapq.merge(*self._reads(), key=lambda event: event.at):
            if event.at != now:
                now, met = event.at, set()
            if event.identity in met or event.identity in self._seen:
                continue
            met.add(event.identity)
            if event.at >= self._remembered_since:
                self._seen[event.identity] = event.at
            yield event

    @property
    def _remembered_since(self) -> datetime:
        return (self._began or datetime.now(UTC)) - LATE

    def _reads(self) -> Iterator[Iterator[LogEvent]]:
        for function, group in self._of.groups.items():
            for pattern in self._of.words.patterns:
                yield self._read(function, group, pattern)

    def _read(self, function: str, group: str, pattern: str) -> Iterator[LogEvent]:
        for found in self._pages(group, pattern):
            if self._of.words.stand_in(found["message"]):
                yield _event(function, found)

    def _pages(self, group: str, pattern: str) -> Iterator[FilteredLogEventTypeDef]:
        """All events of a group. The local cloud ends after a full page; the rest is asked for."""
        options: dict[str, Any] = {"logGroupName": group, "startTime": _milliseconds(self._since)}
        if pattern:
            options["filterPattern"] = pattern
        if self._until is not None:
            options["endTime"] = _milliseconds(self._until)
        while (answer := self._ask(options)) is not None:
            events = answer.get("events", [])
            yield from events
            if "nextToken" in answer:
                options["nextToken"] = answer["nextToken"]
            elif len(events) >= _PAGE_EVENTS:
                options.pop("nextToken", None)
                options["startTime"] = max(options["startTime"] + 1, events[-1]["timestamp"])
            else:
                return

    def _ask(self, options: Mapping[str, Any]) -> FilterLogEventsResponseTypeDef | None:
        """An answer, however long it takes while there are too many requests; None of no group."""
        wait = _PAUSE_SECONDS
        while True:
            self.requests += 1
            try:
                answer = self._of.client.filter_log_events(**options)
            except self._of.client.exceptions.ResourceNotFoundException:
                self.missing.add(options["logGroupName"])
                return None
            except self._of.client.exceptions.ClientError as error:
                if not throttled(error):
                    raise
                self._of.pause(wait)
                wait = min(2 * wait, _SLOWEST_SECONDS)
            else:
                self._began = self._began or _clock_of(answer)
                return answer


def _clock_of(answer: FilterLogEventsResponseTypeDef) -> datetime:
    """What time it is where lines get theirs: this machine's clock may be wrong."""
    headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    try:
        return parsedate_to_datetime(headers.get("date", "")).astimezone(UTC)
    except ValueError:
        return datetime.now(UTC).replace(microsecond=0)


def _event(function: str, found: FilteredLogEventTypeDef) -> LogEvent:
    at, text = found["timestamp"], found["message"]
    identity = found.get("eventId") or f"{found.get('logStreamName')} {at} {text}"
    moment = datetime.fromtimestamp(0, UTC) + at * _MILLISECOND
    return LogEvent(moment, function, text.rstrip("\n"), identity)


def _milliseconds(moment: datetime) -> int:
    return max(0, int(moment.timestamp() * 1000))
