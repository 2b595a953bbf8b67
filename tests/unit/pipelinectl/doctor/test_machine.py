"""Faults planted in a machine: another PATH, missing tools, a port that is held."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.settings import Settings
from pipelinectl.doctor import diagnose
from pipelinectl.doctor.stack import Deployed, Finding, Level
from tests.unit.pipelinectl.doctor import sound

PLANTED_HERE = {"python", "commands", "tools", "ports"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A local cloud that is down, and tools that are there."""
    for name in ("ministack", "sam"):
        (tmp_path / name).touch()
    return replace(
        Settings.from_environment({}),
        directory=tmp_path / "state",
        aws_port=free_port(),
        lambda_port=free_port(),
        runner_port=free_port(),
        ministack_command=tmp_path / "ministack",
        sam_command=tmp_path / "sam",
    )


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@contextmanager
def held(port: int) -> Iterator[None]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", port))
        listener.listen()
        yield


def examined(settings: Settings) -> dict[str, list[Finding]]:
    """What is found of a machine without a stack, by the names of the checks."""
    results = diagnose(Deployed(None, "prod", "no stack: deploy it", settings))
    assert [r.check.name for r in results] == [
        "python",
        "commands",
        "tools",
        "ports",
        "stack-found",
    ]
    return {r.check.name: r.findings for r in results if r.check.name in PLANTED_HERE}


def bad(settings: Settings) -> dict[str, list[str]]:
    """What is not ok, all of it a problem."""
    found = {
        name: [f for f in findings if f.level is not Level.OK]
        for name, findings in examined(settings).items()
    }
    assert {f.level for findings in found.values() for f in findings} <= {Level.PROBLEM}
    assert all(f.remedy for findings in found.values() for f in findings)
    return {name: [f.found for f in findings] for name, findings in found.items() if findings}


def path_of(directory: Path, **scripts: str) -> str:
    for name, script in scripts.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return str(directory)


def test_a_machine_with_everything_is_ok(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(tmp_path, python3="echo '[3, 12, 1]'", make="", uv="")
    monkeypatch.setenv("PATH", path)

    found = examined(settings)

    assert {f.level for findings in found.values() for f in findings} == {Level.OK}
    assert [f.found for f in found["python"]] == ["3.12.1"]
    assert [f.found for f in found["commands"]] == [f"{path}/make", f"{path}/uv"]
    assert len(found["ports"]) >= 3


def test_an_old_python_is_found(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(tmp_path, python3="echo '[3, 9, 18]'", make="", uv="")
    monkeypatch.setenv("PATH", path)

    assert bad(settings) == {"python": ["3.9.18"]}


def test_missing_commands_are_found(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_of(tmp_path, python3="echo '[3, 12, 1]'"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))

    assert bad(settings) == {"commands": ["not found", "not found"]}


@pytest.mark.parametrize("scripts", [{}, {"python3": "exit 1"}, {"python3": "echo shim"}])
def test_no_python_that_runs_is_found(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, str],
) -> None:
    monkeypatch.setenv("PATH", path_of(tmp_path, make="", uv="", **scripts))

    found = bad(settings)

    assert found == {"python": ["not on the PATH, or it does not run"]}


def test_missing_tools_are_found(settings: Settings) -> None:
    settings.sam_command.unlink()

    assert bad(settings)["tools"] == ["not there"]


def test_a_held_port_is_found_with_its_holder(settings: Settings) -> None:
    with held(settings.lambda_port):
        (found,) = bad(settings)["ports"]

    assert found.startswith(f"{settings.lambda_port} is held by ")
    assert str(os.getpid()) in found


def test_where_a_stack_is_up_a_held_port_is_a_warning(settings: Settings) -> None:
    deployed = Deployed(None, "prod", machine=settings, answers=dict(sound.ANSWERS))
    with held(settings.lambda_port):
        results = diagnose(deployed)

    (ports,) = [result for result in results if result.check.name == "ports"]
    assert ports.level is Level.WARNING
