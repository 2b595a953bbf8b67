"""From executions to figures."""

from __future__ import annotations

import pytest

from benchmarks.cells import (
    BenchmarkError,
    Load,
    billed,
    body,
    exceeds_quota,
    figures_of,
    percentile,
)
from benchmarks.histories import Run


def run(begun: float, stored: list[float], *, settled: float = 0.0, succeeded: bool = True) -> Run:
    operations = 4
    return Run(
        started_at=begun,
        ended_at=max(stored, default=begun) + settled,
        succeeded=succeeded,
        operations=operations,
        durable_invocations=operations,
        stage_invocations=operations - 1,
        phases={"store": 1.0, "suspending": 0.5},
        bytes=1000,
        stored={f"{begun}-{number}": at for number, at in enumerate(stored)},
    )


@pytest.mark.parametrize(
    ("values", "rank", "value"),
    [
        ([1.0], 50, 1.0),
        ([1.0, 2.0], 50, 1.0),
        ([1.0, 2.0, 3.0], 50, 2.0),
        ([float(n) for n in range(1, 101)], 95, 95.0),
        ([float(n) for n in range(1, 101)], 99, 99.0),
        ([1.0, 2.0, 3.0], 99, 3.0),
    ],
)
def test_a_percentile_is_the_nearest_of_the_values(
    values: list[float], rank: float, value: float
) -> None:
    assert percentile(values, rank) == value


def test_batches_that_overlap_are_timed_from_the_first_to_the_last_message() -> None:
    figures = figures_of("side", Load(2, 5, 4), [[run(10, [12, 12]), run(11, [14, 14])]], 8)
    assert figures.messages_per_second == 4 / (14 - 10)
    assert (figures.p50, figures.p99) == (2, 4)
    assert (figures.own_p50, figures.own_p99) == (2, 3)


def test_batches_one_at_a_time_are_timed_without_the_time_between_them() -> None:
    rounds = [[run(10, [12, 12])], [run(100, [104, 104])]]
    figures = figures_of("side", Load(2, 1, 4), rounds, 8)
    assert figures.messages_per_second == 4 / (2 + 4)
    assert (figures.p50, figures.p99) == (2, 4)


def test_a_batch_takes_until_its_execution_has_ended() -> None:
    figures = figures_of("side", Load(2, 1, 2), [[run(10, [12, 12], settled=2)]], 8)
    assert figures.messages_per_second == 2 / 4
    assert figures.p99 == 2


def test_a_batch_that_was_stopped_takes_until_its_last_message_was_stored() -> None:
    stopped = run(10, [12, 12], settled=2, succeeded=False)
    assert figures_of("side", Load(4, 1, 4), [[stopped]], 8).messages_per_second == 2 / 2


def test_costs_are_those_of_a_message() -> None:
    figures = figures_of("side", Load(10, 1, 10), [[run(0, [1.0] * 10)]], 5)
    assert figures.operations == 0.4
    assert figures.durable_invocations == 0.4
    assert figures.stage_invocations == 0.3
    assert figures.checkpoint_bytes == 100
    assert figures.gigabyte_seconds == 0.5


def test_a_load_that_was_not_done_in_time_is_cut_off() -> None:
    figures = figures_of("side", Load(10, 1, 10), [[run(0, [1.0] * 9)]], 5)
    assert figures.as_json()["cut_off"] is True


def test_a_side_that_stored_nothing_has_no_figures() -> None:
    with pytest.raises(BenchmarkError, match="nothing was stored"):
        figures_of("side", Load(10, 1, 10), [[run(0, [])]], 5)


def test_one_batch_at_a_time_means_one_in_the_queue() -> None:
    assert Load(10, 1, 25).rounds == [10, 10, 5]
    assert Load(10, 5, 25).rounds == [25]


def test_999_records_with_three_operations_each_are_the_most() -> None:
    assert not exceeds_quota(999, 3)
    assert exceeds_quota(1000, 3)


def test_billed_is_time_times_memory_of_the_report_lines() -> None:
    report = "REPORT RequestId: 1\tDuration: 9 ms\tBilled Duration: {} ms\tMemory Size: {} MB\t"
    messages = [report.format(2000, 512), "START RequestId: 2", report.format("500", 256)]
    assert billed(messages) == 2 * 0.5 + 0.5 * 0.25


def test_messages_differ() -> None:
    assert len({body(number) for number in range(100)}) == 100
