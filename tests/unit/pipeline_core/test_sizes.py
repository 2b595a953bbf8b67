import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.sizes import batches, checkpoint_size

SIZES = st.lists(st.integers(min_value=1, max_value=100))


def cut(sizes: list[int], *, max_entries: int = 10, max_bytes: int = 100) -> list[list[int]]:
    return list(batches(sizes, int, max_bytes=max_bytes, max_entries=max_entries))


@given(SIZES)
def test_nothing_is_lost_and_the_order_is_kept(sizes: list[int]) -> None:
    assert [size for batch in cut(sizes) for size in batch] == sizes


@given(SIZES)
def test_no_batch_breaks_a_limit_and_none_is_empty(sizes: list[int]) -> None:
    for batch in cut(sizes):
        assert 1 <= len(batch) <= 10
        assert sum(batch) <= 100


@given(SIZES)
def test_a_batch_is_closed_only_when_the_next_entry_does_not_fit(sizes: list[int]) -> None:
    cuts = cut(sizes)
    for batch, following in itertools.pairwise(cuts):
        assert len(batch) == 10 or sum(batch) + following[0] > 100


def test_an_entry_beyond_the_limit_stands_alone() -> None:
    assert cut([1, 500, 1]) == [[1], [500], [1]]


RECORDS = st.lists(st.fixed_dictionaries({"id": st.text(), "body": st.text()}))


@given(RECORDS)
def test_records_measured_together_come_to_no_less_than_apart(
    records: list[dict[str, str]],
) -> None:
    together = checkpoint_size(records) + len(records)

    assert together >= sum(checkpoint_size(record) for record in records)


@given(st.text())
def test_a_text_counts_as_json_in_json(text: str) -> None:
    encoded = json.dumps(text, ensure_ascii=False)

    assert checkpoint_size(text) == len(json.dumps(encoded))
