"""Invokes a function, again where that can help, as long as there is time and budget for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Generic, TypeVar

from aws_durable_execution_sdk_python import (
    DurableContext,
    InvokeError,
    WithRetryConfig,
    with_retry,
)
from aws_durable_execution_sdk_python.config import Duration, InvokeConfig, JitterStrategy
from aws_durable_execution_sdk_python.retries import (
    RetryDecision,
    RetryStrategyConfig,
    create_retry_strategy,
)
from aws_durable_execution_sdk_python.serdes import SerDes, SerDesContext

from pipeline_core.contract import ContractViolation, utc_now
from pipeline_core.sizes import MAX_OPERATIONS, MAX_STATE_BYTES, wire_json, wire_size

# What can go wrong with an invoke of a stage, and what helps against it.


class Remedy(Enum):
    """What to do about a stage that failed as a whole."""

    BACK_OFF = "try again later, several times: the service had no room"
    TRY_ONCE_MORE = "try once more, then bisect: chance, or a poison record"
    BISECT = "bisect: it would fail again"
    NONE = "give up: neither time nor fewer records help"


BACK_OFF_ERRORS = frozenset(
    {
        "EC2ThrottledException",
        "ResourceConflictException",
        "ResourceNotReadyException",
        "ServiceException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)

NOTHING_HELPS_ERRORS = frozenset(
    {
        "AccessDeniedException",
        "EC2AccessDeniedException",
        "InvalidParameterValueException",
        "InvalidRuntimeException",
        "KMSAccessDeniedException",
        "KMSDisabledException",
        "KMSInvalidStateException",
        "KMSNotFoundException",
        "ResourceNotFoundException",
    }
)
# Both from the errors of https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html

TOO_LARGE_ERRORS = frozenset({"Function.ResponseSizeTooLarge", "RequestTooLargeException"})

TIMEOUT_ERRORS = frozenset({"ChainedInvoke.Timeout", "Sandbox.Timedout"})
"""An invocation that the durable execution service no longer waited for, and one that Lambda ended
at the function's timeout."""

_TOO_LARGE_WORDS = ("too large", "payload size must be less than or equal to")
"""What the durable execution service says of more than 1 MiB, to a stage or from one: it has no
error type for either."""


@dataclass(frozen=True)
class Problem:
    """Why a stage failed as a whole, and the remedy."""

    type: str
    message: str
    remedy: Remedy

    @property
    def is_of_a_record(self) -> bool:
        """Whether one of the records may be at fault, so that fewer records may help."""
        return self.remedy in (Remedy.TRY_ONCE_MORE, Remedy.BISECT)

    @property
    def described(self) -> tuple[str, str]:
        """Type and message."""
        return self.type, self.message

    @classmethod
    def of(cls, error: Exception) -> Problem:
        """The problem behind ``error``: an `InvokeError` or a `ContractViolation`."""
        if isinstance(error, ContractViolation):
            return cls("ContractViolation", str(error), Remedy.BISECT)
        error_type = error.error_type if isinstance(error, InvokeError) else type(error).__name__
        return cls(error_type, str(error), _remedy(error_type, str(error)))


def _remedy(error_type: str, message: str) -> Remedy:
    if error_type in BACK_OFF_ERRORS:
        return Remedy.BACK_OFF
    if error_type in NOTHING_HELPS_ERRORS:
        return Remedy.NONE
    if error_type in TOO_LARGE_ERRORS or any(w in message.lower() for w in _TOO_LARGE_WORDS):
        return Remedy.BISECT
    # Time-outs too: chance, a poison record, or too much for one invocation, which bisecting cures.
    return Remedy.TRY_ONCE_MORE


# Counts what a batch took, without a clock and without an operation of its own.
#
# Each replay counts again, from the same checkpoints, and comes to the same.


@dataclass
class Tally:
    """Chained invokes, those of them that repeated one that had failed, and bisections.

    ``operations`` are the invokes with the waits before them and the looks at the clock. ``until``
    is the latest time that an answer told; None as long as there was no answer.
    ``own_stage_seconds`` are those of each chunk from transform's answer to the own stage's.
    """

    invokes: int = 0
    retries: int = 0
    bisects: int = 0
    operations: int = 0
    until: datetime | None = None
    own_stage_seconds: list[float] = field(default_factory=list)

    def passed_own_stage(self, since: str, until: str) -> None:
        """A chunk was through transform at ``since`` and through the own stage at ``until``."""
        if since and until:
            took = datetime.fromisoformat(until) - datetime.fromisoformat(since)
            self.own_stage_seconds.append(round(max(0.0, took.total_seconds()), 3))

    def invoked(self, attempt: int) -> None:
        """Count a chained invoke, which is the ``attempt``-th of its kind, from 1."""
        retried = attempt > 1
        self.invokes += 1
        self.retries += retried
        self.operations += 1 + retried

    def learn(self, completed_at: str) -> None:
        """It is at least as late as an answer says."""
        self._later(datetime.fromisoformat(completed_at))

    def add(self, other: Tally) -> None:
        """Add what a part of the batch took."""
        self.invokes += other.invokes
        self.retries += other.retries
        self.bisects += other.bisects
        self.operations += other.operations
        self.own_stage_seconds += other.own_stage_seconds
        if other.until:
            self._later(other.until)

    def _later(self, moment: datetime) -> None:
        self.until = max(self.until, moment) if self.until else moment


# What an execution may spend where something goes wrong, so that it never meets a quota of AWS's.
#
# Lambda ends an execution that has come to 3,000 operations or to 100 MB of state, as a whole:
# its reasons would be lost, and its messages back only after their visibility timeout. So what a
# healthy execution needs is set aside, and the rest is divided among its parts, chunks or ranges,
# in advance: they run at the same time, and a replay must come to the same decisions. A part that
# has used up its share leaves its records failed, each with the reason of its last failure.

INVOKE = 1
WAIT = 1
CLOCK = 1
"""Operations of a chained invoke, of a pause before one, and of the look at the clock after one
that failed."""

SET_ASIDE_OPERATIONS = 60
"""The execution itself, the map, offloading, a file's plan and finish with their repetitions,
settling with all its steps."""

SET_ASIDE_BYTES = 20 * 1000 * 1000
"""The event, at most 6 MB and perhaps escaped, and the results of steps."""

LARGEST_SHARE = 140
"""Operations that one part may spend beyond what it needs, however few parts there are. Enough for
four poison records in a chunk of 100; beyond, the stage is broken rather than a record poisonous,
and what is not yet isolated comes back with the next delivery."""


@dataclass
class Budget:
    """Operations and bytes of state that one part of an execution may still spend."""

    operations: int
    state_bytes: int

    @classmethod
    def share(cls, parts: int, *, needed_operations: int, needed_bytes: int) -> Budget:
        """The share of each of ``parts``, beyond what they need if all goes well.

        Each needs ``needed_operations``; all together need ``needed_bytes``.
        """
        operations = (MAX_OPERATIONS - SET_ASIDE_OPERATIONS) // parts - needed_operations
        state_bytes = (MAX_STATE_BYTES - SET_ASIDE_BYTES - needed_bytes) // parts
        return cls(min(operations, LARGEST_SHARE), state_bytes)

    def take(self, operations: int, state_bytes: int) -> bool:
        """Whether so much more is allowed; if so it is taken. A replay takes the same."""
        if operations > self.operations or state_bytes > self.state_bytes:
            return False
        self.operations -= operations
        self.state_bytes -= state_bytes
        return True


# Keeps an execution from running into its wall.
#
# An event source mapping gives a durable execution 900 seconds, waits included; one that takes
# longer ends as a whole, and its messages come back only when their visibility timeout ends. So
# no work is started that may not end in time: the records it was for come back as failed, and
# soon.
#
# The time costs nothing on the healthy path: each stage's answer carries it, and is checkpointed.
# Only where something went wrong, or a chunk had to wait for its turn, it is asked for in a step.

CLOCK_STEP = "clock"
"""The name of the steps that read it."""

SETTLE_SECONDS = 45
"""Time to settle in: two invocations that replay, dead letters, visibility changes."""


class Deadline:
    """The time as one chunk knows it, and whether it leaves room for one more invoke.

    A replay learns the times in the same order, from the same checkpoints, and so decides the same.
    """

    def __init__(self, context: DurableContext, execution_timeout: int, stage_timeout: int) -> None:
        operation = context.state.get_execution_operation()
        self._now = operation.start_timestamp if operation else None
        self._stage_timeout = stage_timeout
        # At least half of the time is for work, however the timeouts are set.
        seconds = max(execution_timeout - SETTLE_SECONDS - stage_timeout, execution_timeout / 2)
        self._last_start = self._now + timedelta(seconds=seconds) if self._now else None

    def learn(self, completed_at: str, *, believed: bool = True) -> None:
        """It is at least as late as a stage's answer says.

        A clock that need not be ``believed`` counts for so long as its invoke may have taken: were
        it ahead, no later stage would be begun.
        """
        moment = datetime.fromisoformat(completed_at)
        if not believed and self._now:
            moment = min(moment, self._now + timedelta(seconds=self._stage_timeout))
        self._later(moment)

    def ask(self, context: DurableContext, tally: Tally) -> None:
        """Read the clock, in a step: what happened since the last answer may have taken long."""
        tally.operations += 1
        self.learn(context.step(lambda _: utc_now(), name=CLOCK_STEP))

    def passed(self) -> bool:
        """Whether an invoke that starts now may end too late."""
        return bool(self._now and self._last_start and self._now > self._last_start)

    def _later(self, moment: datetime) -> None:
        self._now = max(self._now, moment) if self._now else moment


# Invokes a function, again where that can help, and checks what it answers.

T = TypeVar("T")

_back_off = create_retry_strategy(
    RetryStrategyConfig(
        max_attempts=4,
        initial_delay=Duration.from_seconds(2),
        max_delay=Duration.from_seconds(20),
        jitter_strategy=JitterStrategy.HALF,
    )
)


class _Wire(SerDes[Any]):
    """Payloads are sent as they are measured."""

    def serialize(self, value: Any, _: SerDesContext) -> str:
        return wire_json(value)

    def deserialize(self, data: str, _: SerDesContext) -> Any:
        return json.loads(data)


_AS_MEASURED: InvokeConfig[Any, Any] = InvokeConfig(serdes_payload=_Wire())


@dataclass(frozen=True)
class Call(Generic[T]):
    """A chained invoke of the function ``arn``.

    ``check`` makes the answer of the response, or raises `ContractViolation`. A function that
    crashes is tried ``tries`` times; one for which Lambda has no room more often, with backoff;
    and either only as long as ``budget`` allows.
    """

    arn: str
    payload: Any
    name: str
    check: Callable[[Any], T]
    tries: int
    budget: Budget

    def make(self, context: DurableContext, deadline: Deadline, tally: Tally) -> T:
        """The checked answer. Each attempt is counted in ``tally``.

        Raises:
            InvokeError, ContractViolation: of the last attempt.
        """

        def attempt(_: object, number: int) -> T:
            tally.invoked(number)
            retry = f" attempt {number}" if number > 1 else ""
            name = self.name + retry
            return self.check(context.invoke(self.arn, self.payload, name, _AS_MEASURED))

        config: WithRetryConfig[T] = WithRetryConfig(
            retry_strategy=self._strategy(context, deadline, tally),
            wrap_with_run_in_child_context=False,  # it would cost an operation
        )
        return with_retry(context, attempt, config, name=self.name)

    def _strategy(
        self, context: DurableContext, deadline: Deadline, tally: Tally
    ) -> Callable[[Exception, int], RetryDecision]:
        def decide(error: Exception, attempts: int) -> RetryDecision:
            problem = Problem.of(error)
            context.logger.warning(
                "invoke failed",
                extra={"invoke": self.name, "attempt": attempts, "error_type": problem.type},
            )
            deadline.ask(context, tally)
            if deadline.passed():
                return RetryDecision.no_retry()
            decision = self._decision(problem, error, attempts)
            if decision.should_retry and not self._affordable():
                return RetryDecision.no_retry()
            return decision

        return decide

    def _affordable(self) -> bool:
        return self.budget.take(WAIT + INVOKE + CLOCK, wire_size(self.payload))

    def _decision(self, problem: Problem, error: Exception, attempts: int) -> RetryDecision:
        if problem.remedy is Remedy.BACK_OFF:
            return _back_off(error, attempts)
        if problem.remedy is Remedy.TRY_ONCE_MORE and attempts < self.tries:
            return RetryDecision.retry(Duration.from_seconds(1))
        return RetryDecision.no_retry()
