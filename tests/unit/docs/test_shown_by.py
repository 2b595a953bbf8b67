"""The tests that the docs name as showing something exist. They are found by name, wherever."""

from __future__ import annotations

import functools
import re
from collections import Counter

from tests.documents import DOCUMENTS, ROOT, Document

FAILURE_MODES = Document(ROOT / "docs" / "failure-modes.md")
A_TEST = re.compile(r"`(test_\w+)`")


@functools.cache
def counted() -> Counter[str]:
    """How many tests have a name."""
    return Counter(
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^ *def (test_\w+)\(", path.read_text("utf-8"), re.MULTILINE)
    )


def test_failure_modes_are_found() -> None:
    assert [table[0][-1] for table in FAILURE_MODES.tables()].count("shown by") > 1


def test_each_row_that_says_what_shows_it_names_a_test() -> None:
    shown = [
        (f"{document}: {row[0]}", row[-1])
        for document in DOCUMENTS
        for heading, *rows in document.tables()
        if heading[-1] == "shown by"
        for row in rows
    ]

    assert shown
    assert [row for row, by in shown if not A_TEST.search(by)] == []


def test_a_test_that_the_docs_name_exists() -> None:
    named = [
        (document, span)
        for document in DOCUMENTS
        for span in document.code_spans()
        if A_TEST.fullmatch(f"`{span}`")
    ]

    assert named
    assert [f"{document}: {name}" for document, name in named if not counted()[name]] == []


def test_a_failure_mode_names_its_test_so_that_one_finds_it() -> None:
    names = A_TEST.findall(FAILURE_MODES.path.read_text("utf-8"))

    assert names
    assert {name: counted()[name] for name in names if counted()[name] != 1} == {}
