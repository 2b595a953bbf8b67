"""Instrumentation plugins, which print what they are told: CloudWatch is where AWS's tests look.

Each line names the execution, so that it is found among those of others.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from aws_durable_execution_sdk_python import DurableContext, StepContext, durable_execution
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy, StepConfig
from aws_durable_execution_sdk_python.plugin import (
    DurableInstrumentationPlugin,
    InvocationEndInfo,
    InvocationStartInfo,
    OperationEndInfo,
    OperationInfo,
    OperationStartInfo,
    OperationType,
    UserFunctionEndInfo,
    UserFunctionStartInfo,
)
from aws_durable_execution_sdk_python.retries import (
    RetryPresets,
    RetryStrategyConfig,
    create_retry_strategy,
)


class Witness(DurableInstrumentationPlugin):
    """A plugin of one invocation that prints lines of JSON."""

    def __init__(self, name: str, execution_arn: str | None) -> None:
        self._name = name
        self._execution_arn = execution_arn

    def say(self, hook: str, **fields: object) -> None:
        """Print one line."""
        line = {"plugin": self._name, "hook": hook, "durableExecutionArn": self._execution_arn}
        print(json.dumps(line | fields), flush=True)


class InvocationWitness(Witness):
    """Sees invocations begin and end."""

    def on_invocation_start(self, info: InvocationStartInfo) -> None:
        self.say("invocation-start", first=info.is_first_invocation)

    def on_invocation_end(self, info: InvocationEndInfo) -> None:
        self.say("invocation-end", status=info.status.value)


class OperationWitness(Witness):
    """Sees steps begin and end."""

    def on_operation_start(self, info: OperationStartInfo) -> None:
        if _is_step(info):
            self.say("operation-start", op=info.operation_id)

    def on_operation_end(self, info: OperationEndInfo) -> None:
        if _is_step(info):
            self.say("operation-end", op=info.operation_id, status=info.status.value)


class AttemptWitness(Witness):
    """Sees each attempt at a step."""

    def on_user_function_start(self, info: UserFunctionStartInfo) -> None:
        if _is_step(info):
            self.say("attempt-start", n=info.attempt, op=info.operation_id)

    def on_user_function_end(self, info: UserFunctionEndInfo) -> None:
        if _is_step(info):
            outcome = info.outcome.value
            self.say("attempt-end", n=info.attempt, outcome=outcome, op=info.operation_id)


class FaultyWitness(InvocationWitness, OperationWitness, AttemptWitness):
    """Sees everything, and fails each time it has said so."""

    def say(self, hook: str, **_: object) -> NoReturn:
        super().say(hook)
        raise RuntimeError(f"{hook} fails")


@dataclass(frozen=True)
class Factory:
    """Makes the plugin for each invocation."""

    make: Callable[[str, str | None], DurableInstrumentationPlugin]
    name: str = "CONFPLUGIN"

    def create_plugin(self, info: InvocationStartInfo, /) -> DurableInstrumentationPlugin:
        return self.make(self.name, info.execution_arn)


def _with(*factories: Factory) -> Callable[[Callable[[Any, DurableContext], Any]], Any]:
    """`durable_execution` with plugins, which it has no type for."""
    return partial(durable_execution, plugins=list(factories))


def _is_step(info: OperationInfo) -> bool:
    return info.operation_type is OperationType.STEP


def _greet(context: DurableContext, name: str) -> str:
    def greet(step: StepContext) -> str:
        step.logger.info("Greeting step running for: %s", name)
        return f"Hello, {name}!"

    return context.step(greet)


@_with(Factory(InvocationWitness))
def invocations(event: str, context: DurableContext) -> str:
    """A step, with a plugin that sees invocations."""
    return _greet(context, event)


@_with(Factory(OperationWitness))
def operations(event: str, context: DurableContext) -> str:
    """A step, with a plugin that sees operations."""
    return _greet(context, event)


@_with(Factory(AttemptWitness))
def attempts(_: None, context: DurableContext) -> str:
    """A step that succeeds the second time, with a plugin that sees attempts."""

    def recover(step: StepContext) -> str:
        if step.attempt == 1:
            raise RuntimeError("the first attempt fails")
        return "Operation succeeded"

    strategy = create_retry_strategy(
        RetryStrategyConfig(
            max_attempts=2,
            initial_delay=Duration.from_seconds(1),
            jitter_strategy=JitterStrategy.NONE,
        )
    )
    return context.step(recover, config=StepConfig(retry_strategy=strategy))


@_with(Factory(FaultyWitness, "CONFPLUGIN-FAULTY"))
def faulty(event: str, context: DurableContext) -> str:
    """A step, with a plugin whose every hook fails."""
    return _greet(context, event)


@_with(Factory(InvocationWitness, "CONFPLUGIN-A"), Factory(InvocationWitness, "CONFPLUGIN-B"))
def two(event: str, context: DurableContext) -> str:
    """A step, with two plugins."""
    return _greet(context, event)


@_with(Factory(InvocationWitness))
def replayed(_: None, context: DurableContext) -> None:
    """A wait, and so a replay, with a plugin that sees both invocations."""
    context.wait(Duration.from_seconds(2))


@_with(Factory(InvocationWitness))
def failing(_: None, context: DurableContext) -> None:
    """An execution that fails, with a plugin that sees it."""

    def fail(_: StepContext) -> NoReturn:
        raise RuntimeError("this step fails")

    context.step(fail, config=StepConfig(retry_strategy=RetryPresets.none()))
