"""Histories and what was used in them, small enough to count by hand."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelinectl.cost import Calls, Deployment, Size, Usage
from tests.events import sqs_event_of

START = datetime(2026, 1, 1, tzinfo=UTC)
DURABLE = "pipe-durable"
STAGES = ("pipe-validate", "pipe-transform", "pipe-store")
SIZES = {DURABLE: Size(512, "arm64")} | {name: Size(256, "arm64") for name in STAGES}
PLACE = Deployment(
    "pipe",
    "us-east-1",
    is_local=False,
    retention_days=7,
    durable_function=DURABLE,
    sizes=SIZES,
)


def event(kind: str, second: float, id_: str = "x", **details: Any) -> dict[str, Any]:
    """An event as boto3 has it."""
    return {
        "EventType": kind,
        "EventTimestamp": START + timedelta(seconds=second),
        "Id": id_,
        f"{kind}Details": details,
    }


def started(payload: object) -> dict[str, Any]:
    """The start of an execution with this input."""
    entered = {"Payload": json.dumps(payload)}
    return event("ExecutionStarted", 0, "e", Input=entered, ExecutionTimeout=900)


def started_with(*bodies: str) -> dict[str, Any]:
    """The start of an execution with a batch of messages: m-0, m-1, ..."""
    return started(sqs_event_of(bodies))


def invocation(start: float, end: float, **details: Any) -> dict[str, Any]:
    """An invocation of the durable function that has ended."""
    times: dict[str, Any] = {
        "RequestId": "request",
        "StartTimestamp": START + timedelta(seconds=start),
        "EndTimestamp": START + timedelta(seconds=end),
    }
    return event("InvocationCompleted", end, **times, **details)


def used(records: int = 10, *, body_bytes: int = 100, first: int = 0) -> Usage:
    """A healthy execution of one chunk: `records` messages of `body_bytes` each."""
    return Usage(
        executions=1,
        operations=Counter({"execution": 1, "chained invoke": 3}),
        bytes_written=records * body_bytes * 6,
        byte_seconds=records * body_bytes * 6 * 2.0,
        calls={DURABLE: Calls(4, 0.8), **dict.fromkeys(STAGES, Calls(1, 0.2))},
        documents=Counter(f"m-{n}" for n in range(first, first + records)),
        event_bytes=records * (body_bytes + 500),
        travelling_bytes=records * body_bytes,
        queue_requests=records + 2,
        write_units=records,
    )
