"""The limits that the docs state are those in the code."""

from __future__ import annotations

import importlib
import re

import pytest

from tests.documents import ROOT, Document

UNITS = {"": 1, "KiB": 1024}
LIMITS = [
    (name, path.removeprefix("src/").removesuffix(".py").replace("/", "."), value)
    for table in Document(ROOT / "docs" / "limits.md").tables()
    for _, value, *where in table
    for name, path in re.findall(r"`([A-Z_]+)` in `([\w/.]+)`", "".join(where))
]


def test_limits_are_found() -> None:
    assert "MAX_CHUNK_RECORDS" in {name for name, *_ in LIMITS}


@pytest.mark.parametrize(("name", "module", "value"), LIMITS)
def test_a_limit_is_what_the_code_says(name: str, module: str, value: str) -> None:
    number, _, unit = value.partition(" ")

    stated = int(number.replace(",", "")) * UNITS[unit]
    assert stated == getattr(importlib.import_module(module), name)
