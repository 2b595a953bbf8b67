"""The longest groups of tests begin first, and each is run by one process."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tests.groups import GROUPS, LONGEST_FIRST, Groups

PROCESSES = 2
PLACES = {group: place for place, group in GROUPS.items()}
FILES = {
    group: place if place.endswith(".py") else f"{place}/test_some.py"
    for group, place in PLACES.items()
}


class Process:
    """One that runs tests, and notes what it is given."""

    def __init__(self, name: str) -> None:
        self.gateway = SimpleNamespace(id=name)
        self.shutting_down = False
        self.given: list[int] = []

    def send_runtest_some(self, indices: list[int]) -> None:
        self.given += indices

    def shutdown(self) -> None:
        self.shutting_down = True


@pytest.fixture
def scheduler(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch) -> Groups:
    for option, value in (("numprocesses", PROCESSES), ("tx", [f"{PROCESSES}*popen"])):
        monkeypatch.setattr(pytestconfig.option, option, value, raising=False)
    monkeypatch.setattr(pytestconfig.option, "loadscopereorder", True, raising=False)
    return Groups(pytestconfig)


def run(scheduler: Groups, collected: list[str]) -> list[tuple[str, str]]:
    """All tests, each with the process that ran it, in the order in which they ran."""
    processes = [Process(f"gw{number}") for number in range(PROCESSES)]
    for process in processes:
        scheduler.add_node(process)
    for process in processes:
        scheduler.add_node_collection(process, collected)
    scheduler.schedule()
    ran: list[tuple[str, str]] = []
    while any(process.given for process in processes):
        for process in processes:
            if process.given:
                index = process.given.pop(0)
                ran.append((collected[index], process.gateway.id))
                scheduler.mark_test_complete(process, index)
    assert all(process.shutting_down for process in processes)
    return ran


def test_every_group_has_its_place_in_the_order() -> None:
    assert sorted(LONGEST_FIRST) == sorted(set(GROUPS.values()))


def test_the_longest_groups_begin_first_and_tests_without_one_last(scheduler: Groups) -> None:
    single = [f"tests/unit/test_some.py::test_{number}" for number in range(50)]
    grouped = [f"{path}::test_{n}" for group, path in FILES.items() for n in range(len(group))]

    ran = run(scheduler, [*single, *grouped])

    assert sorted(test for test, _ in ran) == sorted([*single, *grouped])
    begun: dict[Any, int] = {}
    for number, (test, _) in enumerate(ran):
        group = next((g for g, path in FILES.items() if test.startswith(f"{path}::")), None)
        begun.setdefault(group, number)
    assert list(begun) == [*LONGEST_FIRST, None]


def test_a_group_is_run_by_one_process_and_what_is_complete_is_forgotten(scheduler: Groups) -> None:
    ran = run(scheduler, [f"{path}::test_{n}" for path in FILES.values() for n in range(5)])

    for path in FILES.values():
        assert len({process for test, process in ran if test.startswith(path)}) == 1
    assert not any(scheduler.assigned_work.values())
