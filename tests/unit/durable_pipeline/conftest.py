"""What all tests of the durable function's logic need."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from durable_pipeline import calls, outcomes
from tests.unit.durable_pipeline.fake_context import START


@pytest.fixture(autouse=True, scope="session")
def time_stands_still() -> Iterator[None]:
    """The executions of these tests began at `START`: the real time would be past their end."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "utc_now", START.isoformat)
        patch.setattr(outcomes, "PAUSES", (0.0,) * 50)
        yield
