"""A durable context without durability: every operation runs at once, in this thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from aws_durable_execution_sdk_python import InvokeError, StepError

MAX_PAYLOAD_BYTES = 1024 * 1024
"""Of a chained invoke."""

START = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass
class FakeContext:
    """Answers invokes from ``stages``: by function, from payload to answer, or raising."""

    stages: dict[str, Callable[[Any], Any]]
    invokes: list[str] = field(default_factory=list)
    operations: list[str] = field(default_factory=list)
    state_bytes: int = 0

    @property
    def state(self) -> Any:
        """Where the execution's start is found."""
        operation = SimpleNamespace(start_timestamp=START)
        return SimpleNamespace(get_execution_operation=lambda: operation)

    @property
    def logger(self) -> logging.Logger:
        """Where lines are logged."""
        return logging.getLogger("fake")

    @property
    def execution_context(self) -> Any:
        """Where the execution's ARN is found."""
        return SimpleNamespace(durable_execution_arn="arn")

    def invoke(self, function: str, payload: Any, name: str, config: Any) -> Any:
        """Call a stage; what it raises is an `InvokeError`, as from the service.

        A payload that AWS would not take ends the execution, as the service ends it.
        """
        self.invokes.append(function)
        self.operations.append(name)
        size = len(config.serdes_payload.serialize(payload, None).encode())
        self.state_bytes += size
        if size > MAX_PAYLOAD_BYTES:
            raise TooLargeForAws(f"{name}: {size} bytes")
        try:
            return self.stages[function](payload)
        except LambdaError as error:
            raise InvokeError(str(error), error_type=error.error_type) from None

    def wait(self, duration: object, name: str) -> None:
        """Pass the time."""
        self.operations.append(name)

    def step(self, function: Callable[[Any], Any], name: str, config: object = None) -> Any:
        """Run a step; what it raises is a `StepError`."""
        self.operations.append(name)
        try:
            return function(None)
        except OSError as error:
            raise StepError(str(error)) from None

    def map(self, items: Sequence[Any], function: Any, name: str, config: object) -> Any:
        """Run the branches one after the other."""
        self.operations.append(name)
        results = [function(self, item, index, items) for index, item in enumerate(items)]
        return SimpleNamespace(throw_if_error=lambda: None, get_results=lambda: results)


class TooLargeForAws(BaseException):
    """The durable execution service refused a checkpoint: nothing in the handler may catch it."""


class LambdaError(Exception):
    """A stage that failed as a whole, by the error type that Lambda reports."""

    def __init__(self, error_type: str) -> None:
        super().__init__(f"{error_type} happened")
        self.error_type = error_type
