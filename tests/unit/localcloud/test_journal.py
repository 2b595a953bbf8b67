"""What the runner's own record leaves out is kept beside it, and goes with its execution."""

from __future__ import annotations

import json
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
        query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name GLOB 'localcloud_*'"
        tables = [name for (name,) in connection.execute(query)]
        assert len(tables) == 4
        for table in tables:
            assert connection.execute(f"SELECT arn FROM {table}").fetchall() == [("other",)]  # noqa: S608 - its own tables


def ended(
    journal: Journal, arn: str, end: datetime | None, *, days: int = 7, size: int = 0
) -> None:
    data = {"StartInput": {"ExecutionRetentionPeriodDays": days}, "Text": "x" * size}
    with journal._store.connection() as connection:
        connection.execute(
            "INSERT INTO executions VALUES (?, 'f', ?, ?, ?, ?, ?)",
            [
                *(arn, arn, "SUCCEEDED" if end else "RUNNING", NOON.timestamp()),
                *(end and end.timestamp(), json.dumps(data)),
            ],
        )


def left(journal: Journal) -> set[str]:
    return {arn for (arn,) in journal._read("SELECT durable_execution_arn FROM executions", [])}


def test_executions_are_kept_for_as_long_as_their_functions_say(journal: Journal) -> None:
    ended(journal, "a day", NOON, days=1)
    ended(journal, "a week", NOON)
    ended(journal, "running", None, days=1)
    assert journal.forget_expired(NOON + timedelta(days=1)) == 0
    assert journal.forget_expired(NOON + timedelta(days=1, seconds=1)) == 1
    assert left(journal) == {"a week", "running"}
    assert journal.forget_expired(NOON + timedelta(days=300)) == 1
    assert left(journal) == {"running"}


def test_all_that_are_expired_go_whatever_is_between_them(journal: Journal) -> None:
    for number in range(350):
        ended(journal, str(number), at(number // 50), days=1 if number % 3 else 30)
    assert journal.forget_expired(NOON + timedelta(days=2)) == sum(n % 3 > 0 for n in range(350))
    assert left(journal) == {str(number) for number in range(0, 350, 3)}


def test_the_newest_stay_and_what_runs(journal: Journal) -> None:
    ended(journal, "running", None)
    for number in range(250):
        ended(journal, str(number), at(number))
        journal.note_asynchronous(str(number))
    assert journal.forget_old(3, 10**9) == 247
    assert left(journal) == {"running", "247", "248", "249"}
    assert not journal.is_asynchronous("0")
    assert journal.forget_old(3, 10**9) == 0


def test_they_stay_if_there_is_room(journal: Journal) -> None:
    ended(journal, "running", None, size=10**5)
    for number in range(250):
        ended(journal, str(number), at(number), size=10**4)
    before = journal._store.used_bytes()
    assert before > 250 * 10**4
    went = journal.forget_old(1000, before // 2)
    assert 100 <= went < 250
    assert journal._store.used_bytes() <= before // 2
    assert left(journal) == {"running", *(str(number) for number in range(went, 250))}
    journal.forget_old(1000, 0)
    assert left(journal) == {"running"}, "what runs is not there to be forgotten"
