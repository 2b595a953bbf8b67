"""What an installed package may run with admits what the checkout does run with."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
PINS = {
    name: version
    for lock in ("dev", "uv")
    for name, version in re.findall(
        r"^([\w.-]+)==([\w.]+)",
        (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8"),
        re.MULTILINE,
    )
}
DECLARED = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *(each for extra in PROJECT["project"]["optional-dependencies"].values() for each in extra),
]


@pytest.mark.parametrize("declared", sorted(set(DECLARED)))
def test_a_range_admits_the_pin(declared: str) -> None:
    requirement = Requirement(declared)

    assert requirement.specifier.contains(PINS[requirement.name])
