"""The whole ends in time, whatever the machine."""

from __future__ import annotations

from benchmarks.__main__ import STOPPING_SECONDS, within
from benchmarks.cells import Load


def test_a_load_for_which_there_is_time_stays_as_it_is() -> None:
    load = Load(10, 1, 50, seconds=60, warm_up=10)
    assert within(load, 500) == load


def test_a_load_and_its_warm_up_share_what_is_left() -> None:
    bounded = within(Load(10, 1, 50, seconds=60, warm_up=10), STOPPING_SECONDS + 80)
    assert bounded is not None
    assert bounded.seconds == 40


def test_a_load_for_which_there_is_no_time_is_left_out() -> None:
    assert within(Load(10, 1, 50), STOPPING_SECONDS + 5) is None
