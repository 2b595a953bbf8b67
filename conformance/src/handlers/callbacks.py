"""Callbacks: answered, refused, never answered, and with other operations around them."""

from __future__ import annotations

from typing import Any

from aws_durable_execution_sdk_python import CallbackError, DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration

from .serdes import Number, Stamped


def _within(seconds: int) -> CallbackConfig:
    return CallbackConfig(timeout=Duration.from_seconds(seconds))


def _alive_within(seconds: int) -> CallbackConfig:
    return CallbackConfig(heartbeat_timeout=Duration.from_seconds(seconds))


@durable_execution
def callback(event: str, context: DurableContext) -> Any:
    """Wait for one callback."""
    return context.create_callback(name=event).result()


@durable_execution
def named(_: None, context: DurableContext) -> Any:
    """Wait for a callback whose name is fixed."""
    return context.create_callback(name="approval").result()


@durable_execution
def timing_out(event: str, context: DurableContext) -> Any:
    """Wait for a callback for so long."""
    return context.create_callback(name=event, config=_within(5)).result()


@durable_execution
def silent(event: str, context: DurableContext) -> Any:
    """Wait for a callback as long as it gives a sign of life every 5 seconds."""
    return context.create_callback(name=event, config=_alive_within(5)).result()


@durable_execution
def alive(event: str, context: DurableContext) -> Any:
    """Wait for a callback as long as it gives a sign of life every 10 seconds."""
    return context.create_callback(name=event, config=_alive_within(10)).result()


@durable_execution
def step_meanwhile(event: str, context: DurableContext) -> Any:
    """Run a step between a callback's creation and the wait for it."""
    callback = context.create_callback(name=event)
    context.step(lambda _: "done")
    return callback.result()


@durable_execution
def step_meanwhile_timing_out(event: str, context: DurableContext) -> Any:
    """Run a step before waiting for a callback that does not come in time."""
    callback = context.create_callback(name=event, config=_within(5))
    context.step(lambda _: "done")
    return callback.result()


@durable_execution
def wait_meanwhile(event: str, context: DurableContext) -> Any:
    """Wait five seconds, in which the callback comes."""
    callback = context.create_callback(name=event)
    context.wait(Duration.from_seconds(5))
    return callback.result()


@durable_execution
def wait_meanwhile_timing_out(event: str, context: DurableContext) -> Any:
    """Wait six seconds, in which the callback's time is over."""
    callback = context.create_callback(name=event, config=_within(3))
    context.wait(Duration.from_seconds(6))
    return callback.result()


@durable_execution
def wait_after(event: str, context: DurableContext) -> Any:
    """Wait two seconds after a callback."""
    result = context.create_callback(name=event).result()
    context.wait(Duration.from_seconds(2))
    return result


@durable_execution
def refusal_caught(event: str, context: DurableContext) -> str:
    """Go on after a callback that was refused."""
    return _caught(context, event, CallbackConfig())


@durable_execution
def timeout_caught(event: str, context: DurableContext) -> str:
    """Go on after a callback that did not come in time."""
    return _caught(context, event, _within(3))


def _caught(context: DurableContext, name: str, config: CallbackConfig) -> str:
    try:
        message = str(context.create_callback(name=name, config=config).result())
    except CallbackError as error:
        message = f"no answer: {error}"
    context.wait(Duration.from_seconds(2))
    return message


@durable_execution
def document(event: str, context: DurableContext) -> dict[str, Any]:
    """Read a callback's document with a deserializer of its own."""
    config = CallbackConfig(serdes=Stamped())
    return {"received": context.create_callback(name=event, config=config).result()}


@durable_execution
def number(event: str, context: DurableContext) -> dict[str, int]:
    """Read a callback's number with a deserializer of its own."""
    config = CallbackConfig(serdes=Number())
    count: Any = context.create_callback(name=event, config=config).result()
    return {"count": count, "doubled": 2 * count}


@durable_execution
def one_after_another(event: list[str], context: DurableContext) -> list[Any]:
    """Create the second callback when the first has come."""
    return [context.create_callback(name=name).result() for name in event]


@durable_execution
def both_in_order(event: list[str], context: DurableContext) -> list[Any]:
    """Create two callbacks and wait for the first one first."""
    first, second = [context.create_callback(name=name) for name in event]
    return [first.result(), second.result()]


@durable_execution
def both_reversed(event: list[str], context: DurableContext) -> list[Any]:
    """Create two callbacks and wait for the second one first."""
    first, second = [context.create_callback(name=name) for name in event]
    answer = second.result()
    return [first.result(), answer]
