"""The tests that the docs name as showing something exist. They are found by name, wherever."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from tests.documents import DOCUMENTS, ROOT, Document

FAILURE_MODES = Document(ROOT / "docs" / "failure-modes.md")
A_TEST = re.compile(r"`(test_\w+)`")
TESTS = Counter(
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
)
SHOWN = [
    pytest.param(row[-1], id=f"{document}: {row[0]}")
    for document in DOCUMENTS
    for heading, *rows in document.tables()
    if heading[-1] == "shown by"
    for row in rows
]
NAMED = [
    pytest.param(name, id=f"{document}: {name}")
    for document in DOCUMENTS
    for name in sorted({span for span in document.code_spans() if A_TEST.fullmatch(f"`{span}`")})
]


def test_failure_modes_are_found() -> None:
    assert [table[0][-1] for table in FAILURE_MODES.tables()].count("shown by") > 1


@pytest.mark.parametrize("cell", SHOWN)
def test_each_row_that_says_what_shows_it_names_a_test(cell: str) -> None:
    assert A_TEST.search(cell)


@pytest.mark.parametrize("name", NAMED)
def test_a_test_that_the_docs_name_exists(name: str) -> None:
    assert TESTS[name], f"there is no {name} below tests/"


@pytest.mark.parametrize("name", sorted(set(A_TEST.findall(FAILURE_MODES.path.read_text("utf-8")))))
def test_a_failure_mode_names_its_test_so_that_one_finds_it(name: str) -> None:
    assert TESTS[name] == 1, f"{name} is the name of {TESTS[name]} tests"
