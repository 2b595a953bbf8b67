"""Takes one chunk through validate, transform and store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_durable_execution_sdk_python import DurableContext

from durable_pipeline.containment import Containment, Stage, StageAnswer
from durable_pipeline.deadline import Deadline
from durable_pipeline.records import STORED, Outcome, Outcomes, Record
from durable_pipeline.settings import Settings
from shared.contracts import Result, StageRecord


def process_chunk(
    context: DurableContext,
    records: Sequence[Record],
    settings: Settings,
    deadline: Deadline,
    prefix: str = "",
) -> Outcomes:
    """The outcome of each of ``records``; each stage gets the ones that the stage before passed.

    ``prefix`` goes before the stages' names in the execution's history.
    """
    chunk = Containment(context, deadline, prefix)
    validated = chunk.run(
        Stage("validate", settings.validate_arn),
        [{"id": record.id, "body": record.body} for record in records],
    )
    records, not_valid = _passed(records, validated, "validate")
    transformed = chunk.run(
        Stage("transform", settings.transform_arn, answers_data=True),
        [{"id": record.id, "body": record.body} for record in records],
    )
    records, not_transformed = _passed(records, transformed, "transform")
    stored = chunk.run(
        Stage("store", settings.store_arn),
        [_to_store(record, transformed) for record in records],
    )
    records, not_stored = _passed(records, stored, "store")
    return not_valid | not_transformed | not_stored | {record.id: STORED for record in records}


def _to_store(record: Record, transformed: StageAnswer) -> StageRecord:
    return {
        "id": record.id,
        "body": record.body,
        "execution_id": record.execution_id,
        "message_id": record.id,
        "sent_timestamp": record.sent_timestamp,
        "by_producer": record.by_producer,
        "transformed": transformed.results[record.id]["data"],
        "processed_at": transformed.completed_at,
    }


def _passed(
    records: Sequence[Record], answer: StageAnswer, stage: str
) -> tuple[list[Record], Outcomes]:
    """The records that passed ``stage``, and the outcomes of those that did not."""
    passed = [record for record in records if answer.results[record.id]["outcome"] == "ok"]
    return passed, _not_passed(answer.results, stage)


def _not_passed(results: Mapping[str, Result], stage: str) -> Outcomes:
    return {
        record_id: _outcome(result, stage)
        for record_id, result in results.items()
        if result["outcome"] != "ok"
    }


def _outcome(result: Result, stage: str) -> Outcome:
    return {
        "outcome": "rejected" if result["outcome"] == "rejected" else "failed",
        "stage": stage,
        "reason": result["reason"],
    }
