"""Takes one chunk through validate, transform and store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from aws_durable_execution_sdk_python import DurableContext

from durable_pipeline.budget import Budget
from durable_pipeline.containment import Containment, Stage, StageAnswer
from durable_pipeline.deadline import Deadline
from durable_pipeline.reader import record_id_in, reserved, with_record_id
from durable_pipeline.records import (
    STORED,
    SUPERSEDED,
    Outcome,
    Outcomes,
    Record,
    bounded,
    rejection,
)
from durable_pipeline.settings import Settings
from durable_pipeline.tally import Tally
from shared.contracts import Result, StageRecord


def process_chunk(
    context: DurableContext,
    records: Sequence[Record],
    settings: Settings,
    deadline: Deadline,
    tally: Tally,
    budget: Budget,
    prefix: str = "",
) -> Outcomes:
    """The outcome of each of ``records``; each stage gets the ones that the stage before passed.

    ``prefix`` goes before the stages' names in the execution's history. What it took is counted in
    ``tally``; what goes wrong is paid for from ``budget``.
    """
    chunk = Containment(context, deadline, tally, budget, prefix)
    validated = chunk.run(
        Stage("validate", settings.validate_arn), [_content(record) for record in records]
    )
    records, not_valid = _passed(records, validated, "validate")
    records = [_as_read(record, validated.results[record.id]) for record in records]
    records, not_theirs = _with_own_ids(records, settings)
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
    failures = not_valid | not_theirs | not_transformed | not_stored
    return failures | {record.id: STORED for record in records}


def _content(record: Record) -> StageRecord:
    if record.pointer is not None:
        return {"id": record.id, "pointer": record.pointer}
    return {"id": record.id, "body": record.content or ""}


def _as_read(record: Record, validated: Result) -> Record:
    """``record`` as validate has read it, where its content lies in S3.

    From here on it is that state of its object which was validated, and no other. The identity that
    its producer chose is known now, too; that of an object is the object's.
    """
    if record.pointer is None or record.state:
        return record
    if "pointer" in validated:
        record = replace(record, pointer=validated["pointer"])
    record_id = record_id_in(validated.get("data", ""))
    return with_record_id(record, record_id) if record_id else record


def _with_own_ids(records: Sequence[Record], settings: Settings) -> tuple[list[Record], Outcomes]:
    """The records that may have the identity they chose, and the outcomes of the others."""
    others = {
        record.id: rejection("validate", "ReservedId", why)
        for record in records
        if record.by_producer and (why := reserved(record, settings))
    }
    return [record for record in records if record.id not in others], others


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
    return passed, {
        record_id: outcome_of(result, stage, in_company=record_id in answer.in_company)
        for record_id, result in answer.results.items()
        if result["outcome"] != "ok"
    }


def outcome_of(result: Result, stage: str, *, in_company: bool = False) -> Outcome:
    """The outcome of a record that did not pass ``stage``."""
    if result["outcome"] == "superseded":
        return SUPERSEDED
    outcome: Outcome = {
        "outcome": "rejected" if result["outcome"] == "rejected" else "failed",
        "stage": stage,
        "reason": bounded(result["reason"]),
    }
    if in_company:
        outcome["in_company"] = True
    return outcome
