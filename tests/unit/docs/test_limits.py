"""The limits that the docs state are those in the code, and tests show them."""

from __future__ import annotations

import importlib
import re
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.documents import ROOT, Document

UNITS = {"": 1, "KiB": 1024}
SOURCE = ROOT / "src"
LIMITS = [
    (constant, value)
    for table in Document(ROOT / "docs" / "limits.md").tables()
    for _, value, *where in table
    for constant in re.findall(r"`((?:\w+[.])?[A-Z_]+)`", where[0] if where else "")
]
"""Constants, those of a name that several packages have behind their package's, and values."""


def constants() -> Mapping[str, set[str]]:
    """The modules that assign each constant, by its name."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path in SOURCE.glob("*/**/*.py"):
        for name in re.findall(r"^([A-Z_]+)(?:: \S+)? = ", path.read_text("utf-8"), re.MULTILINE):
            found[name].add(_module(path))
    return found


def _module(path: Path) -> str:
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts)


CONSTANTS = constants()


def test_limits_are_found() -> None:
    assert "MAX_CHUNK_RECORDS" in {name for name, _ in LIMITS}


@pytest.mark.parametrize(("constant", "value"), LIMITS)
def test_a_limit_is_what_the_code_says(constant: str, value: str) -> None:
    package, _, name = constant.rpartition(".")
    modules = [m for m in CONSTANTS[name] if not package or m.startswith(f"{package}.")]
    number, _, unit = value.partition(" ")

    stated = int(number.replace(",", "")) * UNITS[unit]
    assert stated in [getattr(importlib.import_module(module), name) for module in modules]
