"""Runs a durable handler with its stages in one process, with faults put between them.

AWS's own test runner keeps the execution, held to AWS's quotas. Waits and retries take no time.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from aws_durable_execution_sdk_python_testing.runner import (
    DurableFunctionTestResult,
    DurableFunctionTestRunner,
)

from faults import NotSucceeded, UnknownStage
from faults.durable import DurableFault, InterceptedClient
from faults.stages import FakeClock, Handler, StageFault, StageInvocation, error_of_type, records_of
from localcloud import durable_quotas, quotas


class Call(NamedTuple):
    """One invocation of a stage, and with how many records."""

    stage: str
    records: int


@dataclass
class _Injection:
    """A fault, when it strikes, and how often it was asked."""

    fault: StageFault
    attempts: Collection[int] | None
    when: Callable[[Any], bool] | None
    asked: int = 0

    def strikes(self, event: Any) -> bool:
        if self.when is not None and not any(map(self.when, records_of(event))):
            return False
        self.asked += 1
        return self.attempts is None or self.asked in self.attempts


class Harness:
    """A durable handler and the plain functions that it invokes, by the names it invokes them by.

    ``seconds`` bounds one execution, in real time. A chained invoke of a name that is no stage
    fails as for a function that does not exist. ``calls`` and ``invocations`` go on counting over
    several executions; ``clock`` is the one that `faults.stages.Hang` advances.
    """

    def __init__(
        self,
        handler: Handler,
        stages: Mapping[str, Handler],
        *,
        region: str = "us-east-1",
        seconds: int = 60,
    ) -> None:
        self.calls: list[Call] = []
        self.invocations = 0
        self.clock = FakeClock()
        self._handler = handler
        self._stages = dict(stages)
        self._region = region
        self.seconds = seconds
        self._injections: dict[str, list[_Injection]] = {name: [] for name in stages}
        # Branches of a map invoke their stages at the same time.
        self._lock = threading.Lock()

    def inject(
        self,
        stage: str,
        fault: StageFault,
        *,
        attempts: Collection[int] | None = None,
        when: Callable[[Any], bool] | None = None,
    ) -> None:
        """Put ``fault`` before a stage.

        It strikes an invocation if ``when`` is true of one of its records, and of those only the
        ones that ``attempts`` lists, counted from 1. Of several faults the first that strikes does.

        Raises:
            UnknownStage: there is no such stage.
        """
        if stage not in self._stages:
            raise UnknownStage(f"{stage!r} is none of {', '.join(sorted(self._stages))}")
        self._injections[stage].append(_Injection(fault, attempts, when))

    def inject_durable(self, fault: DurableFault) -> None:
        """Put ``fault`` into the durable function."""
        self._handler = fault(self._handler)

    def run(self, event: Any) -> DurableFunctionTestResult:
        """Run one durable execution to its end, however it ends."""
        with self._runner() as runner:
            result: DurableFunctionTestResult = runner.run(
                input=json.dumps(event), execution_timeout=self.seconds
            )
        return result

    def process(self, event: Any) -> dict[str, Any]:
        """Run one durable execution; its result.

        Raises:
            NotSucceeded: it ended otherwise.
        """
        result = self.run(event)
        if result.status.value != "SUCCEEDED":
            raise NotSucceeded(f"the execution ended {result.status.value}: {result.error}")
        answer: dict[str, Any] = json.loads(str(result.result))
        return answer

    @property
    def calls_by_stage(self) -> Counter[str]:
        """How often each stage was invoked."""
        return Counter(call.stage for call in self.calls)

    @contextmanager
    def _runner(self) -> Iterator[DurableFunctionTestRunner]:
        runner = DurableFunctionTestRunner(
            handler=self._invoke, region=self._region, poll_interval=0.01
        )
        _hold_to_quotas(runner)
        for name in self._stages:
            runner.register_function(name, self._stage(name))
        try:
            with runner:
                yield runner
        finally:
            runner._scheduler._loop.close()  # noqa: SLF001 - the runner leaves it open, a warning

    def _invoke(self, event: Any, context: Any) -> Any:
        self.invocations += 1
        client = InterceptedClient(event.service_client, durable_quotas.as_lambda_refuses)
        return _small_enough(self._handler(replace(event, service_client=client), context))

    def _stage(self, name: str) -> Handler:
        def invoke(event: Any, context: Any) -> Any:
            real = self._stages[name]
            with self._lock:
                self.calls.append(Call(name, len(records_of(event))))
                striking = next((i for i in self._injections[name] if i.strikes(event)), None)
                number = striking.asked if striking else 0
            if striking is None:
                return _small_enough(real(event, context))
            invocation = StageInvocation(name, number, event, context, real, self.clock)
            return _small_enough(striking.fault(invocation))

        return invoke


def _hold_to_quotas(runner: DurableFunctionTestRunner) -> None:
    """What the runner has for this is its own."""
    executor = runner._executor  # noqa: SLF001 - no other way
    durable_quotas.enforce(executor, runner._checkpoint_processor)  # noqa: SLF001 - no other way
    executor._child_dispatcher = durable_quotas.Utf8ChildDispatcher(  # noqa: SLF001 - no other way
        executor._child_dispatcher  # noqa: SLF001 - no other way
    )


def _small_enough(answer: Any) -> Any:
    """A function's answer, or Lambda's error for one that is too large."""
    size = quotas.utf8_length(json.dumps(answer, ensure_ascii=False, default=str))
    if size > quotas.MAX_RESPONSE_BYTES:
        error = quotas.response_too_large()
        raise error_of_type(error["errorType"], error["errorMessage"])
    return answer
