from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.calls import SET_ASIDE_BYTES, SET_ASIDE_OPERATIONS
from durable_pipeline.records import Record
from durable_pipeline.settings import Settings
from durable_pipeline.stages import (
    MAX_ALONE,
    MAX_CHUNKS,
    _affordable,
    _state_bytes,
    chain,
    chunk_operations,
    chunked,
)
from pipeline_core.objects import Pointer
from pipeline_core.sizes import (
    MAX_CHUNK_BYTES,
    MAX_CHUNK_RECORDS,
    MAX_OPERATIONS,
    MAX_STATE_BYTES,
)
from tests.unit.durable_pipeline.settings import SETTINGS, WITH_OWN_STAGE

sizes = st.lists(st.integers(0, MAX_CHUNK_BYTES // 2), max_size=300)


def records_of(count: int, **more: Any) -> list[Record]:
    return [Record(str(n), str(n), "", content="{}", **more) for n in range(count)]


@given(sizes)
def test_chunks_are_all_records_in_order_and_within_bounds(lengths: list[int]) -> None:
    records = [Record(str(n), str(n), "", content="x" * length) for n, length in enumerate(lengths)]

    chunks = list(chunked(records))

    assert [record for chunk in chunks for record in chunk] == records
    for chunk in chunks:
        assert 1 <= len(chunk) <= MAX_CHUNK_RECORDS
        assert sum(record.travelling_size for record in chunk) <= MAX_CHUNK_BYTES


def test_small_records_fill_a_chunk() -> None:
    assert [len(chunk) for chunk in chunked(records_of(1000))] == [MAX_CHUNK_RECORDS] * 10


def test_documents_in_s3_count_for_what_may_travel_of_them() -> None:
    pointer: Pointer = {"bucket": "input", "key": "a.json", "size": 10_000_000}
    records = [Record(str(n), str(n), "", pointer=pointer) for n in range(30)]

    chunks = list(chunked(records))

    assert [len(chunk) for chunk in chunks] == [9, 9, 9, 3]


def test_what_has_failed_before_goes_alone_and_the_oldest_first() -> None:
    records = [
        Record("new", "new", "", content="{}"),
        Record("twice", "twice", "", receive_count=2, content="{}"),
        Record("newer", "newer", "", content="{}"),
        Record("sent on", "sent on", "", handed_over=1, content="{}"),
    ]

    ids = [[record.id for record in chunk] for chunk in chunked(records)]

    assert ids == [["sent on"], ["twice"], ["new", "newer"]]


@pytest.mark.parametrize("settings", [SETTINGS, WITH_OWN_STAGE], ids=["ours", "and one"])
def test_the_largest_batch_has_operations_left_for_each_chunk_however_often_it_failed(
    settings: Settings,
) -> None:
    chunks = list(chunked(records_of(10_000, receive_count=2)))

    assert [len(chunk) for chunk in chunks[:MAX_ALONE]] == [1] * MAX_ALONE
    assert len(chunks) <= MAX_CHUNKS
    assert MAX_CHUNKS * chunk_operations(settings) + SET_ASIDE_OPERATIONS < MAX_OPERATIONS


def test_an_own_stage_stands_before_store_and_costs_an_invoke_and_a_look_at_the_clock() -> None:
    names = [[link.stage.name for link in chain(s)] for s in (SETTINGS, WITH_OWN_STAGE)]

    assert names == [
        ["validate", "transform", "store"],
        ["validate", "transform", "enrich", "store"],
    ]
    assert [chunk_operations(s) for s in (SETTINGS, WITH_OWN_STAGE)] == [7, 9]
    # Sent once, once, twice; answered by transform. The own stage is sent both, and answers one.
    states = [sum(link.states for link in chain(s)) for s in (SETTINGS, WITH_OWN_STAGE)]
    assert states == [5, 8]


@pytest.mark.parametrize("settings", [SETTINGS, WITH_OWN_STAGE], ids=["ours", "and one"])
@pytest.mark.parametrize("count", [1, 100, 1000, 10_000])
def test_no_batch_of_claim_checks_brings_an_execution_to_its_bytes(
    settings: Settings, count: int
) -> None:
    pointer: Pointer = {"bucket": "b", "key": "k"}
    chunks = list(chunked([Record(str(n), str(n), "", pointer=pointer) for n in range(count)]))

    taken = _affordable(chunks, settings)

    planned = [_state_bytes(chunk, settings) for chunk in chunks]
    assert sum(planned[:taken]) <= MAX_STATE_BYTES - SET_ASIDE_BYTES
    assert taken == len(chunks) or sum(planned[: taken + 1]) > MAX_STATE_BYTES - SET_ASIDE_BYTES
