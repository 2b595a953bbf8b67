"""Cuts a batch into chunks and takes them through the stages, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypedDict

from aws_durable_execution_sdk_python import BatchResult, DurableContext
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType

from durable_pipeline.budget import CLOCK, INVOKE, Budget
from durable_pipeline.chain import process_chunk
from durable_pipeline.deadline import Deadline
from durable_pipeline.offload import offloaded
from durable_pipeline.records import STORED, Outcome, Outcomes, Record, failure
from durable_pipeline.settings import Settings
from durable_pipeline.tally import Tally
from shared.batching import batches

MAX_CHUNK_RECORDS = 100
MAX_CHUNK_BYTES = 300_000
"""In a checkpoint. The store stage is sent each record twice, as it was and as it became, in one of
700,000; a chunk that grows beyond that on its way is cut again where it does."""

MAX_CONCURRENT_CHUNKS = 10

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
            # It has waited for its turn, nobody knows how long.
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
