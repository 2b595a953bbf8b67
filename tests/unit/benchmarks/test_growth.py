"""The first round and the last are compared, and what grew is named."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import pytest

from benchmarks.growth import Round, checks, report

FLAT = Round(
    messages=1000,
    seconds=10.0,
    cpu_seconds=8.0,
    memory_mb={"runner": 70.0, "workers": 500.0},
    handles={"runner": 30},
    threads={"runner": 20},
    store_mb=20.0,
    disk_mb=100.0,
    list_ms=5.0,
)
TIMINGS = {"the console's executions": (40.0, 50.0)}


def broken(*rounds: Round, timings: dict[str, tuple[float, float]] = TIMINGS) -> list[str]:
    return [check.what for check in checks([FLAT, *rounds], timings) if not check.kept]


def test_what_stays_as_it_is_keeps_all_promises() -> None:
    slightly_more = replace(FLAT, seconds=11.0, memory_mb={"runner": 75.0, "workers": 500.0})
    assert broken(FLAT, FLAT, slightly_more) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seconds": 20.0, "cpu_seconds": 16.0}, ["messages a second"]),
        ({"memory_mb": {"runner": 120.0, "workers": 500.0}}, ["MB of runner"]),
        ({"handles": {"runner": 300}}, ["file handles of runner"]),
        ({"store_mb": 200.0}, ["MB of executions"]),
        ({"list_ms": 100.0}, ["ms of a list"]),
    ],
)
def test_what_grows_is_named(change: dict[str, Any], named: list[str]) -> None:
    assert broken(FLAT, FLAT, replace(FLAT, **change)) == named


def test_a_round_is_not_slow_because_others_use_the_machine() -> None:
    assert broken(FLAT, FLAT, replace(FLAT, seconds=20.0)) == []


def test_a_page_that_takes_longer_with_many_executions_is_named() -> None:
    slow = {"the console's executions": (40.0, 400.0)}
    (what,) = broken(FLAT, FLAT, FLAT, timings=slow)
    assert what.startswith("ms of the console's executions, 50,000")


def test_the_page_has_each_round_and_each_promise() -> None:
    rounds = [FLAT, FLAT, FLAT, replace(FLAT, store_mb=200.0)]
    page = report(
        {
            "machine": {"cores": 2, "processor": "x", "load": 1.5},
            "python": "3.11",
            "batch": 10,
            "concurrency": 5,
            "kept": 100,
            "rounds": [
                asdict(one) | {"messages_per_second": 100.0, "cpu_ms": 8.0} for one in rounds
            ],
            "timings": TIMINGS,
            "checks": [asdict(check) for check in checks(rounds, TIMINGS)],
        }
    )
    assert "4,000 messages in batches of 10" in page
    assert "| 4,000 | 100.0 | 8.0 | 70 | 500 | 30 | 20 | 200.0 | 100 | 5.0 |" in page
    assert "| MB of executions | 20.0 | 200.0 | broken |" in page
    assert "| ms of a list | 5.0 | 5.0 | kept |" in page
