"""What an execution used, counted from the events of its history as AWS meters them.

An operation is what AWS counts as one in "How durable operations are metered",
https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-sdk.html: the start of the execution,
each attempt of a step, a wait, a callback, a context (a map is one, and so is each of its items
that has a context of its own), and each invocation of the durable function that Lambda repeats.
Chained invokes are not in that table; here each is one operation, and its input and its result are
counted as data written.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipelinectl.costing.intake import Intake, intake

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

EXECUTION = "execution"
STEP = "step attempt"
WAIT = "wait"
CHAINED_INVOKE = "chained invoke"
CONTEXT = "context"
CALLBACK = "callback"
REPEATED_INVOCATION = "repeated invocation"

_METERED = {
    "ExecutionStarted": EXECUTION,
    "StepSucceeded": STEP,
    "StepFailed": STEP,
    "WaitStarted": WAIT,
    "ChainedInvokeStarted": CHAINED_INVOKE,
    "ContextStarted": CONTEXT,
    "CallbackStarted": CALLBACK,
}
"""The event at which an operation is counted."""

_INVOCATION = "InvocationCompleted"
_INVOKE_STARTED = "ChainedInvokeStarted"
_INVOKE_ENDED = tuple(
    f"ChainedInvoke{end}" for end in ("Succeeded", "Failed", "TimedOut", "Stopped")
)
_WRITE_UNIT_BYTES = 1024


@dataclass(frozen=True)
class Calls:
    """Invocations of one function, and how long they took together.

    `untimed` of them have no times in the history.
    """

    count: int = 0
    seconds: float = 0.0
    untimed: int = 0

    def __add__(self, other: Calls) -> Calls:
        return Calls(
            self.count + other.count, self.seconds + other.seconds, self.untimed + other.untimed
        )


@dataclass(frozen=True)
class Usage:
    """What one execution used, or several together.

    `record_ids` are of documents; one that was delivered twice is one record and two `deliveries`.
    `rows` are those of files. `calls` is by function name. `byte_seconds` is data written times how
    long its execution ran; `truncated` says that the history does not hold every payload whole.
    """

    executions: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    bytes_written: int = 0
    byte_seconds: float = 0.0
    truncated: bool = False
    calls: Mapping[str, Calls] = field(default_factory=dict)
    record_ids: frozenset[str] = frozenset()
    deliveries: int = 0
    rows: int = 0
    event_bytes: int = 0
    travelling_bytes: int = 0
    queue_requests: int = 0
    write_units: int = 0

    @property
    def records(self) -> int:
        """Documents, each once, and rows."""
        return len(self.record_ids) + self.rows

    @property
    def operation_count(self) -> int:
        """Operations of all kinds."""
        return self.operations.total()

    @property
    def invocations(self) -> int:
        """Invocations of all functions."""
        return sum(calls.count for calls in self.calls.values())

    def __add__(self, other: Usage) -> Usage:
        names = dict.fromkeys((*self.calls, *other.calls))
        none = Calls()
        return Usage(
            executions=self.executions + other.executions,
            operations=self.operations + other.operations,
            bytes_written=self.bytes_written + other.bytes_written,
            byte_seconds=self.byte_seconds + other.byte_seconds,
            truncated=self.truncated or other.truncated,
            calls={n: self.calls.get(n, none) + other.calls.get(n, none) for n in names},
            record_ids=self.record_ids | other.record_ids,
            deliveries=self.deliveries + other.deliveries,
            rows=self.rows + other.rows,
            event_bytes=self.event_bytes + other.event_bytes,
            travelling_bytes=self.travelling_bytes + other.travelling_bytes,
            queue_requests=self.queue_requests + other.queue_requests,
            write_units=self.write_units + other.write_units,
        )


def usage_of(events: Iterable[Mapping[str, Any]], durable_function: str) -> Usage | None:
    """What the execution with this history used; None where its input tells of no records.

    `events` are those of GetDurableExecutionHistory with execution data, oldest first;
    `durable_function` is the function whose execution it is.
    """
    ordered = list(events)
    taken = _intake(ordered)
    if taken is None:
        return None
    payloads = [payload for event in ordered for payload in _payloads(event)]
    written = sum(_size(payload) for payload in payloads)
    return Usage(
        executions=1,
        operations=_operations(ordered),
        bytes_written=written,
        byte_seconds=written * _seconds(ordered),
        truncated=any(payload.get("Truncated") for payload in payloads),
        calls={durable_function: _invocations(ordered), **_chained(ordered)},
        record_ids=taken.record_ids,
        deliveries=len(taken.record_ids),
        rows=sum(_rows(event) for event in ordered),
        event_bytes=taken.event_bytes,
        travelling_bytes=taken.travelling_bytes,
        queue_requests=taken.queue_requests,
        write_units=sum(_write_units(event) for event in ordered),
    )


def function_name(reference: str) -> str:
    """The function's name in what may be its ARN, or have a version or an alias behind it."""
    return reference.split(":function:", 1)[-1].split(":", 1)[0]


def _intake(events: Sequence[Mapping[str, Any]]) -> Intake | None:
    for event in events:
        if event["EventType"] == "ExecutionStarted":
            return intake(_details(event).get("Input", {}).get("Payload", ""))
    return None


def _operations(events: Sequence[Mapping[str, Any]]) -> Counter[str]:
    counted = Counter(kind for event in events if (kind := _METERED.get(event["EventType"])))
    ends = [_details(event) for event in events if event["EventType"] == _INVOCATION]
    # What follows on a failed invocation is its repetition.
    repeated = sum("Error" in details for details in ends[:-1])
    return counted + Counter({REPEATED_INVOCATION: repeated})


def _payloads(event: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """What the event says was written: inputs, results and errors."""
    details = _details(event)
    return (details[part] for part in ("Input", "Result", "Error") if details.get(part))


def _size(payload: Mapping[str, Any]) -> int:
    content = payload.get("Payload") or ""
    return _text_size(content if isinstance(content, str) else json.dumps(content))


def _text_size(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _seconds(events: Sequence[Mapping[str, Any]]) -> float:
    times: list[datetime] = [event["EventTimestamp"] for event in events]
    return (max(times) - min(times)).total_seconds()


def _invocations(events: Sequence[Mapping[str, Any]]) -> Calls:
    """The durable function's own invocations, by the times that the history has of each."""
    calls = Calls()
    for event in events:
        if event["EventType"] == _INVOCATION:
            details = _details(event)
            calls += _call(details.get("StartTimestamp"), details.get("EndTimestamp"))
    return calls


def _chained(events: Sequence[Mapping[str, Any]]) -> dict[str, Calls]:
    """The stages' invocations: each from when it was asked for to when its answer was there."""
    ends = {e["Id"]: e["EventTimestamp"] for e in events if e["EventType"] in _INVOKE_ENDED}
    chained: dict[str, Calls] = {}
    for event in events:
        if event["EventType"] == _INVOKE_STARTED:
            name = function_name(_details(event)["FunctionName"])
            call = _call(event["EventTimestamp"], ends.get(event["Id"]))
            chained[name] = chained.get(name, Calls()) + call
    return chained


def _call(start: datetime | None, end: datetime | None) -> Calls:
    if start is None or end is None:
        return Calls(1, untimed=1)
    return Calls(1, (end - start).total_seconds())


def _rows(event: Mapping[str, Any]) -> int:
    """Rows of the range of a file that this event says is done."""
    if event["EventType"] != "ChainedInvokeSucceeded":
        return 0
    match _json(_details(event).get("Result")):
        case {"part": {"rows": int(rows)}}:
            return rows
    return 0


def _write_units(event: Mapping[str, Any]) -> int:
    """DynamoDB's write units for the items that this event asks the store stage for."""
    if event["EventType"] != _INVOKE_STARTED:
        return 0
    match _json(_details(event).get("Input")):
        case {"records": [{"transformed": _}, *_] as records}:
            sizes = (_text_size(json.dumps(record, ensure_ascii=False)) for record in records)
            return sum(math.ceil(size / _WRITE_UNIT_BYTES) for size in sizes)
    return 0


def _json(payload: Mapping[str, Any] | None) -> Any:
    try:
        return json.loads((payload or {}).get("Payload") or "null")
    except ValueError:
        return None


def _details(event: Mapping[str, Any]) -> Mapping[str, Any]:
    details: Mapping[str, Any] = event.get(f"{event['EventType']}Details") or {}
    return details
