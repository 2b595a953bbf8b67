"""The package as others install it: in environments of its own, used from folders of their own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
GUIDE = ROOT / "docs" / "guides" / "inject-faults.md"
SECONDS = 300
"""For one command; what the registries have to send may take a while."""

# What would lead to another cloud, another environment or this checkout's sources.
OF_THE_CALLER = ("AWS_", "LOCALCLOUD_", "PIPELINE_", "PYTHON", "PYTEST_", "VIRTUAL_ENV", "COV_")


def environment(home: Path) -> dict[str, str]:
    """That of somebody who has nothing of AWS or of this project."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(OF_THE_CALLER)}
    return {**kept, "AWS_CONFIG_FILE": str(home / "none"), "AWS_EC2_METADATA_DISABLED": "true"}


def run(
    folder: Path, *command: str | Path, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment(folder), **(more or {})},
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def failed(result: subprocess.CompletedProcess[str]) -> str:
    """The one line on stderr."""
    (line,) = result.stderr.splitlines()
    assert result.returncode != 0
    assert line.startswith("pipelinectl: ")
    return line


@pytest.fixture(scope="session")
def tool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands that are there after ``uv tool install .``."""
    home = tmp_path_factory.mktemp("tool")
    folders = {"UV_TOOL_DIR": str(home / "tools"), "UV_TOOL_BIN_DIR": str(home / "bin")}
    # With pytest, to see that the plugin does no harm where the extra is not asked for.
    command = (UV, "tool", "install", "--python", sys.executable, "--with", "pytest", ".")
    done(run(ROOT, *command, more=folders))
    return (home / "bin" / "pipelinectl").resolve().parent


@pytest.fixture(scope="session")
def extras(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the commands in an environment with the extras."""
    home = tmp_path_factory.mktemp("extras")
    done(run(home, UV, "venv", "--python", sys.executable, "venv"))
    python = home / "venv" / "bin" / "python"
    done(run(home, UV, "pip", "install", "--python", python, f"{ROOT}[faults,local]"))
    return python.parent


def test_the_command_line_says_its_version(tool: Path, tmp_path: Path) -> None:
    assert done(run(tmp_path, tool / "pipelinectl", "--version")) == f"pipelinectl {VERSION}\n"


IMPORT_ALL = """
import importlib, pipeline_core, pkgutil
for module in pkgutil.walk_packages(pipeline_core.__path__, "pipeline_core."):
    importlib.import_module(module.name)
    print(module.name)
"""


def test_the_contract_comes_along_with_what_it_imports(tool: Path, tmp_path: Path) -> None:
    names = done(run(tmp_path, tool / "python", "-c", IMPORT_ALL)).split()

    written = (ROOT / "src" / "pipeline_core").glob("[!_]*.py")
    assert set(names) == {f"pipeline_core.{path.stem}" for path in written}


@pytest.mark.parametrize("group", [(), ("local", "up"), ("dlq",)])
def test_help_is_there(tool: Path, tmp_path: Path, group: tuple[str, ...]) -> None:
    assert "Usage: pipelinectl" in done(run(tmp_path, tool / "pipelinectl", *group, "--help"))


def test_the_doctor_looks_and_says_that_there_is_no_cloud(tool: Path, tmp_path: Path) -> None:
    result = run(tmp_path, tool / "pipelinectl", "doctor")

    assert "no AWS credentials and no local cloud" in result.stdout
    assert "Traceback" not in result.stderr


def test_a_cloud_that_does_not_answer_is_told_plainly(tool: Path, tmp_path: Path) -> None:
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",  # the discard port: nobody is there
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_DEFAULT_REGION": "eu-central-2",
        "AWS_MAX_ATTEMPTS": "1",
    }

    line = failed(run(tmp_path, tool / "pipelinectl", "items", more=nowhere))

    assert "Could not connect" in line


def test_a_local_cloud_needs_the_project(tool: Path, tmp_path: Path) -> None:
    line = failed(run(tmp_path, tool / "pipelinectl", "local", "up"))

    assert "no template.yaml" in line


def test_a_local_cloud_needs_the_extra(tool: Path, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").touch()

    line = failed(run(tmp_path, tool / "pipelinectl", "local", "up"))

    assert "aiohttp" in line
    assert "durable-pipeline[local]" in line


def test_a_local_cloud_needs_what_make_setup_installs(extras: Path, tmp_path: Path) -> None:
    (tmp_path / "template.yaml").touch()

    line = failed(run(tmp_path, extras / "pipelinectl", "local", "up"))

    assert f"{tmp_path}/.tools/ministack/bin/ministack does not exist: run `make setup`" in line


def test_a_local_cloud_uses_what_make_setup_installed_in_the_project(
    extras: Path, tmp_path: Path
) -> None:
    (tmp_path / "template.yaml").touch()
    (tmp_path / ".tools").mkdir()
    below = tmp_path / "src" / "store"
    below.mkdir(parents=True)

    line = failed(run(below, extras / "pipelinectl", "local", "up"))

    assert f"pipelinectl: {tmp_path}/.tools/ministack/bin/ministack" in line


def test_the_guides_example_passes_in_a_project_of_its_own(extras: Path, tmp_path: Path) -> None:
    (example,) = re.findall(
        r"```python\n(# test_orders\.py\n.+?)```", GUIDE.read_text("utf-8"), re.S
    )
    (tmp_path / "test_orders.py").write_text(example)

    assert "1 passed" in done(run(tmp_path, extras / "python", "-m", "pytest", "-W", "error"))


def test_the_example_of_an_own_stage_is_held_to_the_contract_in_a_folder_of_its_own(
    extras: Path, tmp_path: Path
) -> None:
    example = ROOT / "examples" / "enrich"
    shutil.copytree(example, tmp_path / "enrich", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "enrich" / "test_broken.py").write_text(BREAKS_THE_CONTRACT)

    result = run(tmp_path / "enrich", extras / "python", "-m", "pytest", "-W", "error")

    assert "1 failed, 1 passed" in result.stdout, result.stdout + result.stderr
    assert "all documents: no result for 1 records, such as m-0" in result.stdout


BREAKS_THE_CONTRACT = """
from test_enrich import ORDER
from enrich import handler

def forgets(event, context):
    answer = handler(event, context)
    return {**answer, "results": answer["results"][1:]}

def test_it(stage_contract):
    stage_contract(forgets, [ORDER]).check()
"""

USES_THE_FIXTURE = "def test_it(durable_harness): pass\ndef test_other(): pass\n"


def test_the_plugin_without_the_extra_disturbs_nobody_and_says_what_it_needs(
    tool: Path, tmp_path: Path
) -> None:
    (tmp_path / "test_it.py").write_text(USES_THE_FIXTURE)

    result = run(tmp_path, tool / "python", "-m", "pytest", "-W", "error")

    assert "1 passed, 1 error" in result.stdout
    assert "install durable-pipeline[faults]" in result.stdout


def test_a_conftest_may_ask_for_the_plugin_as_well(extras: Path, tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["faults.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(USES_THE_FIXTURE)

    assert "2 passed" in done(run(tmp_path, extras / "python", "-m", "pytest", "-W", "error"))
