"""Faults planted in a machine: another PATH, missing tools, a port that is held."""

from __future__ import annotations

import os
import shutil
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.settings import Settings
from pipelinectl.diagnosis import machine
from pipelinectl.diagnosis.diagnose import diagnose
from pipelinectl.diagnosis.facts import Facts, Machine
from pipelinectl.diagnosis.findings import Level

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


def bad(looked_at: Machine) -> dict[str, list[str]]:
    """What is found of a machine without a stack, by the names of the checks."""
    checks = diagnose(Facts(None, "no stack: deploy it", looked_at))
    found = {
        check.rule.name: [f.found for f in check.findings if f.level is not Level.OK]
        for check in checks
        if check.level is not Level.OK
    }
    return {name: texts for name, texts in found.items() if name != "stack-found"}


def path_of(directory: Path, **scripts: str) -> str:
    for name, script in scripts.items():
        (directory / name).write_text(f"#!/bin/sh\n{script}\n")
        (directory / name).chmod(0o755)
    return str(directory)


def test_a_machine_with_everything_is_ok(settings: Settings) -> None:
    looked_at = machine.look_at_machine(settings)

    assert looked_at.commands["make"] == shutil.which("make")
    assert bad(replace(looked_at, commands={"make": "/bin/make", "uv": "/bin/uv"})) == {}


def test_an_old_python_is_found(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = path_of(tmp_path, python3="echo '[3, 9, 18]'", make="", uv="")
    monkeypatch.setenv("PATH", path)

    assert bad(machine.look_at_machine(settings)) == {"python": ["3.9.18"]}


def test_missing_commands_are_found(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", path_of(tmp_path, python3="echo '[3, 12, 1]'"))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python3"))

    assert bad(machine.look_at_machine(settings)) == {"commands": ["not found", "not found"]}


@pytest.mark.parametrize("scripts", [{}, {"python3": "exit 1"}, {"python3": "echo shim"}])
def test_no_python_that_runs_is_found(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, str],
) -> None:
    monkeypatch.setenv("PATH", path_of(tmp_path, make="", uv="", **scripts))

    found = bad(machine.look_at_machine(settings))

    assert found == {"python": ["not on the PATH, or it does not run"]}


def test_missing_tools_are_found(settings: Settings) -> None:
    settings.sam_command.unlink()

    assert bad(machine.look_at_machine(settings))["tools"] == ["not there"]


def test_a_held_port_is_found_with_its_holder(settings: Settings) -> None:
    with held(settings.lambda_port):
        (found,) = bad(machine.look_at_machine(settings))["ports"]

    assert found.startswith(f"{settings.lambda_port} is held by ")
    assert str(os.getpid()) in found
