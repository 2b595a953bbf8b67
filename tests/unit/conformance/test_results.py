"""What AWS's runner reports, beside what is on record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.results import ConformanceError, Result, page, read, surprises

FAILING = {"2-2": "there is no second wait"}


def result(id_: str = "1-1", suite: str = "step", *, passed: bool = True) -> Result:
    errors = () if passed else ("EventId=3: expected 'a'", "EventId=4: expected 'b'")
    return Result(id_, suite, f"what {id_} asks", passed, errors)


def entry(id_: str, status: str, *errors: str) -> dict[str, Any]:
    return {
        "id": id_,
        "function": "StepGreet",
        "suite": "step",
        "description": "one step",
        "status": status,
        "errors": list(errors),
    }


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.json"
    entries = [
        entry("10-1", "PASSED"),
        entry("1-10", "FAILED", "wrong order"),
        entry("1-9", "OPTIONAL_FAILED", "no log"),
        entry("1-2", "UNCOVERED"),
        entry("1-3", "UNCOVERED"),
    ]
    path.write_text(json.dumps({"results": entries}))
    return path


def test_a_report_is_read_in_the_order_of_ids(report: Path) -> None:
    results = read(report, ["10-1", "1-10", "1-9"])

    assert [(r.id, r.passed, r.errors) for r in results] == [
        ("1-9", False, ("no log",)),
        ("1-10", False, ("wrong order",)),
        ("10-1", True, ()),
    ]


def test_a_requirement_that_no_function_meets_has_not_passed(report: Path) -> None:
    (uncovered,) = read(report, ["1-2"])

    assert not uncovered.passed
    assert uncovered.errors == ("UNCOVERED",)


def test_a_requirement_of_which_the_report_says_nothing_is_not_passed_over(report: Path) -> None:
    with pytest.raises(ConformanceError, match=r"says nothing of 2-9, 10-2: .*/log may say why"):
        read(report, ["1-2", "10-2", "2-9"])


def test_results_as_recorded_are_no_surprise() -> None:
    results = [result("1-1"), result("2-2", passed=False)]

    assert list(surprises(results, FAILING)) == []


def test_a_requirement_that_fails_is_told_with_what_is_wrong() -> None:
    (line,) = surprises([result("1-1", passed=False)], FAILING)

    assert line.startswith("1-1 fails: EventId=3: expected 'a'; EventId=4")
    assert "what 1-1 asks" in line


def test_a_requirement_that_passes_though_it_is_recorded_as_failing_is_told_with_the_remedy() -> (
    None
):
    (line,) = surprises([result("2-2")], FAILING)

    assert line.startswith("2-2 passes now: take it out of FAILING in conformance/results.py")


def test_the_page_counts_each_suite_and_gives_the_cause_of_each_failure() -> None:
    results = [result("1-1"), result("2-1", "wait"), result("2-2", "wait", passed=False)]

    text = page(results, FAILING, {"the-sdk": "3.0.0"})

    assert "**2 of 3** requirements are met." in text
    assert "| step | 1 |  |\n| wait | 1 | 1 |" in text
    assert "| 2-2 | what 2-2 asks | there is no second wait |" in text
    assert "the-sdk 3.0.0" in text


def test_a_page_without_failures_has_no_table_of_them() -> None:
    assert "not met" not in page([result()], {}, {})
