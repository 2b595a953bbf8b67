import pytest
from typer.testing import CliRunner

from pipelinectl import local
from pipelinectl.cli import app
from pipelinectl.errors import OperationFailedError, UnreachableError

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
