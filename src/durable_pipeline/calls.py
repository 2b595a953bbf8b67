"""Invokes a function, again where that can help, and checks what it answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aws_durable_execution_sdk_python import DurableContext, WithRetryConfig, with_retry
from aws_durable_execution_sdk_python.config import Duration, InvokeConfig, JitterStrategy
from aws_durable_execution_sdk_python.retries import (
    RetryDecision,
    RetryStrategyConfig,
    create_retry_strategy,
)
from aws_durable_execution_sdk_python.serdes import SerDes, SerDesContext

from durable_pipeline.budget import CLOCK, INVOKE, WAIT, Budget
from durable_pipeline.deadline import Deadline
from durable_pipeline.problems import Problem, Remedy
from durable_pipeline.tally import Tally
from shared.contracts import wire_json, wire_size

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
