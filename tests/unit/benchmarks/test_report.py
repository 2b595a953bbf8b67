"""Promises and tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.cells import Figures
from benchmarks.report import (
    OPERATIONS,
    SPEED,
    cells_table,
    costs_table,
    csv_table,
    document,
    goals,
    goals_table,
    peers_table,
)

OURS = Figures(
    side="pipeline",
    batch=10,
    concurrency=1,
    messages=50,
    stored=50,
    messages_per_second=20,
    p50=0.5,
    p95=0.6,
    p99=0.7,
    own_p50=0.4,
    own_p99=0.5,
    batch_seconds=0.5,
    operations=0.4,
    durable_invocations=0.4,
    stage_invocations=0.3,
    checkpoint_bytes=3000,
    gigabyte_seconds=0.03,
    breakdown={},
)
REFERENCE = replace(OURS, side="reference", messages_per_second=2, operations=3.1)


def test_goals_compare_the_same_cell_of_both_sides() -> None:
    found = {goal["what"]: goal for goal in goals([OURS, REFERENCE])}
    assert found[SPEED]["ratio"] == 10
    assert found[OPERATIONS]["ratio"] == pytest.approx(7.75)
    assert all(goal["met"] for goal in found.values())
    assert [what for what, goal in found.items() if goal["exact"]] == [OPERATIONS]


def test_a_goal_that_is_not_reached_is_missed() -> None:
    slow = replace(OURS, messages_per_second=9, operations=3.1)
    assert not any(goal["met"] for goal in goals([slow, REFERENCE]))


def test_there_is_no_goal_without_the_reference() -> None:
    assert list(goals([OURS, replace(REFERENCE, concurrency=5)])) == []


def test_a_cell_that_was_cut_off_says_so() -> None:
    assert "40 of 50 in time" in cells_table([replace(OURS, stored=40).as_json()])


def test_a_cell_beyond_the_quota_says_so() -> None:
    cell = {"side": "reference", "batch": 1000, "concurrency": 1, "stored": 0}
    (*_, row) = cells_table([cell]).splitlines()
    assert "exceeds the quota of 3,000 operations" in row


def test_every_row_of_a_table_has_as_many_cells_as_its_header() -> None:
    cell = {"side": "reference", "batch": 1000, "concurrency": 1, "stored": 0}
    lines = cells_table([OURS.as_json(), cell]).splitlines()
    assert len({line.count("|") for line in lines}) == 1


PEER = {
    "peer": "DBOS, SQLite",
    "batch": 1,
    "speed": {
        "messages": 100,
        "messages_per_second": 20.0,
        "p50": 0.2,
        "p99": 0.4,
        "writes": 5.0,
        "invocations": None,
    },
    "harm": {
        "kills": 9,
        "messages": 200,
        "stored": 200,
        "queued": 0,
        "dead": 0,
        "lost": 0,
        "again": 7,
        "written_again": 3,
        "seconds": 12.0,
    },
}


def test_a_peer_is_one_row_with_what_kills_did_to_it() -> None:
    header, _, row = peers_table([PEER]).splitlines()

    assert "| 5.000 |  | 9 | 200 | 0 | 7 | 3 |" in row
    assert row.count("|") == header.count("|")


def test_a_peer_for_which_there_was_no_time_says_so() -> None:
    header, _, row = peers_table([PEER | {"harm": None}]).splitlines()

    assert "not measured" in row
    assert row.count("|") == header.count("|")


def test_a_missed_goal_stands_out() -> None:
    goal = {
        "what": SPEED,
        "batch": 10,
        "concurrency": 1,
        "at_least": 5.0,
        "ratio": 4.0,
        "met": False,
    }
    assert "| 5x | 4.0x | MISSED |" in goals_table([goal])


def test_the_share_above_the_floor_is_of_our_time() -> None:
    floor = {
        "orchestrator": "floor",
        "batch": 10,
        "seconds": 0.4,
        "cpu_seconds": 0.1,
        "invokes": 3,
        "invocations": 4,
    }
    ours = floor | {"orchestrator": "pipeline", "seconds": 0.5}
    assert "| 50.00 | 20% |" in costs_table([floor, ours])


def test_a_file_that_was_not_read_to_its_end_has_no_rows() -> None:
    reading = {
        "way": "whole",
        "megabytes": 1000,
        "rows": 0,
        "rows_per_second": 0.0,
        "peak_bytes": 2e9,
    }
    assert "| 1,000 MB | whole | did not end | 0 | 2,000 MB |" in csv_table([reading])


PUBLISHED = Path(__file__).parents[3] / "docs" / "benchmarks"


def test_the_published_tables_are_those_of_the_published_figures() -> None:
    result = json.loads((PUBLISHED / "results.json").read_text("utf-8"))

    assert document(result) == (PUBLISHED / "results.md").read_text("utf-8")
