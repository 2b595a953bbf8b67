"""Runs a stage over records so that whatever goes wrong stays with the record it belongs to.

A stage that fails as a whole is tried again where that can help; then its records are bisected
until the one at fault stands alone and its neighbours have passed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aws_durable_execution_sdk_python import DurableContext, InvokeError

from durable_pipeline.calls import CLOCK, INVOKE, Budget, Call, Deadline, Problem, Remedy, Tally
from pipeline_core.contract import (
    ContractViolation,
    Reason,
    Result,
    StageRecord,
    StageRequest,
    check_response,
    failed,
    rejected,
)
from pipeline_core.sizes import batches, checkpoint_size, wire_size
from pipeline_core.values import is_timestamp

MAX_PAYLOAD_BYTES = 700_000
"""Of the records in one invoke, in the checkpoint that starts it. AWS takes payloads of 1 MiB; but
the SDK collects updates into checkpoints of 768,000 bytes, and an update that is larger, and is not
the first that it comes to, waits there forever."""

DEADLINE_PASSED = Problem("DeadlineExceeded", "the execution's time was used up", Remedy.NONE)

NOTHING_LEFT = Problem(
    "QuotaReached", "the execution had no operations or bytes of state left for it", Remedy.NONE
)


@dataclass(frozen=True)
class Stage:
    """A stage's name, its function, and whether it answers with data for the stages after it.

    Of one that is not ``is_ours`` the clock is not believed.
    """

    name: str
    function_arn: str
    answers_data: bool = False
    is_ours: bool = True


@dataclass(frozen=True)
class StageAnswer:
    """One result per record, by record id, and when the stage had finished the last of them.

    ``in_company`` are ids of records that failed for what may be a neighbour's fault.
    """

    results: dict[str, Result]
    completed_at: str = ""
    in_company: frozenset[str] = frozenset()

    def __or__(self, other: StageAnswer) -> StageAnswer:
        return StageAnswer(
            self.results | other.results,
            max(self.completed_at, other.completed_at),
            self.in_company | other.in_company,
        )


class StageRunner:
    """Runs stages over the records of one chunk."""

    def __init__(
        self,
        context: DurableContext,
        deadline: Deadline,
        tally: Tally,
        budget: Budget,
        prefix: str = "",
    ) -> None:
        self._context = context
        self._deadline = deadline
        self._tally = tally
        self._budget = budget
        self._prefix = prefix

    def run(self, stage: Stage, records: Sequence[StageRecord]) -> StageAnswer:
        """One result for each of ``records``, whatever happens to the stage.

        They go in as many invokes as their sizes ask for, most often one. One that no invoke takes
        is rejected, and never sent: the service would end the execution for it.
        """
        # Apart they come to no more than this, which takes less time to find out; at every replay.
        if records and checkpoint_size(records) + len(records) <= MAX_PAYLOAD_BYTES:
            return self._part(stage, records, 0, whole=True)
        sizes = {record["id"]: checkpoint_size(record) for record in records}
        large = [record for record in records if sizes[record["id"]] > MAX_PAYLOAD_BYTES]
        answer = StageAnswer({r["id"]: _too_large(stage, r["id"], sizes[r["id"]]) for r in large})
        fitting = [record for record in records if record["id"] not in answer.results]
        parts = batches(fitting, lambda r: sizes[r["id"]], max_bytes=MAX_PAYLOAD_BYTES)
        start = 0
        for part in parts:
            answer |= self._part(stage, part, start, whole=len(part) == len(records))
            start += len(part)
        return answer

    def _part(
        self, stage: Stage, records: Sequence[StageRecord], start: int, *, whole: bool
    ) -> StageAnswer:
        if start and not self._budget.take(INVOKE + CLOCK, _bytes(records)):
            return _all_failed(records, NOTHING_LEFT, in_company=True)
        return self._contain(stage, records, start, whole=whole)

    def _contain(
        self, stage: Stage, records: Sequence[StageRecord], start: int, *, whole: bool
    ) -> StageAnswer:
        if self._deadline.passed():
            return _all_failed(records, DEADLINE_PASSED, in_company=True)
        part = "" if whole else f" {start + 1}-{start + len(records)}"
        name = f"{self._prefix}{stage.name}{part}"
        try:
            return self._with_retries(stage, records, name, first_time=whole)
        except (InvokeError, ContractViolation) as error:
            problem = Problem.of(error)
        if not problem.is_of_a_record or len(records) == 1:
            return _all_failed(records, problem)
        if not self._budget.take(2 * (INVOKE + CLOCK), _bytes(records)):
            return _all_failed(records, problem, in_company=True)
        self._bisecting(stage, records, problem)
        middle = len(records) // 2
        left = self._contain(stage, records[:middle], start, whole=False)
        right = self._contain(stage, records[middle:], start + middle, whole=False)
        return left | right

    def _with_retries(
        self, stage: Stage, records: Sequence[StageRecord], name: str, *, first_time: bool
    ) -> StageAnswer:
        def check(response: Any) -> StageAnswer:
            return _checked(stage, records, response)

        # Within a bisection the other half is the second attempt.
        tries = 2 if first_time else 1
        request = self._request(records)
        call = Call(stage.function_arn, request, name, check, tries, self._budget)
        answer = call.make(self._context, self._deadline, self._tally)
        self._deadline.learn(answer.completed_at, believed=stage.is_ours)
        if stage.is_ours:
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


def _bytes(records: Sequence[StageRecord]) -> int:
    """State that one more invoke for ``records`` takes: what it sends, and as much in answer."""
    return 2 * wire_size(records)


def _too_large(stage: Stage, record_id: str, size: int) -> Result:
    message = (
        f"it comes to {size} bytes on its way to {stage.name}, as it was and as it became; "
        f"together they may have {MAX_PAYLOAD_BYTES}. Have the stage before it put what it makes "
        "into S3 and answer with a pointer"
    )
    reason: Reason = {"type": "RecordTooLarge", "message": message, "errors": [message]}
    return rejected(record_id, reason)


def _checked(stage: Stage, records: Sequence[StageRecord], response: Any) -> StageAnswer:
    results = check_response(response, [record["id"] for record in records])
    if not is_timestamp(response["completed_at"]):
        raise ContractViolation("'completed_at' is not an ISO-8601 time with an offset")
    if stage.answers_data:
        for result in results.values():
            if result["outcome"] == "ok" and "data" not in result:
                raise ContractViolation(f"no data for record {result['id']}")
    return StageAnswer(results, response["completed_at"])


def _all_failed(
    records: Sequence[StageRecord], problem: Problem, *, in_company: bool = False
) -> StageAnswer:
    ids = [record["id"] for record in records]
    results = {id_: failed(id_, problem.type, problem.message) for id_ in ids}
    return StageAnswer(results, in_company=frozenset(ids if in_company else ()))
