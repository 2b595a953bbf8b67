"""Delivers batches of messages to a function, as an event source mapping does."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from tests.events import sqs_event_of

CONTEXT = SimpleNamespace(
    function_name="function",
    memory_limit_in_mb=256,
    invoked_function_arn="arn:aws:lambda:us-east-1:123456789012:function:function",
    aws_request_id="r-0",
    get_remaining_time_in_millis=lambda: 60_000,
)


def deliver(handler: Callable[..., Any], *bodies: str) -> list[int]:
    """Deliver one batch; which of ``bodies``, by number, failed and come again."""
    response = handler(sqs_event_of(bodies), CONTEXT)
    failures = response["batchItemFailures"]
    return [int(failure["itemIdentifier"].removeprefix("m-")) for failure in failures]
