"""Histories as the local runner tells them, with times in seconds from the execution's start."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

Event = dict[str, Any]


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def started(ids: Sequence[str]) -> Event:
    payload = json.dumps({"Records": [{"messageId": name} for name in ids]})
    return {
        "EventType": "ExecutionStarted",
        "Id": "execution",
        "EventTimestamp": START,
        "ExecutionStartedDetails": {"Input": {"Payload": payload}},
    }


def ended(seconds: float) -> Event:
    return {
        "EventType": "ExecutionSucceeded",
        "Id": "execution",
        "EventTimestamp": at(seconds),
        "ExecutionSucceededDetails": {"Result": {"Payload": "{}"}},
    }


def invocation(seconds: float) -> Event:
    return {"EventType": "InvocationCompleted", "EventTimestamp": at(seconds)}


def invoked(name: str, seconds: float, payload: Any, operation_id: str = "") -> Event:
    return {
        "EventType": "ChainedInvokeStarted",
        "Id": operation_id or name,
        "Name": name,
        "EventTimestamp": at(seconds),
        "ChainedInvokeStartedDetails": {"Input": {"Payload": json.dumps(payload)}},
    }


def answered(name: str, seconds: float, operation_id: str = "") -> Event:
    return {
        "EventType": "ChainedInvokeSucceeded",
        "Id": operation_id or name,
        "Name": name,
        "EventTimestamp": at(seconds),
        "ChainedInvokeSucceededDetails": {"Result": {"Payload": "{}"}},
    }


def failed(name: str, seconds: float) -> Event:
    return {
        "EventType": "ChainedInvokeFailed",
        "Id": name,
        "Name": name,
        "EventTimestamp": at(seconds),
        "ChainedInvokeFailedDetails": {"Error": {"Payload": {"ErrorType": "E"}}},
    }


def records(*ids: str) -> Any:
    """What the pipeline sends to its store stage."""
    return {"records": [{"message_id": name} for name in ids]}
