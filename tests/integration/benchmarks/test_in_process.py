"""The orchestrators, in process as the benchmarks run them, cost what their patterns cost."""

from __future__ import annotations

import pytest

from benchmarks.cells import PIPELINE, REFERENCE
from benchmarks.in_process import ENVIRONMENT, FLOOR, measure


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("orchestrator", "batch", "invokes", "invocations"),
    [
        (PIPELINE, 10, 3, 4),
        (FLOOR, 10, 3, 4),
        (REFERENCE, 2, 6, 7),
    ],
)
def test_an_orchestrator_makes_as_many_invokes_as_its_pattern(
    orchestrator: str, batch: int, invokes: int, invocations: int
) -> None:
    cost = measure(orchestrator, batch, 1)
    assert (cost.invokes, cost.invocations) == (invokes, invocations)


@pytest.mark.parametrize("orchestrator", [PIPELINE, FLOOR])
def test_the_floor_makes_as_many_invokes_for_several_chunks(orchestrator: str) -> None:
    assert measure(orchestrator, 200, 1).invokes == 6
