from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core import sizes
from pipelinectl.costing import forecast as forecasts
from pipelinectl.costing.charges import charges, dollars
from pipelinectl.costing.forecast import (
    MAX_CHUNK_RECORDS,
    Forecast,
    Sample,
    Volume,
    _batch,
    forecast,
)
from pipelinectl.costing.prices import load
from pipelinectl.costing.usage import Usage
from tests.unit.pipelinectl.costing.samples import DURABLE, SIZES, used

PRICES = load()


def of(records: int, batch_size: int, usage: Usage | None = None, hours: float = 24) -> Forecast:
    sample = Sample(usage or used(10), SIZES, DURABLE, retention_days=7)
    return forecast(Volume(records, batch_size, hours), sample)


def test_the_rules_are_those_of_the_pipeline() -> None:
    assert forecasts.MAX_CHUNK_RECORDS == sizes.MAX_CHUNK_RECORDS
    assert forecasts.MAX_CHUNK_BYTES == sizes.MAX_CHUNK_BYTES
    assert forecasts.MAX_CONCURRENT_CHUNKS == sizes.MAX_CONCURRENT_CHUNKS


@pytest.mark.parametrize(
    ("records", "operations"),
    [(1, 4), (100, 4), (101, 8), (1_000, 32), (1_100, 36), (10_000, 392)],
)
def test_operations_of_a_healthy_batch(records: int, operations: int) -> None:
    assert _batch(records, MAX_CHUNK_RECORDS, 1).operations == operations


def test_the_rest_of_the_records_is_a_batch_of_its_own() -> None:
    found = of(1_001, 100)

    assert found.executions == 11
    assert found.used.operations == 44
    assert found.operations_per_execution == 4


def test_what_was_measured_comes_out_again_for_its_own_volume() -> None:
    usage = used(10)

    found = of(10, 10, usage).used

    assert found.operations == usage.operation_count
    assert found.bytes_written == usage.bytes_written
    assert found.requests == usage.invocations
    assert found.gb_seconds["arm64"] == pytest.approx(0.8 / 2 + 3 * 0.2 / 4)
    assert found.queue_requests == usage.queue_requests
    assert found.write_units == usage.write_units


def test_a_stage_takes_longer_for_more_records_and_never_less_than_measured() -> None:
    one, ten, hundred = (of(100, size).used.gb_seconds["arm64"] for size in (1, 10, 100))

    assert ten == pytest.approx(10 * (0.8 / 2 + 3 * 0.2 / 4))
    assert one == pytest.approx(100 * (0.8 / 2 + 3 * 0.2 / 4))
    assert hundred == pytest.approx(0.8 / 2 + 10 * 3 * 0.2 / 4)


def test_large_bodies_make_small_chunks() -> None:
    found = of(100, 100, used(10, body_bytes=30_000))

    assert found.operations_per_execution == 1 + 3 * 10 + 1


@given(
    records=st.integers(1, 10**9),
    more=st.integers(0, 10**6),
    batch_size=st.integers(1, 10_000),
    body_bytes=st.integers(1, 1_000_000),
)
def test_more_records_never_cost_less(
    records: int, more: int, batch_size: int, body_bytes: int
) -> None:
    usage = used(10, body_bytes=body_bytes)
    fewer, most = (of(count, batch_size, usage) for count in (records, records + more))

    assert fewer.used.operations <= most.used.operations
    assert fewer.executions <= most.executions
    cheaper, dearer = (dollars(charges(found.used, PRICES)) for found in (fewer, most))
    assert cheaper <= dearer or math.isclose(cheaper, dearer)


@given(records=st.integers(1, 10**7), batch_size=st.integers(1, 10_000))
def test_a_batch_never_costs_more_operations_than_a_chain_a_record(
    records: int, batch_size: int
) -> None:
    found = of(records, batch_size)

    assert found.used.operations <= found.executions + 3 * records + 1


def warnings(records: int, batch_size: int, **options: Any) -> str:
    return "\n".join(of(records, batch_size, **options).warnings)


def test_nothing_is_warned_of_at_a_small_volume() -> None:
    assert warnings(1_000_000, 10) == ""


@given(batch_size=st.integers(1, 10_000), body_bytes=st.integers(1, 400 * 1024))
def test_no_healthy_batch_comes_near_the_quota_of_operations(
    batch_size: int, body_bytes: int
) -> None:
    found = of(10**6, batch_size, used(10, body_bytes=body_bytes))

    assert found.operations_per_execution <= 392


def test_state_near_the_quota_of_an_execution_is_warned_of() -> None:
    usage = used(10)
    heavy = Usage(**{**vars(usage), "bytes_written": 10 * 50_000})

    assert "state of an execution" in warnings(10_000, 2_000, usage=heavy)
    assert "is above the quota of 100,000,000 bytes" in warnings(10_000, 5_000, usage=heavy)


def test_starts_a_second_are_warned_of_and_depend_on_the_hours() -> None:
    a_month = 30 * 24 * 3600

    assert warnings(10 * 200 * a_month, 10) == ""
    assert "durable executions started a second: 250 is near" in warnings(10 * 250 * a_month, 10)
    assert "400 is above the quota of 300" in warnings(10 * 200 * a_month, 10, hours=12)


def test_checkpoints_a_second_are_warned_of() -> None:
    assert "checkpoints a second" in warnings(10 * 3_000 * 30 * 24 * 3600, 10)


def test_a_batch_that_does_not_fit_into_an_event_is_made_smaller_and_said() -> None:
    usage = used(10, body_bytes=10_000)

    found = of(10_000, 10_000, usage)

    assert found.batch_size == 6 * 1024 * 1024 // 10_500
    assert f"{found.batch_size:,} do" in found.warnings[-1]
