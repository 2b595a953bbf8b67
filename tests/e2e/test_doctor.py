"""The doctor finds each fault that is planted in the deployed pipeline, and none before."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pipelinectl.aws import Connection
from pipelinectl.doctor import Result, diagnose
from pipelinectl.doctor.stack import Deployed, Level, examine
from pipelinectl.errors import StackMissingError
from tests.e2e.conftest import BIN, ROOT, STACK, Stack
from tests.e2e.planting import PLANTS, Target, reserve

# Other tests may have left some, and the alarms of a local cloud do not look at them.
MAY_BE_FOUND = {"dead-letters"}


@pytest.fixture
def target(stack: Stack) -> Target:
    return Target(stack, Connection(stack.cloud.settings.client_environment()))


def examined(connection: Connection, stack_name: str = STACK) -> dict[str, Result]:
    """What each check finds, by its name."""
    try:
        deployed = examine(connection, stack_name)
    except StackMissingError as error:
        deployed = Deployed(None, stack_name, str(error))
    return {result.check.name: result for result in diagnose(deployed)}


def bad(checks: dict[str, Result]) -> dict[str, Any]:
    """What is not ok, by the names of the checks."""
    return {
        name: [finding for finding in check.findings if finding.level is not Level.OK]
        for name, check in checks.items()
        if check.level is not Level.OK
    }


def test_our_own_template_is_sound(target: Target) -> None:
    checks = examined(target.connection)

    assert set(checks) >= set(PLANTS) | {"operators"}
    assert {name: f for name, f in bad(checks).items() if name not in MAY_BE_FOUND} == {}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found_and_gone_when_it_is_repaired(target: Target, name: str) -> None:
    plant = PLANTS[name]
    with plant.planted(target):
        found = bad(examined(target.connection, plant.stack_name))

    (finding,) = [f for f in found[name] if plant.subject in f.subject]
    assert finding.level.value == plant.level
    assert finding.found
    assert finding.remedy
    after = bad(examined(Connection(target.connection.settings)))
    assert set(after) <= MAY_BE_FOUND


def doctor(stack: Stack, directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as it is installed."""
    return subprocess.run(
        [BIN / "pipelinectl", "doctor", *arguments],
        env={**os.environ, **stack.cloud.settings.client_environment(), "PYTHONPATH": str(ROOT)},
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_command_ends_with_0_for_a_sound_stack_and_1_for_a_fault(
    target: Target, tmp_path: Path
) -> None:
    sound = doctor(target.stack, tmp_path)
    with reserve("uploads", 0)(target):
        faulty = doctor(target.stack, tmp_path)
        document = json.loads(doctor(target.stack, tmp_path, "--json").stdout)

    assert sound.returncode == 0, sound.stdout
    assert faulty.returncode == 1
    assert "delete-function-concurrency --function-name durable-pipeline-uploads" in faulty.stdout
    levels = {check["check"]: check["level"] for check in document}
    assert levels["reserved-concurrency"] == "problem"
