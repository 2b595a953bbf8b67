"""The docs against what they speak of."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def failure_modes() -> list[list[str]]:
    lines = (ROOT / "docs" / "failure-modes.md").read_text("utf-8").splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    return [row for row in rows if row[0] != "what goes wrong" and len(row) == 4]


@pytest.mark.parametrize("row", failure_modes(), ids=lambda row: row[0])
def test_each_failure_mode_is_shown_by_tests_that_exist(row: list[str]) -> None:
    shown_by = re.findall(r"`([^`]+)::(test_\w+)`", row[3])
    assert shown_by
    for path, name in shown_by:
        assert f"def {name}(" in (ROOT / "tests" / path).read_text("utf-8"), name
