"""Child contexts: what runs in them, fails in them, and is not run again by a replay."""

from __future__ import annotations

import os
import time
from typing import NoReturn

from aws_durable_execution_sdk_python import (
    ChildContextError,
    DurableContext,
    StepContext,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import (
    ChildConfig,
    Duration,
    JitterStrategy,
    StepConfig,
)
from aws_durable_execution_sdk_python.retries import (
    RetryPresets,
    RetryStrategyConfig,
    create_retry_strategy,
)

from .serdes import Uppercase

SECOND = Duration.from_seconds(1)
RECORDED_SECONDS = 2
NO_RETRY = StepConfig(retry_strategy=RetryPresets.none())
TWO_ATTEMPTS = StepConfig(
    retry_strategy=create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2, initial_delay=SECOND, jitter_strategy=JitterStrategy.NONE
        )
    )
)
MAX_RESULT_BYTES = 256 * 1024
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


def _fail(_: StepContext) -> NoReturn:
    raise RuntimeError("this step fails")


@durable_execution
def step(event: str, context: DurableContext) -> str:
    """A step in a child context."""
    return context.run_in_child_context(lambda child: child.step(lambda _: event))


@durable_execution
def named(event: dict[str, str], context: DurableContext) -> str:
    """A step in a child context that has a name."""
    return context.run_in_child_context(
        lambda child: child.step(lambda _: event["value"]), name=event["name"]
    )


@durable_execution
def two_steps(event: str, context: DurableContext) -> str:
    """A step, in a child context, that takes the result of another one."""

    def steps(child: DurableContext) -> str:
        first = child.step(lambda _: event)
        return child.step(lambda _: first)

    return context.run_in_child_context(steps, name="two-steps")


@durable_execution
def failing(_: None, context: DurableContext) -> None:
    """A child context that fails, and the execution with it."""
    context.run_in_child_context(lambda child: child.step(_fail, config=NO_RETRY), name="failing")


@durable_execution
def caught(event: str, context: DurableContext) -> str:
    """A child context whose failure a step makes good."""
    try:
        return context.run_in_child_context(lambda child: child.step(_fail, config=NO_RETRY))
    except ChildContextError:
        return context.step(lambda _: event)


@durable_execution
def nested(event: str, context: DurableContext) -> str:
    """A child context in a child context."""

    def outer(child: DurableContext) -> str:
        value = child.step(lambda _: event)
        return child.run_in_child_context(
            lambda grandchild: grandchild.step(lambda _: value), name="inner"
        )

    return context.run_in_child_context(outer, name="outer")


@durable_execution
def retried(event: str, context: DurableContext) -> str:
    """A step, in a child context, that succeeds the second time."""

    def recover(step: StepContext) -> str:
        if step.attempt == 1:
            raise RuntimeError("the first attempt fails")
        return event

    return context.run_in_child_context(
        lambda child: child.step(recover, config=TWO_ATTEMPTS), name="retried"
    )


@durable_execution
def exhausted(_: None, context: DurableContext) -> None:
    """A step, in a child context, that fails as often as it may."""
    context.run_in_child_context(
        lambda child: child.step(_fail, config=TWO_ATTEMPTS), name="exhausted"
    )


@durable_execution
def cached(event: str, context: DurableContext) -> str:
    """A child context, then a wait: the replay after it skips the child context."""
    value = context.run_in_child_context(lambda child: child.step(lambda _: event))
    context.wait(SECOND)
    return value


@durable_execution
def step_and_wait(event: str, context: DurableContext) -> str:
    """A step and a wait in a child context."""
    return context.run_in_child_context(
        lambda child: _step_and_wait(child, event), name="step-and-wait"
    )


@durable_execution
def large(event: str, context: DurableContext) -> int:
    """A child context whose result is too large to keep: a replay runs it again."""

    def grow(child: DurableContext) -> str:
        _log_in_replays_too(child, event)
        return child.step(lambda _: "small ") * MAX_RESULT_BYTES

    result = context.run_in_child_context(grow, name="large")
    context.wait(SECOND)
    return len(result)


@durable_execution
def interrupted(event: str, context: DurableContext) -> str:
    """A step, in a child context, in which the process dies the first time."""

    def work(child: DurableContext) -> str:
        first = not child.is_replaying()

        def die_first(_: StepContext) -> str:
            if first:
                # The start of the step is recorded while it runs already.
                time.sleep(RECORDED_SECONDS)
                os._exit(1)
            return event

        return child.step(die_first)

    return context.run_in_child_context(work)


@durable_execution
def wait(event: str, context: DurableContext) -> str:
    """A wait in a child context, and a step after that."""

    def pause(child: DurableContext) -> str:
        child.wait(SECOND)
        return event

    value = context.run_in_child_context(pause, name="wait")
    return context.step(lambda _: value)


@durable_execution
def serialized(event: str, context: DurableContext) -> str:
    """A child context with a serializer of its own."""
    return context.run_in_child_context(
        lambda child: child.step(lambda _: event),
        name="serialized",
        config=ChildConfig(serdes=Uppercase()),
    )


@durable_execution
def raising(_: None, context: DurableContext) -> None:
    """A child context that fails without any operation in it."""

    def fail(_: DurableContext) -> NoReturn:
        raise RuntimeError("this child context fails")

    context.run_in_child_context(fail, name="raising")


@durable_execution
def no_result(_: None, context: DurableContext) -> None:
    """A child context that returns nothing."""
    context.run_in_child_context(lambda _: None, name="no-result")


@durable_execution
def logging_child(event: str, context: DurableContext) -> str:
    """A child context that logs when it runs, then a wait."""

    def log(child: DurableContext) -> str:
        _log_in_replays_too(child, event)
        return event

    value = context.run_in_child_context(log, name="logging")
    context.wait(SECOND)
    return value


@durable_execution
def step_and_wait_twice(event: str, context: DurableContext) -> str:
    """A step and a wait in a child context, and a step and a wait after that."""
    value = context.run_in_child_context(
        lambda child: _step_and_wait(child, event), name="step-and-wait"
    )
    return _step_and_wait(context, value)


def _step_and_wait(context: DurableContext, value: str) -> str:
    same = context.step(lambda _: value)
    context.wait(SECOND)
    return same


def _log_in_replays_too(context: DurableContext, message: str) -> None:
    """Log a message that the context's own logger would leave out of a replay."""
    context.logger.with_is_replaying(lambda: False).info(message)
