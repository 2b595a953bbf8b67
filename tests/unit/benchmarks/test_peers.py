"""What was noted, and what became of messages under kills, counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.cells import DBOS, PLAIN, BenchmarkError, Side
from benchmarks.peers import Dbos, Effects, Found, Functions, Noted, harm_of, speed_of
from benchmarks.reference.src.effects import note

STAGES = ("validate", "transform", "store")


def side(name: str, effects: Path) -> Side:
    nothing: Any = None
    return Side(name, nothing, "queue", "", "table", "message_id", "dead", effects)


def once(*ids: str) -> list[Noted]:
    return [Noted(1.0, stage, id_) for id_ in ids for stage in STAGES]


def found(*stored: str, dead: str = "", queued: int = 0) -> Found:
    return Found(frozenset(stored), frozenset(dead.split()), queued)


def test_what_was_noted_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "effects"
    monkeypatch.setenv("EFFECTS", str(path))
    note("store", "before")
    later = Effects(side(PLAIN, path), now=True)

    note("store", "m-1")

    assert [(n.what, n.message_id) for n in later.noted()] == [("store", "m-1")]
    assert len(Effects(side(PLAIN, path)).noted()) == 2


def test_nothing_is_noted_where_nobody_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EFFECTS", raising=False)

    note("store", "m-1")  # and does not fail for want of a file


def test_nothing_is_lost_or_done_again_if_each_was_done_once() -> None:
    harm = harm_of({"a", "b"}, once("a", "b"), found("a", "b"), kills=3, seconds=9.0)

    assert (harm.messages, harm.stored, harm.kills) == (2, 2, 3)
    assert (harm.lost, harm.again, harm.written_again) == (0, 0, 0)


def test_a_message_that_is_nowhere_is_lost() -> None:
    harm = harm_of({"a", "b"}, once("a"), found("a"), 1, 1.0)

    assert harm.lost == 1


def test_a_message_that_waits_is_not_lost() -> None:
    harm = harm_of({"a", "b", "c"}, once("a"), found("a", dead="b", queued=1), 1, 1.0)

    assert (harm.lost, harm.dead, harm.queued) == (0, 1, 1)


def test_messages_of_others_do_not_make_up_for_one_that_is_lost() -> None:
    harm = harm_of({"a"}, once("x", "x"), found("x", dead="y"), 1, 1.0)

    assert (harm.lost, harm.stored, harm.dead, harm.again) == (1, 0, 0, 0)


def test_a_message_counts_once_however_many_stages_did_it_again() -> None:
    noted = [*once("a", "b"), Noted(2.0, "validate", "a"), Noted(2.0, "transform", "a")]
    harm = harm_of({"a", "b"}, noted, found("a", "b"), 1, 1.0)

    assert (harm.again, harm.written_again) == (1, 0)


def test_an_item_that_was_taken_twice_was_written_again() -> None:
    harm = harm_of({"a"}, [*once("a"), Noted(2.0, "store", "a")], found("a"), 1, 1.0)

    assert (harm.again, harm.written_again) == (1, 1)


def test_seconds_count_from_when_a_messages_own_batch_was_taken(tmp_path: Path) -> None:
    noted = [
        *(Noted(10.0, "invoke", "-"), Noted(10.0, "take", "a"), Noted(11.0, "store", "a")),
        *(Noted(11.0, "invoke", "-"), Noted(11.0, "take", "b"), Noted(14.0, "store", "b")),
    ]
    speed = speed_of(Functions(side(PLAIN, tmp_path), PLAIN, 1), noted)

    assert (speed.p50, speed.p99) == (1.0, 3.0)
    assert speed.messages_per_second == 2 / 4
    assert (speed.invocations, speed.writes) == (1.0, 0.0)


def test_it_is_an_error_if_nothing_was_stored(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkError, match="nothing was stored"):
        speed_of(Functions(side(PLAIN, tmp_path), PLAIN, 1), [Noted(10.0, "take", "a")])


def test_dbos_has_commits_and_no_invocations(tmp_path: Path) -> None:
    noted = [
        *(Noted(10.0, "take", "a"), Noted(10.5, "commit", "-"), Noted(11.0, "store", "a")),
        Noted(11.5, "commit", "-"),
    ]
    speed = speed_of(Dbos(side(DBOS, tmp_path), DBOS, 1, 10, "sqlite://"), noted)

    assert (speed.writes, speed.invocations) == (2.0, None)
