"""What is compared, and that one that fails does not take the others along."""

from __future__ import annotations

import time
from typing import Any

import pytest

from benchmarks import comparison
from benchmarks.cells import DBOS, PIPELINE, BenchmarkError, Figures
from benchmarks.peers import AT_ONCE, Harm, Speed
from tests import postgres
from tests.unit.benchmarks.test_report import OURS

SPEED = Speed(100, 20.0, 0.1, 0.2, 5.0, None)
HARM = Harm(8, 160, 160, 0, 0, 0, 3, 1, 9.0)


def rows(figures: list[Figures], seconds: float = 10_000) -> tuple[list[dict[str, Any]], list[str]]:
    said: list[str] = []
    nothing: Any = None
    sides = dict.fromkeys((candidate.name for candidate in comparison.CANDIDATES), nothing)
    found = comparison.rows(sides, figures, time.monotonic() + seconds, said.append)
    return found, said


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Postgres, no local cloud."""
    monkeypatch.setattr(postgres, "find", lambda: None)
    monkeypatch.setattr(comparison, "_peer", lambda candidate, *_: candidate)
    monkeypatch.setattr(comparison, "measure_harm", lambda *_: HARM)
    monkeypatch.setattr(comparison, "measure_alone", lambda *_: SPEED)


def test_the_pipeline_comes_first_and_its_speed_is_that_of_its_cell() -> None:
    ours = Figures(**(vars(OURS) | {"concurrency": AT_ONCE, "messages_per_second": 44.0}))

    found, _ = rows([ours])

    assert (found[0]["name"], found[0]["batch"]) == (PIPELINE, 10)
    assert found[0]["speed"]["messages_per_second"] == 44.0
    assert found[0]["harm"]["again"] == 3


def test_without_postgres_it_says_so_and_measures_the_others() -> None:
    found, said = rows([])

    assert {row["database"] for row in found if row["name"] == DBOS} == {comparison.SQLITE}
    assert "Postgres is left out" in said[0]


def test_one_that_fails_is_left_out_and_the_others_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(peer: comparison.Candidate, *_: object) -> Speed:
        if peer.chunk == 1:
            raise BenchmarkError("nothing was stored in time")
        return SPEED

    monkeypatch.setattr(comparison, "measure_alone", fail)

    found, said = rows([])

    assert [row["batch"] for row in found if row["name"] == DBOS] == [100]
    assert "  left out: nothing was stored in time" in said


def test_what_there_is_no_time_for_is_left_out() -> None:
    found, said = rows([], seconds=0)

    assert found == []
    assert "  left out: the time is used up" in said
