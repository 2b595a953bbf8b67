"""The guide's new type, typed as written into a copy of the project, works and breaks nothing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.documents import ROOT, Document

GUIDE = Document(ROOT / "docs" / "guides" / "add-a-processing-type.md")
COPIED = ("src", "tests", "faults", "events", "localcloud", "pipelinectl", "docs")
TOUCHED = ("tests/unit/validate", "tests/unit/transform", "tests/unit/csv_file")
TYPES = "src/transform/processing_types.py"
BEFORE_TYPES = "PROCESSING_TYPES: "

BOTH_STAGES = """
import sys
from transform.handler import transform
from validate.rules import validate
record = {"id": "a", "body": sys.stdin.read()}
assert validate(record)["outcome"] == "ok"
print(transform(record)["data"])
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A copy of the project in which the guide's steps have been taken."""
    for name in COPIED:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignored)
    for name in ("template.yaml", "pyproject.toml", "README.md", "Makefile", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    (schema,) = GUIDE.blocks("json")
    (tmp_path / "src" / "validate" / "schemas" / "reading.json").write_text(schema, "utf-8")
    the_import, function, entry = GUIDE.blocks("python")
    types = (tmp_path / TYPES).read_text("utf-8")
    types = types.replace("from typing import Any\n", f"{the_import}from typing import Any\n", 1)
    types = types.replace(BEFORE_TYPES, f"{function}\n\n{BEFORE_TYPES}", 1)
    types = re.sub(rf"({BEFORE_TYPES}.*?\n)(\}}\n)", rf"\1{entry}\2", types, flags=re.DOTALL)
    (tmp_path / TYPES).write_text(types, "utf-8")
    return tmp_path


def run(project: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python with the code of the copy."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env={"PYTHONPATH": f"{project / 'src'}:{project}", "AWS_DEFAULT_REGION": "eu-central-2"},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )


def test_its_record_goes_through_both_stages(project: Path) -> None:
    (send,) = [command for command in GUIDE.commands() if command.startswith("pipelinectl send")]

    ran = run(project, "-c", BOTH_STAGES, stdin=send.split("'")[1])

    assert ran.returncode == 0, ran.stderr
    assert '"kelvin":294.65' in ran.stdout


def test_no_test_of_validation_transformation_or_files_fails(project: Path) -> None:
    ran = run(
        project, "-m", "pytest", "-q", "--show-capture=no", "-p", "no:cacheprovider", *TOUCHED
    )

    assert ran.returncode == 0, ran.stdout[-3000:]
