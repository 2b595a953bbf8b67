"""Takes one chunk through validate, transform and store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_durable_execution_sdk_python import DurableContext

from durable_pipeline.containment import Stage, StageAnswer, run
from durable_pipeline.records import STORED, Outcome, Outcomes, Record
from durable_pipeline.settings import Settings
from shared.contracts import Result, StageRecord


def process_chunk(
    context: DurableContext, records: Sequence[Record], settings: Settings, name: str = ""
) -> Outcomes:
    """The outcome of each of ``records``; each stage gets the ones that the stage before passed."""
    validated = run(
        context,
        Stage("validate", settings.validate_arn, name),
        [{"id": record.id, "body": record.body} for record in records],
    )
    records, outcomes = _passed(records, validated, "validate")
    transformed = run(
        context,
        Stage("transform", settings.transform_arn, name, needs_data=True),
        [{"id": record.id, "body": record.body} for record in records],
    )
    records, not_transformed = _passed(records, transformed, "transform")
    stored = run(
        context,
        Stage("store", settings.store_arn, name),
        [_to_store(record, transformed) for record in records],
    )
    records, not_stored = _passed(records, stored, "store")
    return outcomes | not_transformed | not_stored | {record.id: STORED for record in records}


def _to_store(record: Record, transformed: StageAnswer) -> StageRecord:
    return {
        "id": record.id,
        "body": record.body,
        "execution_id": record.execution_id,
        "message_id": record.id,
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
