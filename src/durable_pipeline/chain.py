"""Takes one chunk through validate, transform and store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aws_durable_execution_sdk_python import DurableContext

from durable_pipeline.containment import Containment, Stage, StageAnswer
from durable_pipeline.deadline import Deadline
from durable_pipeline.reader import record_id_in, with_record_id
from durable_pipeline.records import STORED, SUPERSEDED, Outcome, Outcomes, Record
from durable_pipeline.settings import Settings
from durable_pipeline.tally import Tally
from shared.contracts import Result, StageRecord


def process_chunk(
    context: DurableContext,
    records: Sequence[Record],
    settings: Settings,
    deadline: Deadline,
    tally: Tally,
    prefix: str = "",
) -> Outcomes:
    """The outcome of each of ``records``; each stage gets the ones that the stage before passed.

    ``prefix`` goes before the stages' names in the execution's history. What it took is counted in
    ``tally``.
    """
    chunk = Containment(context, deadline, tally, prefix)
    validated = chunk.run(
        Stage("validate", settings.validate_arn), [_content(record) for record in records]
    )
    records, not_valid = _passed(records, validated, "validate")
    records = [_identified(record, validated.results[record.id]) for record in records]
    transformed = chunk.run(
        Stage("transform", settings.transform_arn, answers_data=True),
        [_content(record) for record in records],
    )
    records, not_transformed = _passed(records, transformed, "transform")
    stored = chunk.run(
        Stage("store", settings.store_arn),
        [_to_store(record, transformed) for record in records],
    )
    records, not_stored = _passed(records, stored, "store")
    return not_valid | not_transformed | not_stored | {record.id: STORED for record in records}


def _content(record: Record) -> StageRecord:
    if record.pointer is not None:
        return {"id": record.id, "pointer": record.pointer}
    return {"id": record.id, "body": record.content or ""}


def _identified(record: Record, validated: Result) -> Record:
    """``record`` with the identity that its producer chose in content that lies in S3.

    That of an object is the object's.
    """
    if record.content is not None or record.state:
        return record
    record_id = record_id_in(validated.get("data", ""))
    return with_record_id(record, record_id) if record_id else record


def _to_store(record: Record, transformed: StageAnswer) -> StageRecord:
    result = transformed.results[record.id]
    to_store = _content(record) | {
        "execution_id": record.execution_id,
        "message_id": record.id,
        "sent_timestamp": record.sent_timestamp,
        "by_producer": record.by_producer,
        "transformed": result["data"],
        "processed_at": transformed.completed_at,
    }
    if "pointer" in result:
        to_store["transformed_pointer"] = result["pointer"]
    return to_store


def _passed(
    records: Sequence[Record], answer: StageAnswer, stage: str
) -> tuple[list[Record], Outcomes]:
    """The records that passed ``stage``, and the outcomes of those that did not."""
    passed = [record for record in records if answer.results[record.id]["outcome"] == "ok"]
    return passed, _not_passed(answer.results, stage)


def _not_passed(results: Mapping[str, Result], stage: str) -> Outcomes:
    return {
        record_id: outcome_of(result, stage)
        for record_id, result in results.items()
        if result["outcome"] != "ok"
    }


def outcome_of(result: Result, stage: str) -> Outcome:
    """The outcome of a record that did not pass ``stage``."""
    if result["outcome"] == "superseded":
        return SUPERSEDED
    return {
        "outcome": "rejected" if result["outcome"] == "rejected" else "failed",
        "stage": stage,
        "reason": result["reason"],
    }
