"""Waits for a condition: a check is repeated with the state that the last one left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from aws_durable_execution_sdk_python import (
    DurableContext,
    WaitForConditionError,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy
from aws_durable_execution_sdk_python.types import WaitForConditionCheckContext
from aws_durable_execution_sdk_python.waits import (
    WaitForConditionConfig,
    WaitStrategyConfig,
    create_wait_strategy,
)

from .serdes import Hexadecimal

T = TypeVar("T")


def _polling(
    goes_on: Callable[[T], bool], initial: T, *, seconds: int = 1, attempts: int = 60
) -> WaitForConditionConfig[T]:
    """Check so often, with so long between, while ``goes_on`` says so of the state."""
    strategy = create_wait_strategy(
        WaitStrategyConfig(
            should_continue_polling=goes_on,
            max_attempts=attempts,
            initial_delay=Duration.from_seconds(seconds),
            backoff_rate=1,
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    return WaitForConditionConfig(wait_strategy=strategy, initial_state=initial)


def _below(threshold: int) -> Callable[[int], bool]:
    return lambda state: state < threshold


def _increment(state: int, _: WaitForConditionCheckContext) -> int:
    return state + 1


def _raise(_state: Any, _: WaitForConditionCheckContext) -> NoReturn:
    raise RuntimeError("this check fails")


@durable_execution
def count(event: int, context: DurableContext) -> int:
    """Count to what the event says."""
    return context.wait_for_condition(_increment, _polling(_below(event), 0))


@durable_execution
def met_at_once(event: int, context: DurableContext) -> int:
    """Find the condition met the first time."""
    return context.wait_for_condition(lambda state, _: state, _polling(_below(5), event))


@durable_execution
def named(event: int, context: DurableContext) -> int:
    """Count, under a name."""
    return context.wait_for_condition(_increment, _polling(_below(event), 0), name="poll-status")


@durable_execution
def count_from_five(event: int, context: DurableContext) -> int:
    """Count on from an initial state."""
    return context.wait_for_condition(_increment, _polling(_below(event), 5))


@durable_execution
def every_two_seconds(event: int, context: DurableContext) -> int:
    """Count every two seconds."""
    return context.wait_for_condition(_increment, _polling(_below(event), 0, seconds=2))


@durable_execution
def exhausted(event: int, context: DurableContext) -> int:
    """Check three times for what never comes."""
    return context.wait_for_condition(_increment, _polling(lambda _: True, event, attempts=3))


@durable_execution
def failing(_: None, context: DurableContext) -> None:
    """Check, and fail with the check."""
    context.wait_for_condition(_raise, _polling(lambda _: True, 0))


@durable_execution
def caught(_: None, context: DurableContext) -> str:
    """Catch the failure of a check."""
    try:
        context.wait_for_condition(_raise, _polling(lambda _: True, 0))
    except WaitForConditionError:
        return "recovered"
    return "the check did not fail"


@durable_execution
def document(_: None, context: DurableContext) -> dict[str, Any]:
    """Keep a document as the state."""

    def check(state: dict[str, Any], _: WaitForConditionCheckContext) -> dict[str, Any]:
        attempts = state["attempts"] + 1
        return {"status": "DONE" if attempts == 2 else "PENDING", "attempts": attempts}

    return context.wait_for_condition(
        check,
        _polling(lambda state: state["status"] == "PENDING", {"status": "PENDING", "attempts": 0}),
    )


@durable_execution
def nothing(_: None, context: DurableContext) -> None:
    """Have nothing as the state."""
    context.wait_for_condition(lambda *_: None, _polling(lambda _: False, None))


@durable_execution
def serialized(_: None, context: DurableContext) -> str:
    """Keep the state with a serializer of its own."""
    polling = _polling(lambda state: len(state) < 2, "")
    return context.wait_for_condition(
        lambda state, _: f"{state}x",
        WaitForConditionConfig(polling.wait_strategy, polling.initial_state, serdes=Hexadecimal()),
    )


@durable_execution
def before_step(event: int, context: DurableContext) -> int:
    """A step that takes the final state."""
    counted = context.wait_for_condition(_increment, _polling(_below(event), 0))
    return context.step(lambda _: counted * 10)


@durable_execution
def two(_: None, context: DurableContext) -> int:
    """Count to two, and from there to four."""
    counted = context.wait_for_condition(_increment, _polling(_below(2), 0))
    return context.wait_for_condition(_increment, _polling(_below(4), counted))
