"""The reference that benchmarks measure against runs, and costs what its pattern costs."""

from __future__ import annotations

import pytest

from benchmarks.cells import Figures, Load, deploy_reference, measure
from localcloud.settings import Settings


@pytest.fixture(scope="module")
def figures(settings: Settings) -> Figures:
    return measure(deploy_reference(settings), Load(10, 5, 10))


def test_the_reference_stores_a_batch_of_ten_in_31_operations(figures: Figures) -> None:
    assert (figures.stored, figures.cut_off) == (10, False)
    assert figures.operations * 10 == pytest.approx(31)
    assert figures.durable_invocations * 10 == pytest.approx(31)


def test_what_its_invocations_are_billed_is_known(figures: Figures) -> None:
    assert figures.gigabyte_seconds > 0
