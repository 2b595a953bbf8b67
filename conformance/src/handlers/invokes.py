"""Chained invokes of other durable functions: `echo`, which returns its event, and `refuse`."""

from __future__ import annotations

import os
from typing import Any, NoReturn

from aws_durable_execution_sdk_python import DurableContext, InvokeError, durable_execution
from aws_durable_execution_sdk_python.config import Duration, InvokeConfig

from .serdes import Uppercase, UppercaseJson

LARGE = "x" * 900_000
"""Near the 1 MiB that a chained invoke may carry."""


@durable_execution
def echo(event: Any, _: DurableContext) -> Any:
    """Return the event."""
    return event


@durable_execution
def refuse(_event: Any, _: DurableContext) -> NoReturn:
    """Fail."""
    raise ValueError("refused")


def _target() -> str:
    """The function to invoke, qualified, as it has to be for a durable one."""
    return os.environ["TARGET"]


@durable_execution
def invoke(event: Any, context: DurableContext) -> Any:
    """One invoke."""
    return context.invoke(_target(), event)


@durable_execution
def named(event: dict[str, str], context: DurableContext) -> Any:
    """One invoke with a name."""
    return context.invoke(_target(), event["payload"], name=event["name"])


@durable_execution
def failing(_: None, context: DurableContext) -> Any:
    """An invoke that fails, and the execution with it."""
    return context.invoke(_target(), "anything")


@durable_execution
def caught(_: None, context: DurableContext) -> str:
    """An invoke whose failure is caught."""
    return _invoke_or_fall_back(context)


@durable_execution
def large(_: None, context: DurableContext) -> int:
    """An invoke with about as large a payload as it may have."""
    return len(context.invoke(_target(), LARGE))


@durable_execution
def tenant(event: dict[str, str], context: DurableContext) -> Any:
    """An invoke for one tenant."""
    return context.invoke(
        _target(), event["payload"], config=InvokeConfig(tenant_id=event["tenantId"])
    )


@durable_execution
def cached(_: None, context: DurableContext) -> Any:
    """An invoke, then a wait: the replay after it does not invoke again."""
    result: Any = context.invoke(_target(), "anything")
    context.wait(Duration.from_seconds(1))
    return result


@durable_execution
def cached_failure(_: None, context: DurableContext) -> str:
    """An invoke whose failure is caught, then a wait: the replay catches the failure again."""
    result = _invoke_or_fall_back(context)
    context.wait(Duration.from_seconds(1))
    return result


@durable_execution
def after_step(_: None, context: DurableContext) -> Any:
    """An invoke with the result of a step."""
    return context.invoke(_target(), context.step(lambda _: "from the step"))


@durable_execution
def before_step(_: None, context: DurableContext) -> str:
    """A step that takes the result of an invoke."""
    result: str = context.invoke(_target(), "from the invoke")
    return context.step(lambda _: f"{result}, and the step")


@durable_execution
def in_child(_: None, context: DurableContext) -> Any:
    """An invoke in a child context."""
    return context.run_in_child_context(lambda child: child.invoke(_target(), "from the child"))


@durable_execution
def two(_: None, context: DurableContext) -> Any:
    """An invoke with the result of another one."""
    return context.invoke(_target(), context.invoke(_target(), "anything"))


@durable_execution
def payload_serialized(event: dict[str, str], context: DurableContext) -> Any:
    """An invoke whose payload has a serializer of its own."""
    config: InvokeConfig[Any, Any] = InvokeConfig(serdes_payload=UppercaseJson())
    return context.invoke(_target(), event, config=config)


@durable_execution
def result_deserialized(event: str, context: DurableContext) -> Any:
    """An invoke whose result has a deserializer of its own, which leaves the quotes in place."""
    config: InvokeConfig[Any, str] = InvokeConfig(serdes_result=Uppercase())
    return context.invoke(_target(), event, config=config)


def _invoke_or_fall_back(context: DurableContext) -> str:
    try:
        return str(context.invoke(_target(), "anything"))
    except InvokeError:
        return "fallback"
