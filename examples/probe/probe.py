"""A durable function that waits longer than its timeout, or dies, as its event says."""

from __future__ import annotations

import os
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration


@durable_execution
def handler(event: dict[str, Any], context: DurableContext) -> str:
    """Do what `probe` says: `wait` for so many `seconds`, or `die` whenever it is invoked."""
    match event["probe"]:
        case "wait":
            context.wait(Duration.from_seconds(event["seconds"]), name="longer than the timeout")
            return "waited"
        case "die":
            print(event["name"], "dies", flush=True)
            os._exit(1)
    raise ValueError(f"probe is {event['probe']!r}, not wait or die")
