"""Cuts a batch into chunks and takes them through the stages, several at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TypedDict

from aws_durable_execution_sdk_python import BatchResult, DurableContext
from aws_durable_execution_sdk_python.config import CompletionConfig, MapConfig, NestingType

from durable_pipeline.chain import process_chunk
from durable_pipeline.deadline import Deadline
from durable_pipeline.records import STORED, Outcomes, Record, travelling_size
from durable_pipeline.settings import Settings
from durable_pipeline.tally import Tally

MAX_CHUNK_RECORDS = 100
MAX_CHUNK_BYTES = 400 * 1024
"""Of text. The store stage is sent each record twice, as it was and transformed, in an invoke
that takes 1 MiB; a chunk that grows beyond that on its way is cut again where it does."""

MAX_CONCURRENT_CHUNKS = 10


def process(
    context: DurableContext, records: Sequence[Record], settings: Settings, tally: Tally
) -> Outcomes:
    """The outcome of each of ``records``. One chunk costs its three invokes and nothing else."""
    chunks = list(chunked(records))
    if not chunks:
        return {}
    if len(chunks) == 1:
        return process_chunk(context, chunks[0], settings, _deadline(context, settings), tally)
    return _process_in_parallel(context, chunks, settings, tally)


def _process_in_parallel(
    context: DurableContext,
    chunks: Sequence[Sequence[Record]],
    settings: Settings,
    tally: Tally,
) -> Outcomes:
    def branch(
        branch_context: DurableContext, chunk: Sequence[Record], index: int, _all: object
    ) -> ChunkResult:
        deadline = _deadline(branch_context, settings)
        if index >= MAX_CONCURRENT_CHUNKS:
            deadline.ask(branch_context)  # it has waited for its turn, nobody knows how long
        prefix = f"chunk-{index + 1} "
        took = Tally()
        outcomes = process_chunk(branch_context, chunk, settings, deadline, took, prefix)
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

    ``took`` are invokes, retries and bisects, ``until`` is the time of its last answer, if any.
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
        "took": [tally.invokes, tally.retries, tally.bisects],
        "until": tally.until.isoformat() if tally.until else "",
    }


def _tally(result: ChunkResult) -> Tally:
    until = datetime.fromisoformat(result["until"]) if result["until"] else None
    invokes, retries, bisects = result["took"]
    return Tally(invokes, retries, bisects, until)


def _outcomes(chunk: Sequence[Record], result: ChunkResult) -> Outcomes:
    outcomes = {record.id: STORED for record in chunk} | result["others"]
    if len(outcomes) != result["stored"] + len(result["others"]):
        raise ValueError(f"a chunk of {len(chunk)} records has the outcomes of {result['stored']}")
    return outcomes


def _deadline(context: DurableContext, settings: Settings) -> Deadline:
    return Deadline(context, settings.execution_timeout, settings.stage_timeout)


def chunked(records: Sequence[Record]) -> Iterator[list[Record]]:
    """``records`` in order, cut so that no chunk has too many or too many bytes of body text."""
    chunk: list[Record] = []
    size = 0
    for record in records:
        too_large = size + travelling_size(record) > MAX_CHUNK_BYTES
        if chunk and (len(chunk) == MAX_CHUNK_RECORDS or too_large):
            yield chunk
            chunk, size = [], 0
        chunk.append(record)
        size += travelling_size(record)
    if chunk:
        yield chunk
