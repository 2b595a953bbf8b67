from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.chunks import MAX_CHUNK_BYTES, MAX_CHUNK_RECORDS, chunked
from durable_pipeline.records import Record, travelling_size
from shared.objects import Pointer

sizes = st.lists(st.integers(0, MAX_CHUNK_BYTES), max_size=300)


@given(sizes)
def test_chunks_are_all_records_in_order_and_within_bounds(lengths: list[int]) -> None:
    records = [Record(str(n), str(n), "", content="x" * length) for n, length in enumerate(lengths)]

    chunks = list(chunked(records))

    assert [record for chunk in chunks for record in chunk] == records
    for chunk in chunks:
        assert 1 <= len(chunk) <= MAX_CHUNK_RECORDS
        assert sum(map(travelling_size, chunk)) <= MAX_CHUNK_BYTES


def test_small_records_fill_a_chunk() -> None:
    records = [Record(str(n), str(n), "", content="{}") for n in range(1000)]

    assert [len(chunk) for chunk in chunked(records)] == [MAX_CHUNK_RECORDS] * 10


def test_documents_in_s3_count_for_what_may_travel_of_them() -> None:
    pointer: Pointer = {"bucket": "input", "key": "a.json", "size": 10_000_000}
    records = [Record(str(n), str(n), "", pointer=pointer) for n in range(30)]

    chunks = list(chunked(records))

    assert [len(chunk) for chunk in chunks] == [12, 12, 6]
