"""Which requirements are chosen, which functions meet them, and the page of the last run."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from conformance.__main__ import (
    PAGE,
    TEMPLATE,
    chosen,
    of_requirements,
    requirements,
    versions,
)
from conformance.results import FAILING, ConformanceError, order, page
from localcloud.cloudformation_yaml import load
from tests.documents import Document

EVERYTHING = {"wait": ["2-10", "2-9"], "step": ["1-1"]}
RESOURCES: dict[str, Any] = load(TEMPLATE)["Resources"]
HANDLERS = {
    name: resource["Properties"]["Handler"]
    for name, resource in RESOURCES.items()
    if resource["Type"] == "AWS::Serverless::Function"
}
MET = Counter(
    id_
    for resource in RESOURCES.values()
    for id_ in resource.get("TestingMetadata", {}).get("TestDescription", [])
)


def test_without_awss_package_there_is_nothing_to_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("conformance.__main__.AWS", tmp_path)

    with pytest.raises(ConformanceError, match="run `make conformance`"):
        requirements()


def test_no_words_stand_for_all_requirements() -> None:
    assert chosen(EVERYTHING, []) == ["1-1", "2-9", "2-10"]


def test_suites_and_ids_can_be_mixed() -> None:
    assert chosen(EVERYTHING, ["2-10", "step"]) == ["1-1", "2-10"]


def test_what_is_neither_suite_nor_id_is_named_with_the_suites() -> None:
    with pytest.raises(ConformanceError, match=r"'steps' is neither .* \(step, wait\)"):
        chosen(EVERYTHING, ["steps"])


def test_functions_of_other_requirements_are_left_out() -> None:
    def function(*ids: str) -> dict[str, Any]:
        return {"TestingMetadata": {"TestDescription": list(ids)}}

    template = {
        "Resources": {"Target": {}, "One": function("1-1", "1-2"), "Other": function("2-1")}
    }

    assert of_requirements(template, ["1-2"])["Resources"] == {
        "Target": {},
        "One": function("1-2"),
    }


def test_each_function_has_its_handler_and_no_handler_is_left_over() -> None:
    folder = TEMPLATE.parent / "src" / "handlers"
    durable = {
        f"handlers.{path.stem}.{name}" for path in folder.glob("*.py") for name in _durable(path)
    }

    assert durable == set(HANDLERS.values())


def test_each_requirement_has_one_function() -> None:
    assert [id_ for id_, functions in MET.items() if functions > 1] == []


def test_the_page_begins_as_a_run_would_have_it_begin() -> None:
    assert PAGE.read_text("utf-8").startswith(page([], {}, {}).partition("**0 of 0**")[0])


def test_the_page_is_of_these_requirements_and_of_what_is_recorded_as_failing() -> None:
    page = Document(PAGE)
    suites, *failing = page.tables()

    assert sum(int(passed) for _, passed, _ in suites[1:]) == MET.total() - len(FAILING)
    assert {row[0]: row[2] for table in failing for row in table[1:]} == FAILING
    assert all(id_ in MET for id_ in FAILING)
    assert sorted(FAILING, key=order) == list(FAILING)


@pytest.mark.parametrize(("name", "version"), versions().items())
def test_the_page_is_of_the_versions_that_are_pinned(name: str, version: str) -> None:
    assert re.search(rf"\b{name} {re.escape(version)}[,.]", PAGE.read_text("utf-8"))


def _durable(path: Path) -> list[str]:
    """The handlers of a module: what is decorated is one."""
    tree = ast.parse(path.read_text("utf-8"))
    return [n.name for n in tree.body if isinstance(n, ast.FunctionDef) and n.decorator_list]
