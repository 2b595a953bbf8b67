"""Faults of a stage, as the durable function that invokes it gets to see them.

A fault is called in the stage's place, with the invocation it is to spoil. Besides the ones here,
any function from `StageInvocation` to an answer is one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

Handler = Callable[[Any, Any], Any]
"""A Lambda handler: from event and context to an answer that can be written as JSON."""

MAX_ANSWER_BYTES = 1024 * 1024
# A chained invoke's: https://docs.aws.amazon.com/lambda/latest/dg/durable-functions.html


class FakeClock:
    """Real time, plus the seconds by which it was advanced. Threads may share it."""

    def __init__(self) -> None:
        self._ahead = timedelta()
        self._lock = threading.Lock()

    def advance(self, seconds: float) -> None:
        """Put the clock forward."""
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def now(self) -> datetime:
        """The time, in UTC."""
        with self._lock:
            return datetime.now(UTC) + self._ahead

    def iso(self) -> str:
        """The time as ISO-8601 text in UTC, with microseconds and a ``Z``."""
        return self.now().isoformat(timespec="microseconds").replace("+00:00", "Z")


@dataclass(frozen=True)
class StageInvocation:
    """One invocation of a stage.

    ``number`` counts from 1 the stage's invocations that this fault was asked about.
    """

    stage: str
    number: int
    event: Any
    context: Any
    handler: Handler
    clock: FakeClock

    def work(self) -> Any:
        """Let the stage do what it was invoked for; its answer."""
        return self.handler(self.event, self.context)


StageFault = Callable[[StageInvocation], Any]


def records_of(event: Any) -> Sequence[Any]:
    """The records of a stage that takes several, as ``{"records": [...]}``, or the event."""
    match event:
        case {"records": list(records)}:
            return records
    return [event]


def error_of_type(error_type: str, message: str) -> Exception:
    """An exception that a chained invoke reports as ``error_type``, dots and all."""
    # The SDK names a type by module and qualified name, and a builtin by its name alone.
    named: type[Exception] = type(error_type, (Exception,), {"__module__": "builtins"})
    return named(message)


def _fail(error_type: str, message: str) -> NoReturn:
    raise error_of_type(error_type, message)


@dataclass(frozen=True)
class Crash:
    """The stage dies before it has done anything."""

    error_type: str = "Runtime.ExitError"
    message: str = "crashed"

    def __call__(self, _invocation: StageInvocation) -> NoReturn:
        """Fail with the error type."""
        _fail(self.error_type, self.message)


@dataclass(frozen=True)
class Hang:
    """The stage runs into its timeout of so many seconds. The harness's clock passes, no time."""

    seconds: float = 60.0

    def __call__(self, invocation: StageInvocation) -> NoReturn:
        """Fail as Lambda does for an invocation that takes too long."""
        invocation.clock.advance(self.seconds)
        _fail("Sandbox.Timedout", f"Task timed out after {self.seconds:.2f} seconds")


@dataclass(frozen=True)
class Throttle:
    """Lambda has no room for the stage: the first ``times`` times, or always."""

    times: int | None = None

    def __call__(self, invocation: StageInvocation) -> Any:
        """Refuse the invocation, or let it through when it was refused often enough."""
        if self.times is not None and invocation.number > self.times:
            return invocation.work()
        _fail("TooManyRequestsException", "Rate Exceeded.")


@dataclass(frozen=True)
class ServiceError:
    """Lambda itself fails."""

    def __call__(self, _invocation: StageInvocation) -> NoReturn:
        """Fail as the Lambda service does."""
        _fail("ServiceException", "The AWS Lambda service encountered an internal error.")


@dataclass(frozen=True)
class PartialWork:
    """The stage does its work for its first records, then dies: effects without an answer."""

    records: int

    def __call__(self, invocation: StageInvocation) -> NoReturn:
        """Work on the first records and fail."""
        first = {**invocation.event, "records": records_of(invocation.event)[: self.records]}
        replace(invocation, event=first).work()
        _fail("Runtime.ExitError", f"crashed after {self.records} records")


@dataclass(frozen=True)
class WrongAnswer:
    """The stage does its work, and its answer is changed on the way back."""

    change: Callable[[Any], Any]

    def __call__(self, invocation: StageInvocation) -> Any:
        """The changed answer."""
        return self.change(invocation.work())


# Changes for `WrongAnswer`, for stages that answer {"results": [{"id": ...}, ...]}.


def result_missing(answer: Mapping[str, Any]) -> Any:
    """The answer without its first result."""
    return {**answer, "results": answer["results"][1:]}


def result_doubled(answer: Mapping[str, Any]) -> Any:
    """The answer with its first result twice."""
    return {**answer, "results": [answer["results"][0], *answer["results"]]}


def result_foreign(answer: Mapping[str, Any]) -> Any:
    """The answer with a result for a record that the stage was not given."""
    return {**answer, "results": [*answer["results"], {**answer["results"][0], "id": "foreign"}]}


def not_an_object(_answer: Mapping[str, Any]) -> Any:
    """JSON, but not of the shape that was agreed."""
    return ["done"]


def not_json(_answer: Mapping[str, Any]) -> Any:
    """Something that cannot be written as JSON."""
    return object()


def too_large(answer: Mapping[str, Any]) -> Any:
    """The answer, larger than an invoke may answer."""
    return {**answer, "padding": "x" * MAX_ANSWER_BYTES}
