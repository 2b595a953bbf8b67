"""Cuts a batch into chunks and takes each through validate, transform and store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from aws_durable_execution_sdk_python import BatchResult, DurableContext
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType

from durable_pipeline.bisect import Stage, StageAnswer, StageRunner
from durable_pipeline.calls import CLOCK, INVOKE, Budget, Deadline, Tally
from durable_pipeline.claim_checks import offloaded
from durable_pipeline.intake import reserved
from durable_pipeline.records import (
    STORED,
    SUPERSEDED,
    Outcome,
    Outcomes,
    Record,
    bounded,
    failure,
    rejection,
)
from durable_pipeline.settings import Settings
from pipeline_core.contract import Result, StageRecord
from pipeline_core.messages import record_id_in
from pipeline_core.sizes import MAX_CHUNK_BYTES, MAX_CHUNK_RECORDS, MAX_CONCURRENT_CHUNKS, batches

MAX_ALONE = 100
"""So many records that have failed before go through the stages alone: whatever one of them does to
a stage, it does to itself."""

CHUNK_OPERATIONS = 3 * (INVOKE + CLOCK) + CLOCK
"""What a chunk may need whatever happens: its chain, and the time where it waited for its turn."""

MAX_CHUNKS = 200
"""In one execution: at `CHUNK_OPERATIONS` each, half of the operations that it may have. What an
invocation brings, 6 MB of messages, is fewer."""

STATES_PER_RECORD = 5
"""How often its bytes are checkpointed: sent to three stages, to the last one twice, and answered
by transform."""

NO_ROOM: Outcome = {
    **failure("read", "QuotaReached", "the execution had as many chunks as it may have"),
    "in_company": True,
}


def process(
    context: DurableContext, records: Sequence[Record], settings: Settings, tally: Tally
) -> Outcomes:
    """The outcome of each of ``records``. One chunk costs its three invokes and nothing else."""
    records, outcomes = offloaded(context, records, settings)
    chunks = list(chunked(records))
    for chunk in chunks[MAX_CHUNKS:]:
        outcomes |= {record.id: NO_ROOM for record in chunk}
    return outcomes | _process(context, chunks[:MAX_CHUNKS], settings, tally)


def _process(
    context: DurableContext,
    chunks: Sequence[Sequence[Record]],
    settings: Settings,
    tally: Tally,
) -> Outcomes:
    if not chunks:
        return {}
    if len(chunks) == 1:
        deadline, budget = _deadline(context, settings), _share(chunks)
        return process_chunk(context, chunks[0], settings, deadline, tally, budget)
    return _process_in_parallel(context, chunks, settings, tally)


def _share(chunks: Sequence[Sequence[Record]]) -> Budget:
    size = sum(record.travelling_size for chunk in chunks for record in chunk)
    return Budget.share(
        len(chunks), needed_operations=CHUNK_OPERATIONS, needed_bytes=STATES_PER_RECORD * size
    )


def _process_in_parallel(
    context: DurableContext,
    chunks: Sequence[Sequence[Record]],
    settings: Settings,
    tally: Tally,
) -> Outcomes:
    share = _share(chunks)

    def branch(
        branch_context: DurableContext, chunk: Sequence[Record], index: int, _all: object
    ) -> ChunkResult:
        deadline, took = _deadline(branch_context, settings), Tally()
        if index >= MAX_CONCURRENT_CHUNKS:
            # It has waited for its turn, there is no telling how long.
            deadline.ask(branch_context, took)
        prefix = f"chunk-{index + 1} "
        budget = replace(share)
        outcomes = process_chunk(branch_context, chunk, settings, deadline, took, budget, prefix)
        return _result(outcomes, took)

    config: MapConfig[Sequence[Record]] = MapConfig(
        max_concurrency=MAX_CONCURRENT_CHUNKS,
        completion_config=CompletionConfig.all_completed(),  # type: ignore[no-untyped-call]  # the SDK left it unannotated
        nesting_type=NestingType.FLAT,  # one operation less per chunk
    )
    result: BatchResult[ChunkResult] = context.map(chunks, branch, name="chunks", config=config)
    # A chunk contains its own failures; one that raises all the same must fail the execution,
    # so that its messages come back, instead of passing for processed.
    result.throw_if_error()
    results = result.get_results()
    for chunk_result in results:
        tally.add(_tally(chunk_result))
    pairs = zip(chunks, results, strict=True)
    return {key: outcome for pair in pairs for key, outcome in _outcomes(*pair).items()}


class ChunkResult(TypedDict):
    """A chunk's outcomes as they are checkpointed: by the byte, so what was stored is a number.

    ``took`` are invokes, retries, bisects and operations, ``until`` is the time of its last answer,
    if any.
    """

    stored: int
    others: Outcomes
    took: list[int]
    until: str


def _result(outcomes: Outcomes, tally: Tally) -> ChunkResult:
    others = {key: value for key, value in outcomes.items() if value["outcome"] != "stored"}
    return {
        "stored": len(outcomes) - len(others),
        "others": others,
        "took": [tally.invokes, tally.retries, tally.bisects, tally.operations],
        "until": tally.until.isoformat() if tally.until else "",
    }


def _tally(result: ChunkResult) -> Tally:
    until = datetime.fromisoformat(result["until"]) if result["until"] else None
    invokes, retries, bisects, operations = result["took"]
    return Tally(invokes, retries, bisects, operations, until)


def _outcomes(chunk: Sequence[Record], result: ChunkResult) -> Outcomes:
    outcomes = {record.id: STORED for record in chunk} | result["others"]
    if len(outcomes) != result["stored"] + len(result["others"]):
        raise ValueError(f"a chunk of {len(chunk)} records has the outcomes of {result['stored']}")
    return outcomes


def _deadline(context: DurableContext, settings: Settings) -> Deadline:
    return Deadline(context, settings.execution_timeout, settings.stage_timeout)


def chunked(records: Sequence[Record]) -> Iterator[list[Record]]:
    """``records``, cut so that no chunk has too many or too many bytes.

    Those that have failed before come first and alone, the oldest of them first. Of very many the
    rest share chunks, as all others do.
    """
    suspects = sorted(
        (record for record in records if record.is_suspect),
        key=lambda record: (record.handed_over, record.receive_count),
        reverse=True,
    )
    alone = {record.id for record in suspects[:MAX_ALONE]} if len(records) > 1 else set()
    yield from ([record] for record in suspects[: len(alone)])
    yield from batches(
        [record for record in records if record.id not in alone],
        lambda record: record.travelling_size,
        max_bytes=MAX_CHUNK_BYTES,
        max_entries=MAX_CHUNK_RECORDS,
    )


# Takes one chunk through validate, transform and store.


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
    chunk = StageRunner(context, deadline, tally, budget, prefix)
    validated = chunk.run(
        Stage("validate", settings.validation_function_arn),
        [_content(record) for record in records],
    )
    read = [_as_read(record, validated.results[record.id]) for record in records]
    chosen = _chosen(records, read, settings)
    records, not_valid = _passed(read, validated, "validate")
    records, not_theirs = _with_own_ids(records, settings)
    transformed = chunk.run(
        Stage("transform", settings.transformation_function_arn, answers_data=True),
        [_content(record) for record in records],
    )
    records, not_transformed = _passed(records, transformed, "transform")
    stored = chunk.run(
        Stage("store", settings.storage_function_arn),
        [_to_store(record, transformed) for record in records],
    )
    records, not_stored = _passed(records, stored, "store")
    failures = _with_record_ids(not_valid | not_transformed | not_stored, chosen)
    return failures | not_theirs | {record.id: STORED for record in records}


def _content(record: Record) -> StageRecord:
    if record.pointer is not None:
        return {"id": record.id, "pointer": record.pointer}
    return {"id": record.id, "body": record.content or ""}


def _as_read(record: Record, validated: Result) -> Record:
    """``record`` as validate has read it, where its content lies in S3.

    From here on it is that state of its object which was validated, and no other. The identity that
    its producer chose is known now, too, whatever else is wrong; that of an object is the object's.
    """
    if record.pointer is None or record.state:
        return record
    if "pointer" in validated:
        record = replace(record, pointer=validated["pointer"])
    record_id = record_id_in(validated.get("data", ""))
    return record.with_record_id(record_id) if record_id else record


def _chosen(
    records: Sequence[Record], read: Sequence[Record], settings: Settings
) -> Mapping[str, str]:
    """The identities, by record id, that only the reading of what lies in S3 has brought."""
    return {
        as_read.id: as_read.execution_id
        for record, as_read in zip(records, read, strict=True)
        if as_read.execution_id != record.execution_id and not reserved(as_read, settings)
    }


def _with_record_ids(outcomes: Outcomes, chosen: Mapping[str, str]) -> Outcomes:
    """``outcomes`` with those identities: whatever becomes of a record, it keeps its own."""
    return {
        key: {**outcome, "record_id": chosen[key]} if key in chosen else outcome
        for key, outcome in outcomes.items()
    }


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
    if record.replaces:
        to_store["replaces"] = record.replaces
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
