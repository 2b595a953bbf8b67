"""What benchmarks measure against runs, and costs what its pattern costs.

DBOS is in an environment of its own, which only `make bench` needs: that runs it.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from benchmarks.cells import PLAIN, REFERENCE, Figures, Load, Side, deploy_reference, measure
from benchmarks.peers import Functions, Speed, measure_alone
from localcloud.settings import Settings

SECONDS = 600


@pytest.fixture(scope="module")
def sides(settings: Settings) -> Mapping[str, Side]:
    return deploy_reference(settings)


@pytest.fixture(scope="module")
def figures(sides: Mapping[str, Side]) -> Figures:
    return measure(sides[REFERENCE], Load(10, 5, 10))


@pytest.fixture(scope="module")
def plain(sides: Mapping[str, Side]) -> Speed:
    return measure_alone(Functions(sides[PLAIN], PLAIN, 10), 20, 0, seconds=SECONDS)


def test_the_reference_stores_a_batch_of_ten_in_31_operations(figures: Figures) -> None:
    assert (figures.stored, figures.cut_off) == (10, False)
    assert figures.operations * 10 == pytest.approx(31)
    assert figures.durable_invocations * 10 == pytest.approx(31)


def test_what_its_invocations_are_billed_is_known(figures: Figures) -> None:
    assert figures.gigabyte_seconds > 0


def test_the_memory_of_its_durable_function_is_known(figures: Figures) -> None:
    assert figures.peak_megabytes > 10, "less than Python itself"


def test_a_plain_function_stores_all_and_keeps_nothing_for_durability(plain: Speed) -> None:
    assert (plain.messages, plain.writes) == (20, 0)
    # Batches of ten, or smaller, or again where a slow machine ran into the function's timeout.
    assert plain.invocations is not None
    assert plain.invocations >= 1 / 10
