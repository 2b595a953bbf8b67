"""Which cloud a command goes to is said, and AWS is changed only if it is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

from pipelinectl import cli
from pipelinectl.commands import context
from tests.integration.pipelinectl.giving_up import give_up

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.pipelinectl.conftest import Deployed

PLACE = "AWS account 123456789012, us-east-1, stack test-stack"

CHANGES = {
    "send": ("send", "{}"),
    "upload": ("upload", "rows.csv"),
    "verify": ("verify", "--yes"),
    "dlq redrive": ("dlq", "redrive", "--all"),
    "dlq discard": ("dlq", "discard", "test-m-1", "--note", "why", "--yes"),
    "dlq purge": ("dlq", "purge", "--yes"),
    "reprocess": ("reprocess", "--all"),
    "pause": ("pause",),
    "resume": ("resume",),
    "executions stop": ("executions", "stop", "last"),
    "executions retry": ("executions", "retry", "last"),
    "executions pause": ("executions", "pause", "last"),
    "executions resume": ("executions", "resume", "last"),
}


@pytest.fixture
def local_cloud(monkeypatch: pytest.MonkeyPatch) -> None:
    """A local cloud that is up for this folder."""
    variables = {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}
    monkeypatch.setattr("pipelinectl.local.client_environment_if_up", lambda _: variables)


@pytest.fixture(autouse=True)
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.csv").write_text("a\n1\n")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", CHANGES.values(), ids=CHANGES)
def test_aws_is_not_changed_beside_a_local_cloud_unless_it_is_meant(
    deployed: Deployed, local_cloud: None, command: tuple[str, ...]
) -> None:
    give_up(deployed)

    result = deployed.run(*command)

    assert result.exit_code == 2
    assert f"this goes to {PLACE}, and a local cloud is up" in result.stderr
    assert "--aws" in result.stderr
    assert result.stderr.count("\n") == 1
    assert deployed.again() == []
    assert "dead letter" in deployed.run("dlq", "list").stderr
    assert deployed.s3.list_objects_v2(Bucket="test-input")["KeyCount"] == 0


def test_with_aws_it_is_meant(deployed: Deployed, local_cloud: None) -> None:
    assert deployed.run("send", "{}", "--aws").exit_code == 0
    assert deployed.bodies() == ["{}"]


@pytest.mark.parametrize(("answer", "sent"), [("y\n", ["{}"]), ("n\n", []), ("", [])])
def test_at_a_terminal_it_is_asked(
    deployed: Deployed,
    local_cloud: None,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    sent: list[str],
) -> None:
    monkeypatch.setattr(context, "in_a_terminal", lambda: True)

    result = deployed.run("send", "{}", stdin=answer)

    assert (result.exit_code == 0) == bool(sent)
    assert f"{PLACE}, and a local cloud is up for this folder: is AWS meant?" in result.stderr
    assert deployed.bodies() == sent


def test_a_console_without_changes_asks_nothing_and_with_them_it_does(
    deployed: Deployed, local_cloud: None
) -> None:
    result = deployed.run("console", "--allow-changes")

    assert result.exit_code == 2
    assert "is up for this folder" in result.stderr


def test_reading_from_aws_beside_a_local_cloud_asks_nothing(
    deployed: Deployed, local_cloud: None
) -> None:
    assert deployed.run("items").exit_code == 0
    assert deployed.run("dlq", "redrive", "--all", "--dry-run").exit_code == 0


def test_a_command_at_a_terminal_says_where_it_goes(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert deployed.run("items").stderr.count("using") == 0

    monkeypatch.setenv("FORCE_COLOR", "1")  # so that rich takes what is captured for a terminal

    assert f"using {PLACE}" in deployed.run("items").stderr
    assert "using" not in deployed.run("items", "--json").stderr


def test_every_command_that_changes_something_is_among_them() -> None:
    """A new command must be put on one of the two lists."""
    root = get_command(cli.app)
    names = set(_names(root))

    reads = {"items", "record", "status", "console", "cost", "doctor", "download", "demo"}
    reads |= {"objects list", "objects show", "executions list", "executions show"}
    reads |= {"dlq list", "dlq show", "logs"}
    assert {name for name in names if not name.startswith("local ")} == reads | set(CHANGES)


def _names(command: object, path: tuple[str, ...] = ()) -> list[str]:
    commands = getattr(command, "commands", None)
    if commands is None:
        return [" ".join(path)]
    return [n for name, one in commands.items() for n in _names(one, (*path, name))]
