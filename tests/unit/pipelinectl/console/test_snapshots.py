"""What is kept of answers that take long, and when it is asked for again."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pipelinectl.console.snapshots import DEFECT, FIRST_WAIT_SECONDS, Snapshot
from pipelinectl.errors import UnreachableError

PATIENCE = 600.0


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Source:
    """Answers with how often it was asked, or raises what is in `error`."""

    error: Exception | None = None
    asked: int = 0
    wait_for: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.wait_for.set()

    def __call__(self, _: Callable[[], bool]) -> int:
        assert self.wait_for.wait(PATIENCE)
        self.asked += 1
        if self.error:
            raise self.error
        return self.asked


def settled(snapshot: Snapshot[int]) -> None:
    if thread := snapshot._thread:
        thread.join(PATIENCE)


def test_the_first_look_waits_for_an_answer_that_comes_soon() -> None:
    assert Snapshot(Source(), 60).look(PATIENCE).value == 1


def test_a_look_does_not_wait_for_one_that_takes_long() -> None:
    source = Source()
    source.wait_for.clear()
    snapshot = Snapshot(source, 60)

    seen = snapshot.look(FIRST_WAIT_SECONDS / 100)

    assert (seen.value, seen.asking) == (None, True)
    source.wait_for.set()
    settled(snapshot)
    assert snapshot.look().value == 1


def test_an_answer_is_kept_until_it_is_old() -> None:
    clock, source = Clock(), Source()
    snapshot = Snapshot(source, 60, clock=clock)
    snapshot.look(PATIENCE)

    clock.now = 59
    assert snapshot.look().value == 1
    assert source.asked == 1

    clock.now = 60
    assert snapshot.look().value == 1  # the old one is shown while the new one is asked for
    settled(snapshot)
    assert snapshot.look().value == 2


def test_news_makes_an_answer_old_but_not_at_once() -> None:
    clock, source = Clock(), Source()
    snapshot = Snapshot(source, 60, stale=lambda _: True, soonest=5, clock=clock)
    snapshot.look(PATIENCE)

    clock.now = 4
    snapshot.look()
    settled(snapshot)
    assert source.asked == 1

    clock.now = 5
    snapshot.look()
    settled(snapshot)
    assert source.asked == 2


def test_asking_takes_a_small_share_of_the_time() -> None:
    clock = Clock()

    def slow(_: Callable[[], bool]) -> int:
        clock.now += 30
        return 1

    snapshot = Snapshot(slow, 60, clock=clock)
    snapshot.look(PATIENCE)
    settled(snapshot)

    clock.now = 299
    assert not snapshot.look().asking
    clock.now = 300
    snapshot.look()
    settled(snapshot)
    assert clock.now == 330


def test_what_was_known_stays_when_asking_fails() -> None:
    clock, source = Clock(), Source()
    snapshot = Snapshot(source, 60, clock=clock)
    snapshot.look(PATIENCE)
    source.error = UnreachableError("nobody answers: start it")

    snapshot.refresh()
    settled(snapshot)
    seen = snapshot.look()

    assert (seen.value, seen.error) == (1, "nobody answers: start it")

    source.error = None
    snapshot.refresh()
    settled(snapshot)
    assert snapshot.look().error == ""


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_defect_does_not_pass_for_an_answer_that_is_on_its_way() -> None:
    snapshot = Snapshot(Source(error=ZeroDivisionError()), 60)

    seen = snapshot.look(PATIENCE)

    assert (seen.value, seen.asking, seen.error) == (None, False, DEFECT)


def test_a_correction_holds_until_the_next_answer() -> None:
    source = Source()
    snapshot = Snapshot(source, 60)
    snapshot.look(PATIENCE)

    snapshot.correct(lambda known: known + 40)
    assert snapshot.look().value == 41

    snapshot.refresh()
    settled(snapshot)
    assert snapshot.look().value == 2


def test_nobody_is_asked_after_the_end() -> None:
    source = Source()
    snapshot = Snapshot(source, 60)
    snapshot.stop(PATIENCE)

    assert snapshot.look().value is None
    assert source.asked == 0


def test_a_failure_that_is_raised_again_and_again_gets_no_longer() -> None:
    snapshot = Snapshot(Source(error=UnreachableError("nobody answers: start it")), 60)
    lengths = []
    for _ in range(5):
        failure = snapshot.look(PATIENCE).failure_again
        assert failure is not None
        with pytest.raises(UnreachableError) as raised:
            raise failure
        lengths.append(len(raised.traceback))

    assert len(set(lengths)) == 1
