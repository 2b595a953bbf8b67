"""Processing events, as the durable function announces them."""

from __future__ import annotations

from pipeline_core.events import ProcessingEvent
from pipeline_core.objects import ObjectState

STATE: ObjectState = {
    "bucket": "in",
    "key": "input/my orders.csv",
    "version_id": "v1",
    "etag": "e",
    "size": 7,
    "sequencer": "A" * 32,
}

PROCESSING: ProcessingEvent = {
    "event": "processing",
    "object": STATE,
    "execution_id": "dev-1",
    "durable_execution_arn": "arn:of:execution",
    "at": "2026-03-01T00:00:00.000000Z",
}

DONE: ProcessingEvent = {
    **PROCESSING,
    "event": "done",
    "counts": {"rows": 3, "results": 2, "rejects": 1},
    "manifest": {"bucket": "out", "key": "results/x/manifest.json"},
}

REJECTED: ProcessingEvent = {
    **PROCESSING,
    "event": "rejected",
    "stage": "validate",
    "reason": {"type": "ValidationError", "message": "a; b", "errors": ["a", "b"]},
}

FAILED: ProcessingEvent = {
    **PROCESSING,
    "event": "failed",
    "stage": "store",
    "reason": {"type": "ThrottlingException", "message": "slow down"},
}

SUPERSEDED: ProcessingEvent = {**PROCESSING, "event": "superseded"}
