from __future__ import annotations

import pytest

from pipelinectl.costing.charges import consumption, dollars_per_million_records
from pipelinectl.costing.patterns import patterns
from pipelinectl.costing.prices import load
from tests.unit.pipelinectl.costing.samples import DURABLE, SIZES, used

USAGE = used(10)
MEASURED = consumption(USAGE, SIZES, retention_days=7)
HERE, CHAINS, CHUNKS, RECORDS = (p.used for p in patterns(USAGE, MEASURED, SIZES, DURABLE))


def test_what_was_measured_stands_first() -> None:
    assert HERE == MEASURED


def test_a_chain_a_record_takes_31_operations_and_31_invocations_of_its_own_for_ten() -> None:
    assert CHAINS.operations == 31
    assert CHAINS.requests == 31 + 30
    assert CHAINS.gb_seconds["arm64"] == pytest.approx(31 * 0.2 / 2 + 3 * 0.2 / 4)
    assert CHAINS.bytes_written == MEASURED.bytes_written


def test_step_functions_takes_a_transition_for_each_stage_and_no_durable_function() -> None:
    assert (CHUNKS.transitions, CHUNKS.operations, CHUNKS.requests) == (3, 0, 3)
    assert (RECORDS.transitions, RECORDS.operations, RECORDS.requests) == (30, 0, 30)
    assert CHUNKS.bytes_written == RECORDS.gb_months == 0
    assert RECORDS.gb_seconds == CHUNKS.gb_seconds == {"arm64": pytest.approx(3 * 0.2 / 4)}


def test_all_are_of_the_same_records_and_chains_cost_more_than_chunks() -> None:
    assert {used.records for used in (HERE, CHAINS, CHUNKS, RECORDS)} == {10}
    prices = load()
    here, chains, _, records = (
        dollars_per_million_records(used, prices) for used in (HERE, CHAINS, CHUNKS, RECORDS)
    )
    assert here < chains
    assert here < records


def test_a_record_that_was_delivered_twice_takes_two_chains() -> None:
    twice = used(10) + used(10)
    measured = consumption(twice, SIZES, retention_days=7)

    _, chains, _, records = (p.used for p in patterns(twice, measured, SIZES, DURABLE))

    assert (chains.operations, records.transitions) == (62, 60)
    assert chains.records == 10
