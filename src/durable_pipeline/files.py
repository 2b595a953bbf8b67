"""Takes one file through plan, ranges and store: the rows of CSV and JSON Lines objects.

The csv_file function plans ranges that start where a row starts, and works on each range in an
invoke of its own; so a crash repeats its range, not the file. What does not fit into this
execution goes on in a follow-up execution, from the first row that was not worked on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, NotRequired, TypedDict, cast

from aws_durable_execution_sdk_python import BatchResult, DurableContext, InvokeError
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType

from durable_pipeline.bisect import DEADLINE_PASSED, Stage, StageRunner
from durable_pipeline.calls import CLOCK, INVOKE, Budget, Call, Deadline, Problem, Tally
from durable_pipeline.outcomes import announce_start
from durable_pipeline.records import (
    STORED,
    SUPERSEDED,
    Batch,
    FileSummary,
    Outcome,
    Outcomes,
    Record,
    failure,
)
from durable_pipeline.requeue import Requeue, requeue
from durable_pipeline.settings import Settings
from durable_pipeline.stages import outcome_of
from pipeline_core import own_stage
from pipeline_core.contract import ContractViolation, Reason, StageRecord
from pipeline_core.files import Cursor, File, Part, Plan, Range
from pipeline_core.objects import created_event
from pipeline_core.own_stage import CalledStage
from pipeline_core.sizes import MAX_STATE_BYTES
from pipeline_core.values import is_timestamp

STAGE = "csv_file"

TRIES = 3

SINGLE_CALLS_OPERATIONS = 40
"""For repeating plan, finish and store; they are set aside with what every execution needs."""

RANGE_OPERATIONS = INVOKE + 2 * CLOCK

MAX_RANGES = 490
"""In one execution: so many that each may be tried again once within the operations that there are.
The rest of a larger file is left to the next execution."""


class RangeResult(TypedDict):
    """What became of one range: its part, or why there is none; empty if it was not begun.

    ``stage`` is there where one is to blame that csv_file calls itself: the own stage, or store.
    ``retries`` are those that it took, if any: by far most ranges need none, and every byte of a
    result is paid for.
    """

    part: NotRequired[Part]
    reason: NotRequired[Reason]
    stage: NotRequired[Literal["enrich", "store"]]
    gone: NotRequired[bool]
    retries: NotRequired[int]


class Ended(Exception):
    """The file goes no further in this execution; ``outcome`` is what becomes of it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome["outcome"])
        self.outcome = outcome


def process_files(
    context: DurableContext, batch: Batch, settings: Settings, tally: Tally
) -> Outcomes:
    """The outcomes of the batch's files, and of messages that tell of several objects.

    A file that came alone is worked on here. One with company would keep it waiting, so it is
    handed over to the queue of files, which brings them one by one.
    """
    if batch.files and len(batch.all_records) == 1:
        return {file.id: process_file(context, file, settings, tally) for file in batch.files}
    files = [Requeue.of(file) for file in batch.files]
    crowds = [
        Requeue(record, batch.crowds[record.id], record.carried(execution_id=None))
        for record in batch.all_records
        if record.id in batch.crowds
    ]
    return requeue(context, [*files, *crowds], settings)


def process_file(
    context: DurableContext, record: Record, settings: Settings, tally: Tally
) -> Outcome:
    """The outcome of one file."""
    try:
        return FileExecution(context, record, settings, tally).run()
    except Ended as ended:
        return ended.outcome
    except (InvokeError, ContractViolation) as error:
        return failure(STAGE, *Problem.of(error).described)


class FileExecution:
    """The part of a file that one execution works on."""

    def __init__(
        self, context: DurableContext, record: Record, settings: Settings, tally: Tally
    ) -> None:
        self._context = context
        self._record = record
        self._settings = settings
        self._tally = tally
        self._budget = Budget(SINGLE_CALLS_OPERATIONS, MAX_STATE_BYTES // 4)
        self._deadline = self._new_deadline(context)
        if record.state is None:
            raise ValueError(f"record {record.id} is no file")
        self._state = record.state

    def run(self) -> Outcome:
        """Plan, work on the ranges, finish; what becomes of the file."""
        if self._record.start is None:
            announce_start(self._context, self._record, self._settings)
        plan = self._plan()
        parts = self._parts(self._ranges(plan))
        rest = _rest(plan, len(parts))
        finished = self._finish(plan, parts, rest)
        if rest is not None:
            return self._continue(rest)
        return self._store(plan, {"counts": finished["counts"], "manifest": finished["manifest"]})

    def _new_deadline(self, context: DurableContext) -> Deadline:
        return Deadline(context, self._settings.execution_timeout, self._settings.files_timeout)

    def _parts(self, results: Sequence[RangeResult]) -> list[Part]:
        """The parts that were written, up to the first range that was not begun in time.

        Raises:
            Ended: a range failed, or none was begun in time, or the object is not as it was.
        """
        if any("gone" in result for result in results):
            raise Ended(SUPERSEDED)
        for result in results:
            if "reason" in result:
                stage, reason = result.get("stage", STAGE), result["reason"]
                raise Ended(failure(stage, reason["type"], reason["message"]))
        parts = [result["part"] for result in results if "part" in result]
        if results and not parts:
            raise Ended(failure(STAGE, *DEADLINE_PASSED.described))
        return parts

    def _plan(self) -> Plan:
        response = self._call(
            "plan",
            {
                "from": self._record.start,
                "max_ranges": min(self._settings.ranges_per_execution, MAX_RANGES),
                "range_bytes": self._settings.range_size,
                "rows": self._settings.file_rows,
            },
        )
        match response:
            case {"outcome": "ok", "file": dict(), "ranges": list()}:
                return cast("Plan", response)
        raise self._not_ok(response)

    def _ranges(self, plan: Plan) -> list[RangeResult]:
        """The results of the plan's ranges, in order; a range is not begun near the deadline."""
        if not plan["ranges"]:
            return []
        share = _share(len(plan["ranges"]))

        def branch(context: DurableContext, work: Range, _index: int, _all: object) -> RangeResult:
            deadline = self._new_deadline(context)
            deadline.learn(plan["completed_at"])
            # It may have waited for its turn, or for this invocation: there is no telling how long.
            deadline.ask(context, Tally())  # counted with the results, which are all that is kept
            if deadline.passed():
                return {}
            return self._range(context, deadline, plan, work, replace(share))

        config: MapConfig[Range] = MapConfig(
            max_concurrency=self._settings.range_concurrency,
            completion_config=CompletionConfig.all_completed(),
            nesting_type=NestingType.FLAT,
        )
        result: BatchResult[RangeResult] = self._context.map(
            plan["ranges"], branch, name="ranges", config=config
        )
        result.throw_if_error()
        results = result.get_results()
        self._count(results)
        return results

    def _count(self, results: Sequence[RangeResult]) -> None:
        for result in results:
            retries = result.get("retries", 0)
            broke = "reason" in result and "stage" not in result
            attempts = 1 + retries if result else 0
            # The clock first, then each attempt; before a repetition the clock again, and a wait.
            clocks = 1 + retries + broke
            operations = clocks + attempts + retries
            self._tally.add(Tally(attempts, retries, operations=operations))

    def _range(
        self,
        context: DurableContext,
        deadline: Deadline,
        plan: Plan,
        work: Range,
        budget: Budget,
    ) -> RangeResult:
        took = Tally()
        stages = self._called_stages(plan["file"])
        payload = self._payload("process", {"file": plan["file"], "range": work, **stages})
        arn, name = self._settings.csv_file_function_arn, f"range {work['start']}"
        call = Call(arn, payload, name, _answered, TRIES, budget)
        result = self._range_result(context, deadline, call, took)
        return result | {"retries": took.retries} if took.retries else result

    def _called_stages(self, file: File) -> Mapping[str, CalledStage]:
        """What a range is told of the stages that it calls: by this version's settings."""
        stages: dict[str, CalledStage] = {}
        seconds = self._settings.stage_timeout
        if arn := self._settings.enrichment_function_arn:
            stages["own_stage"] = {"function_arn": arn, "seconds": seconds}
        if file.get("rows") == "items":
            arn = self._settings.storage_function_arn
            stages["store"] = {"function_arn": arn, "seconds": seconds}
        return stages

    def _range_result(
        self,
        context: DurableContext,
        deadline: Deadline,
        call: Call[Mapping[str, Any]],
        tally: Tally,
    ) -> RangeResult:
        try:
            response = call.make(context, deadline, tally)
        except (InvokeError, ContractViolation) as error:
            return _failed(*Problem.of(error).described)
        match response:
            case {"outcome": "ok", "part": dict(part)}:
                return {"part": cast("Part", part)}
            case {"outcome": "gone"}:
                return {"gone": True}
            case {"outcome": "failed", "reason": {"type": str(type_), "message": str(message)}}:
                by_store = response.get("stage") == "store"
                return _failed(type_, message) | {"stage": "store" if by_store else own_stage.NAME}
        return _failed("ContractViolation", f"malformed answer: {str(response)[:200]}")

    def _finish(self, plan: Plan, parts: Sequence[Part], rest: Cursor | None) -> Mapping[str, Any]:
        response = self._call(
            "finish",
            {
                "file": plan["file"],
                "parts": parts,
                "next": rest,
            },
        )
        match response:
            case {"outcome": "ok", "counts": dict()}:
                return response
        raise self._not_ok(response)

    def _continue(self, rest: Cursor) -> Outcome:
        """Hand the rest of the file over to a follow-up execution."""
        body = json.dumps(created_event(self._state))
        rest_of_file = Requeue(self._record, (body,), self._record.carried(continue_from=rest))
        return requeue(self._context, [rest_of_file], self._settings)[self._record.id]

    def _store(self, plan: Plan, summary: FileSummary) -> Outcome:
        """Store the file's item: what it came to."""
        file = plan["file"]
        transformed = {
            "data_source": file["data_source"].upper(),
            "processing_type": file["processing_type"],
            **summary,
        }
        record: StageRecord = {
            "id": self._record.id,
            "pointer": self._state,
            "execution_id": self._record.execution_id,
            "message_id": self._record.id,
            "sent_timestamp": self._record.sent_timestamp,
            "by_producer": False,
            "transformed": json.dumps(transformed),
            "processed_at": plan["completed_at"],
        }
        stage = Stage("store", self._settings.storage_function_arn)
        alone = StageRunner(self._context, self._deadline, self._tally, self._budget)
        result = alone.run(stage, [record]).results[self._record.id]
        if result["outcome"] != "ok":
            return outcome_of(result, "store")
        return STORED | {"summary": summary}

    def _call(self, action: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        call = Call(
            self._settings.csv_file_function_arn,
            self._payload(action, payload),
            f"{action} {self._record.start['offset']}" if self._record.start else action,
            _answered,
            TRIES,
            self._budget,
        )
        answer = call.make(self._context, self._deadline, self._tally)
        self._deadline.learn(answer["completed_at"])
        self._tally.learn(answer["completed_at"])
        return answer

    def _payload(self, action: str, payload: Mapping[str, Any]) -> Mapping[str, Any]:
        return {
            "durable_execution_arn": self._context.execution_context.durable_execution_arn,
            "action": action,
            "message_id": self._record.id,
            "object": self._state,
            **payload,
        }

    def _not_ok(self, response: Mapping[str, Any]) -> Exception:
        match response:
            case {"outcome": "gone"}:
                return Ended(SUPERSEDED)
            case {"outcome": "rejected", "reason": {"type": str(), "message": str()}}:
                reason = cast("Reason", response["reason"])
                return Ended({"outcome": "rejected", "stage": STAGE, "reason": reason})
        return ContractViolation(f"malformed answer: {str(response)[:200]}")


def _share(ranges: int) -> Budget:
    return Budget.share(ranges, needed_operations=RANGE_OPERATIONS, needed_bytes=0)


def _rest(plan: Plan, done: int) -> Cursor | None:
    """Where the rows start that are not worked on in this execution."""
    if done == len(plan["ranges"]):
        return plan["next"]
    first = plan["ranges"][done]
    return {"offset": first["start"], "row": first["row"], "line": first["line"]}


def _answered(response: Any) -> Mapping[str, Any]:
    match response:
        case {"outcome": str(), "completed_at": str(completed_at)} if is_timestamp(completed_at):
            return cast("Mapping[str, Any]", response)
    raise ContractViolation(f"malformed answer: {str(response)[:200]}")


def _failed(error_type: str, message: str) -> RangeResult:
    return {"reason": {"type": error_type, "message": message}}
