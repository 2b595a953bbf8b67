import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from pipelinectl import local
from pipelinectl.cli import app, global_options_first
from pipelinectl.commands import PLACES
from pipelinectl.errors import OperationFailedError, UnreachableError

ROOT: Any = get_command(app)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, subcommand in subcommands.items():
        yield from commands(subcommand, (*path, name))


EVERY = [pytest.param(path, command, id=" ".join(path)) for path, command in commands(ROOT)]


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...], command: Any) -> None:
    assert f"pipelinectl {' '.join(path)}" in command.help


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_command_takes_json_and_says_what_it_prints(
    path: tuple[str, ...], command: Any
) -> None:
    assert "--json" in {option for parameter in command.params for option in parameter.opts}
    if path != ("items",):
        assert "--json" in command.help


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_option_has_a_help_text(path: tuple[str, ...], command: Any) -> None:
    assert [p.name for p in command.params if p.name != "help" and not p.help] == []


@pytest.mark.parametrize(("path", "command"), EVERY)
def test_every_help_can_be_printed(path: tuple[str, ...], command: Any) -> None:
    result = CliRunner().invoke(app, [*path, "--help"])

    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.parametrize("path", [[], ["items"], ["dlq", "redrive"]])
def test_h_is_help(path: list[str]) -> None:
    runner = CliRunner()

    short, whole = (runner.invoke(app, [*path, option]) for option in ("-h", "--help"))

    assert (short.exit_code, short.output) == (0, whole.output)


def test_help_documents_the_exit_codes() -> None:
    words = " ".join(CliRunner().invoke(app, ["--help"]).output.split())

    for said in ("0 ok", "1 it failed", "2 wrong usage", "3 AWS", "130 interrupted"):
        assert said in words


@pytest.mark.parametrize("name", PLACES)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str) -> None:
    assert ROOT.commands[name].get_short_help_str(limit=1000) == PLACES[name].summary


@pytest.mark.parametrize("name", PLACES)
def test_the_list_of_commands_has_every_command(name: str) -> None:
    listed = re.findall(r"^│ ([a-z]+) ", CliRunner().invoke(app, ["--help"]).output, re.MULTILINE)

    assert name in listed


COMMANDS = {f"pipelinectl.commands.{place.module}" for place in PLACES.values()}


def imported_by(*arguments: str, **environment: str) -> set[str]:
    """The modules that are imported when the command line has done this."""
    code = (
        "import atexit, sys\n"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr))\n"
        "from pipelinectl.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | environment,
    )
    return set(done.stderr.split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_waits_for_no_command(arguments: list[str]) -> None:
    imported = imported_by(*arguments)

    assert "pipelinectl.cli" in imported
    assert imported & (COMMANDS | {"boto3", "botocore", "localcloud"}) == set()


def test_completion_of_a_command_waits_for_none() -> None:
    line = {"COMP_WORDS": "pipelinectl i", "COMP_CWORD": "1"}

    imported = imported_by(_PIPELINECTL_COMPLETE="complete_bash", **line)

    assert "pipelinectl.cli" in imported
    assert imported & COMMANDS == set()


def test_a_command_waits_for_no_other() -> None:
    imported = imported_by("items", "--help")

    assert imported & COMMANDS == {"pipelinectl.commands.items"}


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["i"], ["items"]),
        (["dlq", "re"], ["redrive"]),
        (["executions", "list", "--stat"], ["--status"]),
        (["executions", "list", "--status", "TI"], ["TIMED_OUT"]),
    ],
)
def test_completion_offers_commands_options_and_values(
    words: list[str], offered: list[str]
) -> None:
    line = {"COMP_WORDS": shlex.join(["pipelinectl", *words]), "COMP_CWORD": str(len(words))}

    result = CliRunner().invoke(
        app, [], env={"_PIPELINECTL_COMPLETE": "complete_bash", **line}, prog_name="pipelinectl"
    )

    assert result.output.split() == offered


@pytest.mark.parametrize(
    ("given", "arranged"),
    [
        (["items", "--stack-name", "s"], ["--stack-name", "s", "items"]),
        (["items", "--region=r", "--json"], ["--region=r", "items", "--json"]),
        (["dlq", "purge", "--aws", "--yes"], ["--aws", "dlq", "purge", "--yes"]),
        (["send", "--", "--profile"], ["send", "--", "--profile"]),
        (["send", "--count", "2", "--aws-like"], ["send", "--count", "2", "--aws-like"]),
        (["items", "--profile"], ["items", "--profile"]),
        ([], []),
    ],
)
def test_global_options_may_stand_before_or_after_the_command(
    given: list[str], arranged: list[str]
) -> None:
    assert global_options_first(given) == arranged


RUN = CliRunner()


def raising(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["sends"], "No such command 'sends'"),
        (["items", "--nonsense"], "No such option: --nonsense"),
        (["items", "--limit", "0"], "--limit"),
        (["send"], "exactly one of them"),
        (["send", "a", "--file", "b"], "exactly one of them"),
        (["items", "--id", "x", "--count"], "--id names one item"),
        (["send", "--file", "no/such/file"], "no/such/file: No such file or directory"),
        (["executions", "list", "--status", "TIRED"], "--status"),
        (["dlq", "redrive"], "--all alone, or any of --id"),
        (["dlq", "purge"], "give --yes"),
    ],
)
def test_wrong_usage_is_one_line_and_2(arguments: list[str], said: str) -> None:
    result = RUN.invoke(app, arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("pipelinectl: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (OperationFailedError("it broke"), 1, "it broke"),
        (UnreachableError("nobody there"), 3, "nobody there"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_what_goes_wrong_in_a_command_ends_with_its_code(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, said: str
) -> None:
    monkeypatch.setattr(local, "stop", raising(error))
    monkeypatch.setattr("pipelinectl.cli._discard_stdout", lambda: None)

    result = RUN.invoke(app, ["local", "down"])

    assert result.exit_code == code
    assert said in result.stderr
    assert result.stderr.count("\n") == (1 if said else 0)


def test_a_defect_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "stop", raising(ZeroDivisionError("a bug")))

    assert isinstance(RUN.invoke(app, ["local", "down"]).exception, ZeroDivisionError)
