from __future__ import annotations

import pytest

from pipelinectl.costing.charges import (
    Consumption,
    charges,
    consumption,
    dollars,
    dollars_per_million_records,
)
from pipelinectl.costing.prices import load
from tests.unit.pipelinectl.costing.samples import DURABLE, SIZES, used

PRICES = load()


def test_the_bill_is_that_of_the_example_on_the_price_page() -> None:
    """A million claims: 4 operations and 104 KB each, 7 days of waiting, kept for 14 days more.

    https://aws.amazon.com/lambda/pricing/ without its free tier.
    """
    written = 104 * 10**9
    example = Consumption(
        records=1_000_000,
        operations=4_000_000,
        bytes_written=written,
        gb_months=104 * 7 / 30 + 104 * 14 / 30,
        requests=2_000_000,
        gb_seconds={"arm64": 32_000_000},
    )

    bill = {line.name: round(line.dollars, 2) for line in charges(example, PRICES)}

    assert bill == {
        "durable operations": 32.00,
        "data written": 26.00,
        "data retained": 10.92,
        "Lambda requests": 0.40,
        "Lambda compute, arm64": 426.67,
    }
    assert dollars_per_million_records(example, PRICES) == pytest.approx(495.99, abs=0.01)


def test_what_is_used_is_charged_by_memory_and_kept_for_its_retention() -> None:
    usage = used(10)

    found = consumption(usage, SIZES, retention_days=30)

    assert found.records == 10
    assert found.requests == 7
    assert found.gb_seconds == {"arm64": pytest.approx(0.8 / 2 + 3 * 0.2 / 4)}
    running = usage.byte_seconds / 1e9 / 86_400 / 30
    assert found.gb_months == pytest.approx(usage.bytes_written / 1e9 + running)


def test_architectures_are_charged_apart() -> None:
    mixed = SIZES | {DURABLE: type(SIZES[DURABLE])(1024, "x86_64")}

    found = consumption(used(10), mixed, retention_days=7)

    assert sorted(found.gb_seconds) == ["arm64", "x86_64"]
    assert found.gb_seconds["x86_64"] == pytest.approx(0.8)


def test_lines_of_nothing_are_left_out_and_what_is_estimated_says_so() -> None:
    lines = {line.name: line for line in charges(Consumption(1, operations=1), PRICES)}

    assert list(lines) == ["durable operations"]
    estimated = {
        line.name for line in charges(consumption(used(), SIZES, 7), PRICES) if line.estimated
    }
    assert estimated == {
        "data retained",
        "Lambda compute, arm64",
        "SQS requests",
        "DynamoDB write units",
    }


def test_the_sum_is_that_of_the_lines() -> None:
    lines = charges(Consumption(1, operations=1_000_000, requests=1_000_000), PRICES)

    assert dollars(lines) == pytest.approx(8.20)
