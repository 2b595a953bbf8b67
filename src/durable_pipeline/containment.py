"""Runs a stage over records so that whatever goes wrong stays with the record it belongs to.

A stage that fails as a whole is tried again where that can help; then its records are bisected
until the one at fault stands alone and its neighbours have passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aws_durable_execution_sdk_python import (
    DurableContext,
    InvokeError,
    WithRetryConfig,
    with_retry,
)
from aws_durable_execution_sdk_python.config import Duration, JitterStrategy
from aws_durable_execution_sdk_python.retries import (
    RetryDecision,
    RetryStrategyConfig,
    create_retry_strategy,
)

from durable_pipeline.problems import Problem, Remedy
from shared.contracts import ContractViolation, Result, StageRecord, check_response, failed

MAX_PAYLOAD_BYTES = 1_000_000
"""Of one invoke's payload. Lambda takes 1 MiB; the rest is room for the envelope."""

MAX_BISECT_INVOKES = 64
"""Extra invokes that one chunk may spend on one stage to find its poison records. Enough for four
poison records in a chunk of 100; beyond, the stage is broken rather than a record poisonous, and
what is not yet isolated comes back with the next delivery."""

_back_off = create_retry_strategy(
    RetryStrategyConfig(
        max_attempts=4,
        initial_delay=Duration.from_seconds(2),
        max_delay=Duration.from_seconds(20),
        jitter_strategy=JitterStrategy.HALF,
    )
)


@dataclass(frozen=True)
class Stage:
    """A stage's name, its function, and what to put before the name in the execution's history."""

    name: str
    function_arn: str
    prefix: str = ""
    needs_data: bool = False

    def operation_name(self, part: str) -> str:
        """The name of an invoke in the history: the stage, and the part of the records."""
        return f"{self.prefix}{self.name}{part}"


@dataclass(frozen=True)
class StageAnswer:
    """One result per record, by record id, and when the stage had finished the last of them."""

    results: dict[str, Result]
    completed_at: str = ""

    def __or__(self, other: StageAnswer) -> StageAnswer:
        return StageAnswer(self.results | other.results, max(self.completed_at, other.completed_at))


class Budget:
    """Counts the extra invokes of a bisection. A replay counts the same."""

    def __init__(self, invokes: int) -> None:
        self._left = invokes

    def take(self, invokes: int) -> bool:
        """Whether ``invokes`` more are allowed; if so they are taken."""
        if self._left < invokes:
            return False
        self._left -= invokes
        return True


def run(context: DurableContext, stage: Stage, records: Sequence[StageRecord]) -> StageAnswer:
    """One result for each of ``records``, whatever happens to the stage."""
    answer = StageAnswer({})
    budget = Budget(MAX_BISECT_INVOKES)
    for start, part in parts(records):
        whole = len(part) == len(records)
        answer |= _contain(context, stage, part, start, budget, whole=whole)
    return answer


def parts(records: Sequence[StageRecord]) -> Iterator[tuple[int, list[StageRecord]]]:
    """``records`` in runs whose payload one invoke takes, each with the index of its first."""
    start, part, size = 0, list[StageRecord](), 0
    for index, record in enumerate(records):
        record_size = len(json.dumps(record)) + 2
        if part and size + record_size > MAX_PAYLOAD_BYTES:
            yield start, part
            start, part, size = index, [], 0
        part.append(record)
        size += record_size
    if part:
        yield start, part


def _contain(
    context: DurableContext,
    stage: Stage,
    records: Sequence[StageRecord],
    start: int,
    budget: Budget,
    *,
    whole: bool,
) -> StageAnswer:
    part = "" if whole else f" {start + 1}-{start + len(records)}"
    try:
        return _with_retries(context, stage, records, part, first_time=whole)
    except (InvokeError, ContractViolation) as error:
        problem = Problem.of(error)
    if (
        problem.remedy in (Remedy.BISECT, Remedy.TRY_ONCE_MORE)
        and len(records) > 1
        and budget.take(2)
    ):
        middle = len(records) // 2
        left = _contain(context, stage, records[:middle], start, budget, whole=False)
        right = _contain(context, stage, records[middle:], start + middle, budget, whole=False)
        return left | right
    return _all_failed(records, problem)


def _with_retries(
    context: DurableContext,
    stage: Stage,
    records: Sequence[StageRecord],
    part: str,
    *,
    first_time: bool,
) -> StageAnswer:
    name = stage.operation_name(part)

    def attempt(_: object, number: int) -> StageAnswer:
        retry = f" attempt {number}" if number > 1 else ""
        response: Any = context.invoke(stage.function_arn, {"records": records}, name=name + retry)
        return _checked(stage, records, response)

    config: WithRetryConfig[StageAnswer] = WithRetryConfig(
        retry_strategy=_strategy(first_time=first_time),
        wrap_with_run_in_child_context=False,  # it would cost an operation
    )
    return with_retry(context, attempt, config, name=name)


def _strategy(*, first_time: bool) -> Any:
    def decide(error: Exception, attempts: int) -> RetryDecision:
        remedy = Problem.of(error).remedy
        if remedy is Remedy.BACK_OFF:
            return _back_off(error, attempts)
        # Within a bisection the other half is the second attempt.
        if remedy is Remedy.TRY_ONCE_MORE and first_time and attempts == 1:
            return RetryDecision.retry(Duration.from_seconds(1))
        return RetryDecision.no_retry()

    return decide


def _checked(stage: Stage, records: Sequence[StageRecord], response: Any) -> StageAnswer:
    results = check_response(response, [record["id"] for record in records])
    if stage.needs_data:
        for result in results.values():
            if result["outcome"] == "ok" and "data" not in result:
                raise ContractViolation(f"no data for record {result['id']}")
    return StageAnswer(results, response["completed_at"])


def _all_failed(records: Sequence[StageRecord], problem: Problem) -> StageAnswer:
    return StageAnswer(
        {record["id"]: failed(record["id"], problem.type, problem.message) for record in records}
    )
