from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.containment import MAX_PAYLOAD_BYTES, Budget, parts
from shared.contracts import StageRecord


@given(st.lists(st.integers(0, MAX_PAYLOAD_BYTES // 2), max_size=30))
def test_parts_are_all_records_in_order_and_fit_an_invoke(lengths: list[int]) -> None:
    records: list[StageRecord] = [
        {"id": str(n), "body": "x" * length} for n, length in enumerate(lengths)
    ]

    cut = list(parts(records))

    assert [record for _, part in cut for record in part] == records
    assert [start for start, _ in cut] == [int(part[0]["id"]) for _, part in cut]
    for _, part in cut:
        assert len(json.dumps({"records": part})) < 1024 * 1024


def test_what_is_escaped_counts_as_it_is_sent() -> None:
    records: list[StageRecord] = [{"id": str(n), "body": "ß" * 100_000} for n in range(2)]

    assert len(list(parts(records))) == 2


def test_a_budget_allows_what_it_has_and_no_more() -> None:
    budget = Budget(3)

    assert [budget.take(2), budget.take(2), budget.take(1)] == [True, False, True]
