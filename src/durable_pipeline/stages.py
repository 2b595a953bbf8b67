"""Cuts a batch into chunks and takes each through the chain: validate, transform and store.

Between transform and store stands the own stage, where the pipeline has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import accumulate
from typing import NotRequired, TypedDict

from aws_durable_execution_sdk_python import BatchResult, DurableContext
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType

from durable_pipeline.bisect import Stage, StageAnswer, StageRunner
from durable_pipeline.calls import CLOCK, INVOKE, SET_ASIDE_BYTES, Budget, Deadline, Tally
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
from pipeline_core import own_stage
from pipeline_core.contract import Result, StageRecord
from pipeline_core.messages import record_id_in
from pipeline_core.sizes import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_RECORDS,
    MAX_CONCURRENT_CHUNKS,
    MAX_STATE_BYTES,
    batches,
)

MAX_ALONE = 100
"""So many records that have failed before go through the stages alone: whatever one of them does to
a stage, it does to itself."""

MAX_CHUNKS = 200
"""In one execution: at `chunk_operations` each, at most three fifths of those that it may have.
What an invocation brings, 6 MB of messages, is fewer."""

NO_ROOM: Outcome = {
    **failure("read", "QuotaReached", "the execution had as many chunks, or bytes, as it may have"),
    "in_company": True,
}


def process(
    context: DurableContext, records: Sequence[Record], settings: Settings, tally: Tally
) -> Outcomes:
    """The outcome of each of ``records``. One chunk costs an invoke a stage and nothing else."""
    records, outcomes = offloaded(context, records, settings)
    chunks = list(chunked(records))
    count = _affordable(chunks, settings)
    for chunk in chunks[count:]:
        outcomes |= {record.id: NO_ROOM for record in chunk}
    return outcomes | _process(context, chunks[:count], settings, tally)


def _affordable(chunks: Sequence[Sequence[Record]], settings: Settings) -> int:
    """How many of ``chunks`` an execution has operations and bytes of state for; at least one."""
    states = accumulate(_state_bytes(chunk, settings) for chunk in chunks[:MAX_CHUNKS])
    return max(1, sum(total <= MAX_STATE_BYTES - SET_ASIDE_BYTES for total in states))


def _process(
    context: DurableContext,
    chunks: Sequence[Sequence[Record]],
    settings: Settings,
    tally: Tally,
) -> Outcomes:
    if not chunks:
        return {}
    if len(chunks) == 1:
        deadline, budget = _deadline(context, settings), _share(chunks, settings)
        return process_chunk(context, chunks[0], settings, deadline, tally, budget)
    return _process_in_parallel(context, chunks, settings, tally)


def _share(chunks: Sequence[Sequence[Record]], settings: Settings) -> Budget:
    return Budget.share(
        len(chunks),
        needed_operations=chunk_operations(settings),
        needed_bytes=sum(_state_bytes(chunk, settings) for chunk in chunks),
    )


def _state_bytes(chunk: Sequence[Record], settings: Settings) -> int:
    """The most that a chunk checkpoints if nothing goes wrong and nothing grows on its way.

    Of a record that lies in S3 only what it becomes travels.
    """
    links = chain(settings)
    inline = sum(link.states for link in links)
    pointed = sum(link.states - 1 for link in links)
    return sum(r.travelling_size * (pointed if r.pointer else inline) for r in chunk)


def _process_in_parallel(
    context: DurableContext,
    chunks: Sequence[Sequence[Record]],
    settings: Settings,
    tally: Tally,
) -> Outcomes:
    share = _share(chunks, settings)

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
        completion_config=CompletionConfig.all_completed(),
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
    if any; ``own_stage_seconds`` is there where it went through one.
    """

    stored: int
    others: Outcomes
    took: list[int]
    until: str
    own_stage_seconds: NotRequired[list[float]]


def _result(outcomes: Outcomes, tally: Tally) -> ChunkResult:
    others = {key: value for key, value in outcomes.items() if value["outcome"] != "stored"}
    result: ChunkResult = {
        "stored": len(outcomes) - len(others),
        "others": others,
        "took": [tally.invokes, tally.retries, tally.bisects, tally.operations],
        "until": tally.until.isoformat() if tally.until else "",
    }
    if tally.own_stage_seconds:
        result["own_stage_seconds"] = tally.own_stage_seconds
    return result


def _tally(result: ChunkResult) -> Tally:
    until = datetime.fromisoformat(result["until"]) if result["until"] else None
    invokes, retries, bisects, operations = result["took"]
    seconds = result.get("own_stage_seconds", [])
    return Tally(invokes, retries, bisects, operations, until, seconds)


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


# Takes one chunk through the chain.


@dataclass(frozen=True)
class Passing:
    """A record on its way: what it was and, from transform on, what it has become.

    ``document`` is the result that has the latter, ``processed_at`` when its stage had finished.
    ``chosen`` is the identity that only the reading of what lies in S3 has brought.
    """

    record: Record
    document: Result | None = None
    processed_at: str = ""
    chosen: str | None = None


@dataclass(frozen=True)
class Link:
    """A stage in the chain: what it is sent of a record, and what its answer makes of one.

    ``states`` is how often a record's bytes are checkpointed for it: as it was, as it has become,
    and as it is answered. One that ``reads`` has read what lies in S3, also of a record that it
    does not let pass.
    """

    stage: Stage
    sends: Callable[[Passing], StageRecord]
    takes: Callable[[Passing, Result, str], Passing | Outcome]
    states: int
    reads: bool = False


def chain(settings: Settings) -> tuple[Link, ...]:
    """The stages, in their order. Their names are those of operations in executions' histories."""

    def read(passing: Passing, result: Result, _: str) -> Passing | Outcome:
        return _as_read(passing, result, settings)

    validate = Stage("validate", settings.validation_function_arn)
    transform = Stage("transform", settings.transformation_function_arn, answers_data=True)
    enrich = Stage(own_stage.NAME, settings.enrichment_function_arn, is_ours=False)
    store = Stage("store", settings.storage_function_arn)
    return (
        Link(validate, _content, read, states=1, reads=True),
        Link(transform, _content, _transformed, states=2),
        *([Link(enrich, _with_document, _enriched, states=3)] if enrich.function_arn else []),
        Link(store, _to_store, lambda passing, _, __: passing, states=2),
    )


def chunk_operations(settings: Settings) -> int:
    """What a chunk may need whatever happens: its chain, and the time if it waited for its turn."""
    return len(chain(settings)) * (INVOKE + CLOCK) + CLOCK


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
    passing, outcomes = [Passing(record) for record in records], Outcomes()
    for link in chain(settings):
        answer = chunk.run(link.stage, [link.sends(one) for one in passing])
        if not link.stage.is_ours:
            since = max((one.processed_at for one in passing), default="")
            tally.passed_own_stage(since, answer.completed_at)
        passing, others = _passed(link, passing, answer, settings)
        outcomes |= others
    return outcomes | {one.record.id: STORED for one in passing}


def _passed(
    link: Link, passing: Sequence[Passing], answer: StageAnswer, settings: Settings
) -> tuple[list[Passing], Outcomes]:
    """What passed the stage, as it goes on, and the outcomes of the records that did not."""
    onwards: list[Passing] = []
    others = Outcomes()
    for one in passing:
        record_id = one.record.id
        result = answer.results[record_id]
        if not link.stage.is_ours:
            # At each replay again: only here it is known what is wrong, and whose fault it is.
            result = own_stage.checked(result, _content(one))
        if result["outcome"] != "ok":
            company = record_id in answer.in_company
            outcome = outcome_of(result, link.stage.name, in_company=company)
            if link.reads:
                one = _identified(one, result, settings)
            others[record_id] = _with_identity(outcome, one)
            continue
        taken = link.takes(one, result, answer.completed_at)
        if isinstance(taken, Passing):
            onwards.append(taken)
        else:
            others[record_id] = taken
    return onwards, others


def _content(passing: Passing) -> StageRecord:
    record = passing.record
    if record.pointer is not None:
        return {"id": record.id, "pointer": record.pointer}
    return {"id": record.id, "body": record.content or ""}


def _as_read(passing: Passing, validated: Result, settings: Settings) -> Passing | Outcome:
    """The record as validate has read it; it may not have an identity that is reserved."""
    passing = _identified(passing, validated, settings)
    if passing.record.by_producer and (why := reserved(passing.record, settings)):
        return rejection("validate", "ReservedId", why)
    return passing


def _identified(passing: Passing, validated: Result, settings: Settings) -> Passing:
    """The record as validate has read it, passed or not, where its content lies in S3.

    From here on it is that state of its object which was validated, and no other. The identity that
    its producer chose is known now, too, whatever else is wrong; that of an object is the object's.
    """
    record = passing.record
    if record.pointer is None or record.state:
        return passing
    if "pointer" in validated:
        record = replace(record, pointer=validated["pointer"])
    if record_id := record_id_in(validated.get("data", "")):
        record = record.with_record_id(record_id)
    is_new = record.execution_id != passing.record.execution_id and not reserved(record, settings)
    return replace(passing, record=record, chosen=record.execution_id if is_new else None)


def _with_identity(outcome: Outcome, passing: Passing) -> Outcome:
    """``outcome`` with the identity that only reading has brought: the record keeps its own."""
    return outcome if passing.chosen is None else {**outcome, "record_id": passing.chosen}


def _transformed(passing: Passing, result: Result, completed_at: str) -> Passing:
    return replace(passing, document=result, processed_at=completed_at)


def _enriched(passing: Passing, result: Result, completed_at: str) -> Passing:
    """The record with the document that the own stage answered, or with the one it had."""
    if "data" not in result:
        return replace(passing, processed_at=completed_at)
    return _transformed(passing, result, completed_at)


def _with_document(passing: Passing) -> StageRecord:
    if passing.document is None:
        raise ValueError(f"record {passing.record.id} is not transformed")
    sent = _content(passing) | {
        "execution_id": passing.record.execution_id,
        "transformed": passing.document["data"],
    }
    if "pointer" in passing.document:
        sent["transformed_pointer"] = passing.document["pointer"]
    return sent


def _to_store(passing: Passing) -> StageRecord:
    record = passing.record
    to_store = _with_document(passing) | {
        "message_id": record.id,
        "sent_timestamp": record.sent_timestamp,
        "by_producer": record.by_producer,
        "processed_at": passing.processed_at,
    }
    if record.replaces:
        to_store["replaces"] = record.replaces
    if record.message_group_id:
        to_store["message_group_id"] = record.message_group_id
    return to_store


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
