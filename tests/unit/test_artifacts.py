"""A function's artifact has what the function imports, and a function imports nothing else."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"


@dataclass(frozen=True)
class Artifact:
    """A function's own folder, those that it imports from, and the packages that it brings."""

    name: str
    folders: tuple[str, ...]
    packages: frozenset[str]


def _artifacts() -> Iterator[Artifact]:
    makefile = (SOURCE / "Makefile").read_text("utf-8")
    for folders in re.findall(r"call build,([\w ]+),", makefile):
        name, *others = folders.split()
        lock = (SOURCE / name / "requirements.txt").read_text("utf-8")
        packages = frozenset(re.findall(r"^([\w.-]+)==", lock, re.MULTILINE))
        yield Artifact(name, (name, *others, "pipeline_core"), packages)


ARTIFACTS = list(_artifacts())


def test_every_function_has_its_artifact() -> None:
    assert {artifact.name for artifact in ARTIFACTS} == {
        path.parent.name for path in SOURCE.glob("*/requirements.txt")
    }


@pytest.mark.parametrize("artifact", ARTIFACTS, ids=lambda artifact: artifact.name)
def test_an_artifact_brings_what_is_imported_anywhere_in_it(artifact: Artifact) -> None:
    files = [file for folder in artifact.folders for file in SOURCE.glob(f"{folder}/**/*.py")]
    imported = {name for file in files for name in _imported(ast.parse(file.read_text("utf-8")))}
    others = imported - sys.stdlib_module_names - {path.name for path in SOURCE.iterdir()}

    assert {name.replace("_", "-") for name in others} <= artifact.packages


def _imported(node: ast.AST) -> Iterator[str]:
    """The first names of the modules that are imported within ``node``, but for types alone."""
    match node:
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.Import(names=names):
            yield from (name.name.partition(".")[0] for name in names)
        case ast.ImportFrom(module=str(module)):
            yield module.partition(".")[0]
    for child in ast.iter_child_nodes(node):
        yield from _imported(child)


def test_functions_that_do_not_bring_boto3_do_not_load_it() -> None:
    """Lambda's runtime has one as well, so on AWS it would only take its time."""
    without = [artifact.name for artifact in ARTIFACTS if "boto3" not in artifact.packages]
    script = f"""
import sys
import pipeline_core.clients
for name in {without!r}:
    __import__(f"{{name}}.handler")
    print(*(f"{{name}} loads {{sdk}}" for sdk in ("boto3", "s3transfer") if sdk in sys.modules))
"""

    run = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert without
    assert run.stdout.split() == []
