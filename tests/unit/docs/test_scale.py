"""The page on growth: its sample, and what it says of each rate."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from docs import scale
from pipelinectl.cost import Calls, Usage

USED = Usage(
    executions=2,
    operations=Counter({"execution": 2, "chained invoke": 6}),
    bytes_written=1000,
    byte_seconds=2000.0,
    calls={"stack-durable-pipeline": Calls(8, 1.6), "stack-store": Calls(2, 0.2)},
    documents=Counter({"a": 1, "b": 1}),
    event_bytes=500,
    travelling_bytes=400,
    queue_requests=6,
    write_units=2,
)


def test_a_sample_is_read_as_it_was_saved() -> None:
    saved: dict[str, Any] = json.loads(json.dumps(scale.saved(USED, "stack")))

    read = scale.usage_in(saved)

    assert (read.operations, read.deliveries) == (USED.operations, 2)
    assert read.calls == {"durable-pipeline": Calls(8, 1.6), "store": Calls(2, 0.2)}
    assert (read.bytes_written, read.write_units) == (1000, 2)


def test_the_first_quota_that_is_met_is_the_scarcest() -> None:
    for rate in scale.RATES:
        found = scale.needs_of(rate, 10)
        assert found == sorted(found, key=lambda need: -need.share)


def test_needs_grow_with_the_rate() -> None:
    by_rate = [{n.quota.name: n.needed for n in scale.needs_of(r, 100)} for r in (10, 1000)]

    assert all(by_rate[1][name] > 50 * by_rate[0][name] for name in by_rate[0])


def test_what_is_asked_for_is_no_less_than_what_is_needed() -> None:
    assert [scale.rounded_up(value) for value in (1001, 1234.5, 99_999, 7.2)] == [
        1100,
        1300,
        100_000,
        8,
    ]
