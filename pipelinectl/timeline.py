"""What a durable execution did and when: built from the events of its history, nothing else."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

# How the pipeline's durable function names an invoke that it does again.
_ATTEMPT = re.compile(r"(?P<name>.+) attempt (?P<number>\d+)")

RUNNING = "RUNNING"
RETRYING = "RETRYING"
FAILED = "FAILED"
_FAILURES = frozenset({FAILED, "TIMED_OUT", "STOPPED"})

_EVENT_TYPE = re.compile(
    "(?P<kind>Execution|Context|Wait|Step|ChainedInvoke|Callback)"
    "(?P<phase>Started|Succeeded|Failed|TimedOut|Stopped|Cancelled)"
)
_STATUSES = {
    "Started": RUNNING,
    "Succeeded": "SUCCEEDED",
    "Failed": FAILED,
    "TimedOut": "TIMED_OUT",
    "Stopped": "STOPPED",
    "Cancelled": "CANCELLED",
}


_METERED = {
    "ExecutionStarted": "execution",
    "StepSucceeded": "step attempt",
    "StepFailed": "step attempt",
    "WaitStarted": "wait",
    "ChainedInvokeStarted": "chained invoke",
    "ContextStarted": "context",
    "CallbackStarted": "callback",
}
"""The event at which an operation is counted, and what it is called."""


def operations_in(events: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """How many operations a history tells of, by kind: what AWS meters as one.

    That is the start of the execution, each attempt of a step, each wait, callback and context, and
    each invocation that repeats a failed one:
    https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-sdk.html. Chained invokes are not
    in AWS's table; here each is one.
    """
    told = list(events)
    ends = ["Error" in _details(e) for e in told if e["EventType"] == "InvocationCompleted"]
    counted = Counter(_METERED[e["EventType"]] for e in told if e["EventType"] in _METERED)
    # What follows on a failed invocation is its repetition.
    return counted + Counter({"repeated invocation": sum(ends[:-1])})


@dataclass(frozen=True)
class Failure:
    """The error that an operation or the execution ended with."""

    error_type: str
    message: str


@dataclass(frozen=True)
class Payload:
    """A payload's size in bytes; `truncated` where the history does not hold all of it."""

    size: int
    truncated: bool = False


@dataclass(frozen=True)
class Operation:
    """One durable operation.

    `kind` is one of Step, Wait, ChainedInvoke, Context, Callback. `starts` counts how often a
    step was started; `attempt` counts up where an operation does again what an earlier one of
    the same name failed to do, which is how a chained invoke is retried. `ended_at` is None while
    it runs. `function_name` is the function of a chained invoke.
    """

    operation_id: str
    name: str
    kind: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    starts: int
    attempt: int
    failure: Failure | None
    function_name: str | None
    payload_in: Payload | None
    payload_out: Payload | None
    children: tuple[Operation, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether it ended without a result."""
        return self.status in _FAILURES

    @property
    def attempts(self) -> int:
        """Which attempt this is, or how many it took: starts of a step, or tries of an invoke."""
        return max(self.starts, self.attempt)

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Operation]]:
        """Yield this operation and all below it, each with its depth in the tree."""
        yield depth, self
        for child in self.children:
            yield from child.walk(depth + 1)


@dataclass(frozen=True)
class Timeline:
    """A whole execution. `ended_at` is None while it runs; `last_event_at` never is.

    `metered` is how many operations of which kind it came to, as `operations_in` counts them.
    """

    name: str
    status: str
    started_at: datetime
    ended_at: datetime | None
    last_event_at: datetime
    invocations: int
    failed_invocations: int
    failure: Failure | None
    payload_in: Payload | None
    payload_out: Payload | None
    operations: tuple[Operation, ...]
    metered: Counter[str]

    @property
    def seconds(self) -> float:
        """From its start to its end, or to the last thing known of it."""
        return self.offset(self.ended_at or self.last_event_at)

    def offset(self, moment: datetime) -> float:
        """Seconds from the execution's start to `moment`."""
        return (moment - self.started_at).total_seconds()

    def walk(self) -> Iterator[tuple[int, Operation]]:
        """All operations in the order they started, each below its parent, with their depth."""
        for operation in self.operations:
            yield from operation.walk()

    @property
    def failed_in(self) -> str | None:
        """Name of the operation whose error became the execution's; None: it was the handler's.

        An execution that was stopped, or ran out of time, ended in the operation that ran.
        """
        if self.failure is None:
            return None
        if self.status == FAILED:
            return _last(
                operation
                for _, operation in self.walk()
                if operation.failed
                and operation.failure
                and operation.failure.message == self.failure.message
            )
        return _last(operation for _, operation in self.walk() if operation.ended_at is None)


def _last(operations: Iterable[Operation]) -> str | None:
    """Name of the one that began last: of those in one another the innermost."""
    latest = max(operations, key=lambda operation: operation.started_at, default=None)
    return latest.name if latest else None


class NoHistoryError(ValueError):
    """The events do not begin with the start of an execution."""


def build_timeline(events: Iterable[Mapping[str, Any]]) -> Timeline:
    """Put a history's events together; event types that are not known yet are passed over.

    `events` are those of GetDurableExecutionHistory, oldest first.

    Raises:
        NoHistoryError: there is no `ExecutionStarted` event.
    """
    ordered = list(events)
    tracks = _tracks(ordered)
    execution = next((track for track in tracks if track.kind == "Execution"), None)
    if execution is None:
        msg = "the history holds no ExecutionStarted event"
        raise NoHistoryError(msg)
    completed = [event for event in ordered if event["EventType"] == "InvocationCompleted"]
    return Timeline(
        name=execution.name,
        status=execution.status,
        started_at=execution.started_at,
        ended_at=execution.ended_at,
        last_event_at=max(event["EventTimestamp"] for event in ordered),
        invocations=len(completed),
        failed_invocations=sum(_failure(_details(event)) is not None for event in completed),
        failure=execution.failure,
        payload_in=execution.payload_in,
        payload_out=execution.payload_out,
        operations=_tree(_number_attempts(track for track in tracks if track is not execution)),
        metered=operations_in(ordered),
    )


@dataclass
class _Track:
    """An operation while its events are read."""

    operation_id: str
    parent_id: str | None
    name: str
    kind: str
    started_at: datetime
    status: str = RUNNING
    ended_at: datetime | None = None
    starts: int = 0
    attempt: int = 1
    failure: Failure | None = None
    function_name: str | None = None
    input_text: str | None = None
    payload_in: Payload | None = None
    payload_out: Payload | None = None

    def take(self, phase: str, event: Mapping[str, Any]) -> None:
        details = _details(event)
        self.status = _STATUSES[phase]
        if phase == "Started":
            self._start(details)
        else:
            self._end(details, event["EventTimestamp"])

    def _start(self, details: Mapping[str, Any]) -> None:
        self.starts += 1
        self.ended_at = None
        self.failure = None
        self.function_name = details.get("FunctionName", self.function_name)
        self.input_text = details.get("Input", {}).get("Payload")
        self.payload_in = _payload(details.get("Input"))

    def _end(self, details: Mapping[str, Any], moment: datetime) -> None:
        self.ended_at = moment
        self.failure = _failure(details)
        self.payload_out = _payload(details.get("Result"))
        if self.failure and details.get("RetryDetails", {}).get("NextAttemptDelaySeconds"):
            self.status = RETRYING

    def finished(self, children: tuple[Operation, ...]) -> Operation:
        return Operation(
            operation_id=self.operation_id,
            name=self.name,
            kind=self.kind,
            status=self.status,
            started_at=self.started_at,
            ended_at=self.ended_at,
            starts=self.starts,
            attempt=self.attempt,
            failure=self.failure,
            function_name=self.function_name,
            payload_in=self.payload_in,
            payload_out=self.payload_out,
            children=children,
        )


def _tracks(events: Sequence[Mapping[str, Any]]) -> list[_Track]:
    tracks: dict[str, _Track] = {}
    for event in events:
        matched = _EVENT_TYPE.fullmatch(event["EventType"])
        if matched:
            # All events of the execution itself belong together, whatever id they bear.
            kind = matched["kind"]
            key = kind if kind == "Execution" else event["Id"]
            track = tracks.setdefault(key, _new_track(kind, event))
            track.take(matched["phase"], event)
    return list(tracks.values())


def _new_track(kind: str, event: Mapping[str, Any]) -> _Track:
    return _Track(
        operation_id=event.get("Id", ""),
        parent_id=event.get("ParentId"),
        name=event.get("Name") or event.get("SubType") or kind,
        kind=kind,
        started_at=event["EventTimestamp"],
    )


def _number_attempts(tracks: Iterable[_Track]) -> list[_Track]:
    """Count the attempts of what was done again by an operation of its own.

    Either its name says so, or it has the same parent, name and input as an earlier one that had
    failed before it began. Operations of the same name that ran side by side are no repetitions.
    """
    numbered = list(tracks)
    failed: dict[tuple[str | None, str, str | None], list[_Track]] = {}
    for track in numbered:
        key = (track.parent_id, track.name, track.input_text)
        before = [other for other in failed.get(key, []) if _ended_before(other, track)]
        if named := _ATTEMPT.fullmatch(track.name):
            track.attempt = int(named["number"])
        elif before:
            failed[key].remove(before[0])
            track.attempt = before[0].attempt + 1
        if track.status in _FAILURES:
            failed.setdefault(key, []).append(track)
    return numbered


def _ended_before(earlier: _Track, later: _Track) -> bool:
    return earlier.ended_at is not None and earlier.ended_at <= later.started_at


def _tree(tracks: list[_Track]) -> tuple[Operation, ...]:
    known = {track.operation_id for track in tracks}
    by_parent: dict[str | None, list[_Track]] = {}
    for track in tracks:
        # A parent without events of its own (a flat map's item) leaves its children at the root.
        parent = track.parent_id if track.parent_id in known else None
        by_parent.setdefault(parent, []).append(track)
    return _below(None, by_parent)


def _below(
    parent_id: str | None, by_parent: Mapping[str | None, list[_Track]]
) -> tuple[Operation, ...]:
    return tuple(
        track.finished(_below(track.operation_id, by_parent))
        for track in by_parent.get(parent_id, ())
    )


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    details: Mapping[str, Any] = event.get(f"{event['EventType']}Details") or {}
    return details


def _payload(part: Mapping[str, Any] | None) -> Payload | None:
    if not part or "Payload" not in part:
        return None
    return Payload(len(str(part["Payload"]).encode()), bool(part.get("Truncated")))


def failure_of(event: Mapping[str, Any]) -> Failure | None:
    """The error that an event of a history tells of, if it does."""
    return _failure(_details(event))


def _failure(details: Mapping[str, Any]) -> Failure | None:
    error = details.get("Error")
    if error is None:
        return None
    content = error.get("Payload") or {}
    return Failure(content.get("ErrorType", "Unknown"), content.get("ErrorMessage", ""))
