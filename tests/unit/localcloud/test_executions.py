"""Executions are listed as ListDurableExecutionsByFunction documents it."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from localcloud.executions import ExecutionError, Executions
from localcloud.journal import Journal, Pause
from localcloud.paging import MarkerError
from localcloud.settings import Settings
from localcloud.store import Store
from tests.unit.localcloud.test_paging import HAND_MADE

FUNCTION = "arn:aws:lambda:eu-central-2:000000000000:function:f"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ROWS = [
    # version, name, status, start, end; the last but one begins with the one before
    ("1", "one", "SUCCEEDED", 10.0, 11.0),
    ("1", "two", "FAILED", 20.0, 21.0),
    ("$LATEST", "three", "TIMED_OUT", 30.0, 31.0),
    ("2", "four", "RUNNING", 30.0, None),
    ("2", "five", "RUNNING", 40.0, None),
]


def arn(version: str, name: str, function: str = FUNCTION) -> str:
    return f"{function}:{version}/durable-execution/{name}/id"


def executions_file(directory: Path) -> Path:
    return Settings.from_environment({"LOCALCLOUD_DIR": str(directory)}).executions_file


@pytest.fixture
def executions(tmp_path: Path) -> Iterator[Executions]:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    settings.executions_file.parent.mkdir(exist_ok=True)
    store = Store(settings.executions_file)
    with store.connection() as connection:
        for version, name, *rest in ROWS:
            row = [arn(version, name), "f", name, *rest, "{}"]
            connection.execute("INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        other = [arn("1", "o", f"{FUNCTION}2"), "f2", "o", "SUCCEEDED", 1.0, 2.0, "{}"]
        connection.execute("INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?)", other)
    journal = Journal(store)
    journal.begin_pause(arn("2", "five"), Pause(NOON, None, None, timeout_paused=True))
    found = Executions(settings, cast("Any", None))
    yield found
    found._connection.close()
    store.close()


def names(executions: Executions, version: str | None = None, **parameters: Any) -> list[str]:
    listed = executions.listed(FUNCTION, parameters, version)["DurableExecutions"]
    return [found["DurableExecutionName"] for found in listed]


def test_an_execution_in_short(executions: Executions) -> None:
    listed = executions.listed(FUNCTION, {"DurableExecutionName": "one"}, None)
    assert listed == {
        "DurableExecutions": [
            {
                "DurableExecutionArn": arn("1", "one"),
                "DurableExecutionName": "one",
                "FunctionArn": f"{FUNCTION}:1",
                "Status": "SUCCEEDED",
                "StartTimestamp": 10.0,
                "EndTimestamp": 11.0,
            }
        ]
    }


def test_the_newest_come_first_unless_asked_otherwise(executions: Executions) -> None:
    assert names(executions) == ["five", "four", "three", "two", "one"]
    assert names(executions, ReverseOrder=True) == ["one", "two", "three", "four", "five"]


@pytest.mark.parametrize("reverse", [True, False])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_pages_have_each_execution_once(executions: Executions, reverse: bool, size: int) -> None:
    found: list[str] = []
    marker: dict[str, str] = {}
    while True:
        asked = {"MaxItems": size, "ReverseOrder": reverse} | marker
        answer = executions.listed(FUNCTION, asked, None)
        assert len(answer["DurableExecutions"]) <= size
        found += [e["DurableExecutionName"] for e in answer["DurableExecutions"]]
        if "NextMarker" not in answer:
            break
        marker = {"Marker": answer["NextMarker"]}
    assert found == names(executions, ReverseOrder=reverse)


@pytest.mark.parametrize("marker", HAND_MADE)
def test_a_marker_that_is_none_is_refused(executions: Executions, marker: str) -> None:
    with pytest.raises(MarkerError):
        names(executions, Marker=marker)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (["FAILED"], ["two"]),
        (["FAILED", "SUCCEEDED", "TIMED_OUT"], ["three", "two", "one"]),
        (["RUNNING"], ["four"]),
        (["PAUSING"], ["five"]),
        (["PAUSED"], []),
        (["DELETING"], []),
    ],
)
def test_those_of_the_statuses(
    executions: Executions, statuses: list[str], expected: list[str]
) -> None:
    assert names(executions, Statuses=statuses) == expected


@pytest.mark.parametrize(
    ("version", "expected"),
    [("1", ["two", "one"]), ("$LATEST", ["three"]), ("2", ["five", "four"]), ("9", [])],
)
def test_those_of_a_version(executions: Executions, version: str, expected: list[str]) -> None:
    assert names(executions, version) == expected


def test_those_that_started_in_a_range(executions: Executions) -> None:
    assert names(executions, StartedAfter=20.0, StartedBefore=30.0) == ["four", "three", "two"]


def test_who_waits_is_told_of_the_end(executions: Executions) -> None:
    assert asyncio.run(executions.wait(arn("1", "two"))) == "FAILED"


def test_who_waits_is_told_of_a_deletion(executions: Executions, tmp_path: Path) -> None:
    async def scenario() -> None:
        waiting = asyncio.gather(*(executions.wait(arn("2", "five")) for _ in range(2)))
        await asyncio.sleep(0)
        Journal(Store(executions_file(tmp_path))).forget(arn("2", "five"))
        with pytest.raises(ExecutionError, match="There is no durable execution") as caught:
            await waiting
        assert caught.value.says_there_is_none
        assert await executions.wait(arn("1", "one")) == "SUCCEEDED"

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_before_the_runner_has_made_its_table_there_is_none(tmp_path: Path) -> None:
    settings = Settings.from_environment({"LOCALCLOUD_DIR": str(tmp_path)})
    settings.executions_file.parent.mkdir(parents=True, exist_ok=True)
    found = Executions(settings, cast("Any", None))
    assert found.find(arn("1", "one")) is None
    assert found.listed(FUNCTION, {}, None) == {"DurableExecutions": []}
    found._connection.close()


def test_a_record_that_cannot_be_read_is_no_empty_one(
    executions: Executions, tmp_path: Path
) -> None:
    with sqlite3.connect(executions_file(tmp_path)) as connection:
        connection.execute("ALTER TABLE executions RENAME COLUMN status TO other")
    connection.close()
    for ask in (
        lambda: executions.listed(FUNCTION, {}, None),
        lambda: asyncio.run(asyncio.wait_for(executions.wait(arn("1", "one")), 60)),
    ):
        with pytest.raises(sqlite3.OperationalError, match="status"):
            ask()


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"ReverseOrder": True},
        {"Statuses": ["RUNNING", "PAUSED"]},
        {"Statuses": ["FAILED", "SUCCEEDED"]},
        {"DurableExecutionName": "more-7"},
        {"StartedAfter": 5.0},
    ],
)
def test_a_list_takes_no_more_work_with_more_executions_behind_it(
    executions: Executions, tmp_path: Path, asked: dict[str, Any]
) -> None:
    work: list[int] = []
    executions._connection.set_progress_handler(lambda: work.append(1), 1)
    counts = []
    for begin, end in ((0, 100), (100, 3000)):
        with sqlite3.connect(executions_file(tmp_path)) as connection:
            for number in range(begin, end):
                row = [arn("2", f"more-{number}"), "f", f"more-{number}", "SUCCEEDED"]
                row += [float(number), number + 1.0, "{}"]  # type: ignore[list-item]  # of a row
                connection.execute("INSERT INTO executions VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        connection.close()
        work.clear()
        names(executions, MaxItems=10, **asked)
        counts.append(len(work))
    assert counts[1] < 2 * counts[0]
