"""What the runner's own record leaves out is kept beside it, and goes with its execution."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from localcloud.journal import Journal, Pause
from localcloud.store import Store

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ASKED = Pause(NOON, "token", "reason", timeout_paused=True)


def at(seconds: int) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "executions"


@pytest.fixture
def journal(file: Path) -> Journal:
    return Journal(Store(file))


def test_failures_are_known_by_their_requests(journal: Journal, file: Path) -> None:
    journal.note_failure("arn", "request", {"ErrorType": "T"})
    journal.note_failure("other", "request", {"ErrorType": "U"})
    assert Journal(Store(file)).failures("arn") == {"request": {"ErrorType": "T"}}


def test_versions_are_known_by_the_operations_that_invoked_them(journal: Journal) -> None:
    journal.note_version("arn", "operation", "3")
    assert journal.versions("arn") == {"operation": "3"}
    assert journal.versions("other") == {}


def test_who_is_waited_for_is_not_asynchronous(journal: Journal) -> None:
    journal.note_asynchronous("arn")
    assert journal.is_asynchronous("arn")
    assert not journal.is_asynchronous("other")


def test_a_pause_goes_from_pausing_to_paused_to_over(journal: Journal) -> None:
    journal.begin_pause("arn", ASKED)
    assert [pause.status for pause in journal.pauses("arn")] == ["PAUSING"]
    journal.settle_pause("arn", at(1))
    assert [pause.status for pause in journal.pauses("arn")] == ["PAUSED"]
    journal.end_pause("arn", at(5), "other", "enough")
    assert journal.pauses("arn") == [
        replace(ASKED, paused=at(1), resumed=at(5), resume_token="other", resume_reason="enough")
    ]
    assert journal.pauses("arn")[0].status is None
    journal.settle_pause("arn", at(9))
    assert journal.pauses("arn")[0].paused == at(1), "it was over"


def test_a_pause_that_is_called_off_before_it_began_never_was(journal: Journal) -> None:
    journal.begin_pause("arn", ASKED)
    journal.end_pause("arn", at(1), None, None)
    assert journal.pauses("arn") == []


def test_a_pause_puts_off_the_end_only_if_it_is_to() -> None:
    held = Pause(NOON, None, None, timeout_paused=True, paused=at(1), resumed=at(5))
    assert held.held_up(at(100)) == 4
    assert Pause(NOON, None, None, timeout_paused=True, paused=at(1)).held_up(at(3)) == 2
    assert Pause(NOON, None, None, timeout_paused=False, paused=at(1)).held_up(at(3)) == 0


def test_what_is_forgotten_leaves_nothing(journal: Journal, file: Path) -> None:
    for arn in ("arn", "other"):
        journal.note_failure(arn, "request", {})
        journal.note_version(arn, "operation", "1")
        journal.note_asynchronous(arn)
        journal.begin_pause(arn, ASKED)
    journal.forget("arn")
    with sqlite3.connect(file) as connection:
        names = [n for (n,) in connection.execute("SELECT name FROM sqlite_master") if n]
        tables = [
            n for n in names if n.startswith("localcloud_") and not n.endswith(("_arn", "name"))
        ]
        assert len(tables) == 4
        for table in tables:
            assert connection.execute(f"SELECT arn FROM {table}").fetchall() == [("other",)]  # noqa: S608 - its own tables
