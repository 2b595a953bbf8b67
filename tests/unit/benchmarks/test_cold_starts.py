"""What an artifact's imports take."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.cold_starts import cold_start, times_in

SAID = """\
import time: self [us] | cumulative | imported package
import time:      1000 |       1000 |       big.inner
import time:      2000 |       3000 |     big
import time:       500 |        500 |     pipeline_core.sizes
import time:       100 |       3600 |   stage.handler
"""


def test_times_are_the_modules_and_each_packages_own() -> None:
    total, packages = times_in(SAID, "stage.handler")

    assert total == 3.6
    assert packages == {"big": 3.0}


def test_an_artifact_is_imported_from_where_it_lies(tmp_path: Path) -> None:
    (tmp_path / "stage").mkdir()
    (tmp_path / "stage" / "handler.py").write_text("import decimal, heavy\n")
    (tmp_path / "heavy.py").write_text("sum(range(10**6))\n")

    found = cold_start("Stage", tmp_path, "stage.handler")

    assert (found.function, found.largest) == ("Stage", "heavy")
    assert found.bytes == sum(path.stat().st_size for path in tmp_path.rglob("*.py"))
    assert found.milliseconds >= found.largest_milliseconds > 0


def test_what_is_not_in_the_artifact_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "handler.py").write_text("import boto3\n")

    with pytest.raises(subprocess.CalledProcessError):
        cold_start("Stage", tmp_path, "handler")
