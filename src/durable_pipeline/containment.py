"""Runs a stage over records so that whatever goes wrong stays with the record it belongs to.

A stage that fails as a whole is tried again where that can help; then its records are bisected
until the one at fault stands alone and its neighbours have passed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, InvokeError

from durable_pipeline.calls import Call
from durable_pipeline.deadline import Deadline
from durable_pipeline.problems import Problem, Remedy
from durable_pipeline.tally import Tally
from shared.contracts import (
    ContractViolation,
    Result,
    StageRecord,
    StageRequest,
    check_response,
    failed,
)
from shared.timestamps import is_timestamp

MAX_PAYLOAD_BYTES = 1_000_000
"""Of one invoke's payload. Lambda takes 1 MiB; the rest is room for the envelope."""

MAX_BISECT_INVOKES = 64
"""Extra invokes that one chunk may spend on one stage to find its poison records. Enough for four
poison records in a chunk of 100; beyond, the stage is broken rather than a record poisonous, and
what is not yet isolated comes back with the next delivery."""

DEADLINE_PASSED = Problem("DeadlineExceeded", "the execution's time was used up", Remedy.NONE)


@dataclass(frozen=True)
class Stage:
    """A stage's name, its function, and whether it answers with data for the stages after it."""

    name: str
    function_arn: str
    answers_data: bool = False


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


class Containment:
    """Runs stages over the records of one chunk."""

    def __init__(
        self, context: DurableContext, deadline: Deadline, tally: Tally, prefix: str = ""
    ) -> None:
        self._context = context
        self._deadline = deadline
        self._tally = tally
        self._prefix = prefix

    def run(self, stage: Stage, records: Sequence[StageRecord]) -> StageAnswer:
        """One result for each of ``records``, whatever happens to the stage."""
        answer = StageAnswer({})
        budget = Budget(MAX_BISECT_INVOKES)
        for start, part in parts(records):
            whole = len(part) == len(records)
            answer |= self._contain(stage, part, start, budget, whole=whole)
        return answer

    def _contain(
        self,
        stage: Stage,
        records: Sequence[StageRecord],
        start: int,
        budget: Budget,
        *,
        whole: bool,
    ) -> StageAnswer:
        if self._deadline.passed():
            return _all_failed(records, DEADLINE_PASSED)
        part = "" if whole else f" {start + 1}-{start + len(records)}"
        name = f"{self._prefix}{stage.name}{part}"
        try:
            return self._with_retries(stage, records, name, first_time=whole)
        except (InvokeError, ContractViolation) as error:
            problem = Problem.of(error)
        if not (problem.is_of_a_record and len(records) > 1 and budget.take(2)):
            return _all_failed(records, problem)
        self._bisecting(stage, records, problem)
        middle = len(records) // 2
        left = self._contain(stage, records[:middle], start, budget, whole=False)
        right = self._contain(stage, records[middle:], start + middle, budget, whole=False)
        return left | right

    def _with_retries(
        self, stage: Stage, records: Sequence[StageRecord], name: str, *, first_time: bool
    ) -> StageAnswer:
        def check(response: Any) -> StageAnswer:
            return _checked(stage, records, response)

        # Within a bisection the other half is the second attempt.
        tries = 2 if first_time else 1
        call = Call(stage.function_arn, self._request(records), name, check, tries)
        answer = call.make(self._context, self._deadline, self._tally)
        self._deadline.learn(answer.completed_at)
        self._tally.learn(answer.completed_at)
        return answer

    def _request(self, records: Sequence[StageRecord]) -> StageRequest:
        arn = self._context.execution_context.durable_execution_arn
        return {"durable_execution_arn": arn, "records": records}

    def _bisecting(self, stage: Stage, records: Sequence[StageRecord], problem: Problem) -> None:
        self._tally.bisects += 1
        self._context.logger.warning(
            "bisecting",
            extra={"stage": stage.name, "record_count": len(records), "error_type": problem.type},
        )


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


def _checked(stage: Stage, records: Sequence[StageRecord], response: Any) -> StageAnswer:
    results = check_response(response, [record["id"] for record in records])
    if not is_timestamp(response["completed_at"]):
        raise ContractViolation("'completed_at' is not an ISO-8601 time with an offset")
    if stage.answers_data:
        for result in results.values():
            if result["outcome"] == "ok" and "data" not in result:
                raise ContractViolation(f"no data for record {result['id']}")
    return StageAnswer(results, response["completed_at"])


def _all_failed(records: Sequence[StageRecord], problem: Problem) -> StageAnswer:
    return StageAnswer(
        {record["id"]: failed(record["id"], problem.type, problem.message) for record in records}
    )
