"""What a batch took, added up from its parts."""

from __future__ import annotations

from datetime import UTC, datetime

from durable_pipeline.tally import Tally

EARLY, LATE = (datetime(2026, 3, 1, hour, tzinfo=UTC) for hour in (8, 9))


def test_only_what_comes_after_the_first_attempt_is_a_retry() -> None:
    tally = Tally()

    for attempt in (1, 2, 3, 1):
        tally.invoked(attempt)

    assert (tally.invokes, tally.retries) == (4, 2)


def test_parts_add_up_and_the_latest_of_their_times_counts() -> None:
    whole = Tally(1, 0, 0, 0, LATE)

    whole.add(Tally(3, 2, 1, 0, EARLY))
    whole.add(Tally(1))

    assert whole == Tally(5, 2, 1, 0, LATE)


def test_the_latest_answer_counts_in_whatever_order_they_come() -> None:
    tally = Tally()

    for text in ("2026-03-01T09:00:00Z", "2026-03-01T10:00:00+02:00"):
        tally.learn(text)

    assert tally.until == LATE
