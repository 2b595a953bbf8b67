"""What an execution's history says of its cost and of the messages that it stored."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipelinectl.timeline import Operation, Timeline, build_timeline

Event = Mapping[str, Any]

STORE = "store"

SUSPENDING = "suspending"
DURABLE = "durable function"


@dataclass(frozen=True)
class Run:
    """One execution. Times are epoch seconds, ``stored`` are by message id.

    ``operations`` has the execution itself, as the bill has. A message counts as stored when the
    store invoke that carried it had succeeded. ``bytes`` are those of all inputs and results
    that were checkpointed. ``phases`` says where the seconds went, see `phases_of`;
    ``durable_seconds`` are those of the durable function's own invocations.
    """

    started_at: float
    ended_at: float
    succeeded: bool
    operations: int
    durable_invocations: int
    stage_invocations: int
    phases: Mapping[str, float]
    bytes: int
    stored: Mapping[str, float]
    durable_seconds: float = 0.0


def run_of(events: Iterable[Event]) -> Run:
    """Read one execution's history, oldest event first."""
    ordered = list(events)
    timeline = build_timeline(ordered)
    operations = [operation for _, operation in timeline.walk()]
    invokes = [operation for operation in operations if operation.kind == "ChainedInvoke"]
    return Run(
        started_at=timeline.started_at.timestamp(),
        ended_at=(timeline.ended_at or timeline.last_event_at).timestamp(),
        succeeded=timeline.status == "SUCCEEDED",
        operations=len(operations) + 1,
        durable_invocations=timeline.invocations,
        stage_invocations=len(invokes),
        phases=phases_of(ordered),
        bytes=_payload_bytes([timeline, *operations]),
        stored=_stored(ordered),
        durable_seconds=sum(map(_invoked_seconds, ordered)),
    )


def phases_of(events: Sequence[Event]) -> dict[str, float]:
    """Seconds from each event to the next, by what the execution waited for meanwhile.

    That is a stage's name while an invoke of it runs; `SUSPENDING` from its answer until the
    invocation of the durable function that asked for it has ended; `DURABLE` while the function is
    invoked, replays, decides and checkpoints.
    """
    seconds: dict[str, float] = {}
    running: dict[str, str] = {}
    suspending = False
    for event, following in itertools.pairwise(events):
        match event["EventType"]:
            case "ChainedInvokeStarted":
                running[event["Id"]] = stage_of(event["Name"])
                suspending = True
            case "InvocationCompleted":
                suspending = False
            case _:
                running.pop(event.get("Id", ""), None)
        phase = next(iter(running.values()), SUSPENDING if suspending else DURABLE)
        took = (following["EventTimestamp"] - event["EventTimestamp"]).total_seconds()
        seconds[phase] = seconds.get(phase, 0.0) + max(took, 0.0)
    return seconds


def stage_of(name: str) -> str:
    """The stage that an invoke is of: ``chunk-3 store`` is the store stage's."""
    return name.rsplit(" ", 1)[-1]


def _invoked_seconds(event: Event) -> float:
    match event.get("InvocationCompletedDetails"):
        case {"StartTimestamp": datetime() as start, "EndTimestamp": datetime() as end}:
            return (end - start).total_seconds()
    return 0.0


def _payload_bytes(parts: Sequence[Timeline | Operation]) -> int:
    payloads = [payload for part in parts for payload in (part.payload_in, part.payload_out)]
    return sum(payload.size for payload in payloads if payload)


def _stored(events: Iterable[Event]) -> dict[str, float]:
    carried: dict[str, list[str]] = {}
    stored: dict[str, float] = {}
    for event in events:
        if event["EventType"] == "ChainedInvokeStarted" and stage_of(event["Name"]) == STORE:
            payload = event["ChainedInvokeStartedDetails"]["Input"]["Payload"]
            carried[event["Id"]] = _message_ids(json.loads(payload))
        elif event["EventType"] == "ChainedInvokeSucceeded":
            at = event["EventTimestamp"].timestamp()
            stored |= dict.fromkeys(carried.get(event["Id"], []), at)
    return stored


def _message_ids(payload: Mapping[str, Any]) -> list[str]:
    """Of the pipeline's many records, or of the reference's one."""
    records = payload.get("records", [payload])
    return [record["message_id"] for record in records]
