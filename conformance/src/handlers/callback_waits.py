"""Waits for a callback whose id a submitter hands out; here it hands it to nobody."""

from __future__ import annotations

from typing import Any, NoReturn

from aws_durable_execution_sdk_python import CallbackError, DurableContext, durable_execution
from aws_durable_execution_sdk_python.config import (
    Duration,
    JitterStrategy,
    WaitForCallbackConfig,
)
from aws_durable_execution_sdk_python.retries import RetryStrategyConfig, create_retry_strategy
from aws_durable_execution_sdk_python.serdes import JsonSerDes
from aws_durable_execution_sdk_python.types import WaitForCallbackContext


def _submit(callback_id: str, context: WaitForCallbackContext) -> None:
    context.logger.info("waiting for callback %s", callback_id)


def _fail(_callback_id: str, _: WaitForCallbackContext) -> NoReturn:
    raise RuntimeError("nobody takes the callback id")


def _within(seconds: int) -> WaitForCallbackConfig:
    return WaitForCallbackConfig(timeout=Duration.from_seconds(seconds))


def _alive_within(seconds: int) -> WaitForCallbackConfig:
    return WaitForCallbackConfig(heartbeat_timeout=Duration.from_seconds(seconds))


@durable_execution
def wait(event: str, context: DurableContext) -> Any:
    """Wait for one callback."""
    return context.wait_for_callback(_submit, name=event)


@durable_execution
def named(_: None, context: DurableContext) -> Any:
    """Wait under a name that is fixed."""
    return context.wait_for_callback(_submit, name="approval")


@durable_execution
def nameless(_: None, context: DurableContext) -> Any:
    """Wait without a name."""
    return context.wait_for_callback(lambda *_: None)


@durable_execution
def timing_out(event: str, context: DurableContext) -> Any:
    """Wait for so long."""
    return context.wait_for_callback(_submit, name=event, config=_within(3))


@durable_execution
def refusal_caught(event: str, context: DurableContext) -> Any:
    """Catch a refusal."""
    try:
        return context.wait_for_callback(_submit, name=event)
    except CallbackError:
        return "recovered"


@durable_execution
def submitter_failing(event: str, context: DurableContext) -> Any:
    """Have a submitter that fails as often as it may."""
    strategy = create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2,
            initial_delay=Duration.from_seconds(1),
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    config = WaitForCallbackConfig(retry_strategy=strategy)
    return context.wait_for_callback(_fail, name=event, config=config)


@durable_execution
def in_child(event: str, context: DurableContext) -> Any:
    """Wait in a child context."""
    return context.run_in_child_context(
        lambda child: child.wait_for_callback(_submit, name=event), name="wrapper"
    )


@durable_execution
def two(_: None, context: DurableContext) -> Any:
    """Wait for one callback and then for another."""
    context.wait_for_callback(_submit, name="first")
    return context.wait_for_callback(_submit, name="second")


@durable_execution
def after_wait_and_step(event: str, context: DurableContext) -> Any:
    """Wait a second, run a step, and wait for a callback."""
    context.wait(Duration.from_seconds(1))
    context.step(lambda _: "fixed")
    return context.wait_for_callback(_submit, name=event)


@durable_execution
def document(event: str, context: DurableContext) -> Any:
    """Read what comes as JSON."""
    config = WaitForCallbackConfig(serdes=JsonSerDes())
    return context.wait_for_callback(_submit, name=event, config=config)["status"]


@durable_execution
def silent(event: str, context: DurableContext) -> Any:
    """Wait as long as there is a sign of life every 5 seconds."""
    return context.wait_for_callback(_submit, name=event, config=_alive_within(5))


@durable_execution
def alive(event: str, context: DurableContext) -> Any:
    """Wait as long as there is a sign of life every 10 seconds."""
    return context.wait_for_callback(_submit, name=event, config=_alive_within(10))


@durable_execution
def timeout_caught(event: str, context: DurableContext) -> Any:
    """Catch the end of the time."""
    try:
        return context.wait_for_callback(_submit, name=event, config=_within(3))
    except CallbackError:
        return "timed-out-handled"
