"""Steps: their results and names, their retries, and a process that dies in one."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from aws_durable_execution_sdk_python import (
    DurableContext,
    StepContext,
    StepError,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import (
    Duration,
    JitterStrategy,
    StepConfig,
    StepSemantics,
)
from aws_durable_execution_sdk_python.retries import (
    RetryPresets,
    RetryStrategyConfig,
    create_retry_strategy,
)

from .serdes import Uppercase

NO_RETRY = StepConfig(retry_strategy=RetryPresets.none())
EVERY_SECOND = create_retry_strategy(
    RetryStrategyConfig(
        max_attempts=4,
        initial_delay=Duration.from_seconds(1),
        backoff_rate=1,
        jitter_strategy=JitterStrategy.NONE,
    )
)


class TransientError(Exception):
    """Something that may be over in a moment."""


def _fail(_: StepContext) -> NoReturn:
    raise RuntimeError("this step fails")


def _recover(step: StepContext) -> str:
    if step.attempt == 1:
        raise RuntimeError("the first attempt fails")
    return "Operation succeeded"


def _recover_late(step: StepContext) -> str:
    if step.attempt < 3:
        raise RuntimeError("the first two attempts fail")
    return "Operation succeeded"


@durable_execution
def greet(event: str, context: DurableContext) -> str:
    """One step."""
    return context.step(lambda _: f"Hello, {event}!")


@durable_execution
def named(event: str, context: DurableContext) -> str:
    """One step with a name."""
    return context.step(lambda _: f"Hello, {event}!", name="custom_step_name")


@durable_execution
def chained(_: None, context: DurableContext) -> str:
    """A step that takes the result of another one."""
    first = context.step(lambda _: "first")
    return context.step(lambda _: f"{first}_second")


@durable_execution
def nested_result(event: dict[str, Any], context: DurableContext) -> dict[str, Any]:
    """A step whose result has objects and lists within each other."""
    return context.step(lambda _: {"user": event, "count": len(event["tags"])})


@durable_execution
def no_result(_: None, context: DurableContext) -> None:
    """A step that returns nothing."""
    context.step(lambda _: None)


@durable_execution
def serialized(event: str, context: DurableContext) -> str:
    """A step with a serializer of its own."""
    return context.step(lambda _: event, config=StepConfig(serdes=Uppercase()))


@durable_execution
def logging_step(event: str, context: DurableContext) -> str:
    """A step that logs what it does."""

    def greet_and_log(step: StepContext) -> str:
        step.logger.info("Greeting step started for: %s", event)
        greeting = f"Hello, {event}!"
        step.logger.info("Greeting step completed with: %s", greeting)
        return greeting

    return context.step(greet_and_log)


@durable_execution
def before_wait(_: None, context: DurableContext) -> str:
    """A step, then a wait: the replay after it skips the step."""
    computed = context.step(lambda _: "computed")
    context.wait(Duration.from_seconds(2))
    return computed


@durable_execution
def cached(_: None, context: DurableContext) -> str:
    """A step that logs when it runs, then a wait."""

    def run(step: StepContext) -> str:
        step.logger.info("step executed")
        return "cached_value"

    value = context.step(run)
    context.wait(Duration.from_seconds(1))
    return value


@durable_execution
def cached_failure(_: None, context: DurableContext) -> None:
    """A step whose failure is caught, then a wait: the replay catches the failure again."""
    try:
        context.step(_fail, config=NO_RETRY)
    except StepError as error:
        context.logger.info("caught: %s", error)
    context.wait(Duration.from_seconds(1))


@durable_execution
def retried(_: None, context: DurableContext) -> str:
    """A step that succeeds the second time."""
    return context.step(_recover, config=StepConfig(retry_strategy=EVERY_SECOND))


@durable_execution
def exhausted(_: None, context: DurableContext) -> None:
    """A step that fails as often as it may."""
    context.step(_fail, config=StepConfig(retry_strategy=EVERY_SECOND))


@durable_execution
def retried_by_default(_: None, context: DurableContext) -> str:
    """A step that succeeds the third time, by the SDK's own strategy."""
    return context.step(_recover_late)


@durable_execution
def retried_with_backoff(_: None, context: DurableContext) -> str:
    """A step that succeeds the third time, after 2 and 6 seconds."""
    strategy = create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=5,
            initial_delay=Duration.from_seconds(2),
            backoff_rate=3,
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    return context.step(_recover_late, config=StepConfig(retry_strategy=strategy))


@durable_execution
def retried_by_type(_: None, context: DurableContext) -> str:
    """A step whose error is of the type that is worth another attempt."""

    def recover(step: StepContext) -> str:
        if step.attempt == 1:
            raise TransientError("try again")
        return "recovered"

    return context.step(recover, config=_retry_only(TransientError))


@durable_execution
def not_retried_by_type(_: None, context: DurableContext) -> None:
    """A step whose error is of no type that is worth another attempt."""

    def fail(_: StepContext) -> NoReturn:
        raise TransientError("not worth another attempt here")

    context.step(fail, config=_retry_only(ConnectionError))


@durable_execution
def at_most_once(event: str, context: DurableContext) -> None:
    """A step that must not run twice, in which the process dies."""

    def die(step: StepContext) -> NoReturn:
        step.logger.info(event)
        os._exit(1)

    config = StepConfig(
        retry_strategy=RetryPresets.none(), step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY
    )
    context.step(die, name="at_most_once_flaky_step", config=config)


@durable_execution
def at_most_once_retried(event: str, context: DurableContext) -> str:
    """A step that must not run twice in one attempt, in whose first attempt the process dies."""

    def die_first(step: StepContext) -> str:
        step.logger.info(event)
        if step.attempt == 1:
            os._exit(1)
        return "succeeded on second attempt"

    config = StepConfig(
        retry_strategy=EVERY_SECOND, step_semantics=StepSemantics.AT_MOST_ONCE_PER_RETRY
    )
    return context.step(die_first, config=config)


@durable_execution
def failing(_: None, context: DurableContext) -> None:
    """A step that fails and is not tried again."""
    context.step(_fail, config=NO_RETRY)


@durable_execution
def caught(_: None, context: DurableContext) -> str:
    """A step whose failure another step makes good."""
    try:
        return context.step(_fail, config=NO_RETRY)
    except StepError:
        return context.step(lambda _: "fallback_result")


def _retry_only(error: type[Exception]) -> StepConfig:
    return StepConfig(
        retry_strategy=create_retry_strategy(
            RetryStrategyConfig(
                initial_delay=Duration.from_seconds(1),
                jitter_strategy=JitterStrategy.NONE,
                retryable_error_types=[error],
            )
        )
    )
