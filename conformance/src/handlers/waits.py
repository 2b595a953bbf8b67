"""Waits, by their units and one after another."""

from __future__ import annotations

from aws_durable_execution_sdk_python import DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration


@durable_execution
def wait(_: None, context: DurableContext) -> None:
    """One wait."""
    context.wait(Duration.from_seconds(2))


@durable_execution
def named(_: None, context: DurableContext) -> None:
    """One wait with a name."""
    context.wait(Duration.from_seconds(2), name="custom_wait_name")


@durable_execution
def two(_: None, context: DurableContext) -> dict[str, int]:
    """Two waits, one after another."""
    names = ("wait-1", "wait-2")
    for name in names:
        context.wait(Duration.from_seconds(2), name=name)
    return {"completedWaits": len(names)}


@durable_execution
def minute(_: None, context: DurableContext) -> None:
    """A wait given in minutes."""
    context.wait(Duration.from_minutes(1))


@durable_execution
def hour(_: None, context: DurableContext) -> None:
    """A wait given in hours."""
    context.wait(Duration.from_hours(1))
