"""Where a record is said to be, of which there is neither an item nor a dead letter now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, get_args

import pytest

from pipelinectl.deliveries import Delivery, Fate
from pipelinectl.record import ON_ITS_WAY, Life, Searched

if TYPE_CHECKING:
    from pipelinectl.audit import Line

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOES_ON = {"running", "back", "sent on"}


def state(*fates: Fate, acts: tuple[Line, ...] = ()) -> str:
    deliveries = tuple(
        Delivery(f"a/{number}", "input", started_at=BEGAN, fate=fate)
        for number, fate in enumerate(fates)
    )
    return Life("mine", (), None, (), deliveries, acts, None, Searched()).state


def act(action: Any, seconds: int) -> Line:
    at = (BEGAN + timedelta(seconds=seconds)).isoformat()
    return {"at": at, "who": "me", "action": action}


@pytest.mark.parametrize("fate", get_args(Fate))
def test_only_what_goes_on_is_on_its_way(fate: Fate) -> None:
    assert (state("back", fate) == ON_ITS_WAY) == (fate in GOES_ON)


def test_what_there_was_is_said_of_what_has_expired() -> None:
    assert state() == ON_ITS_WAY
    assert state("back", "stored") == "stored, and gone since"
    assert state("dead letter") == "dead letter, and gone since"


@pytest.mark.parametrize(("seconds", "on_its_way"), [(-1, False), (1, True)])
def test_what_was_sent_again_since_is_on_its_way(seconds: int, on_its_way: bool) -> None:
    for action in ("redrive", "reprocess", "retry"):
        found = state("dead letter", acts=(act(action, seconds),))
        assert (found == ON_ITS_WAY) == on_its_way
