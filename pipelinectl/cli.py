"""The command line as a whole: its commands, and what becomes of every error."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer

from pipelinectl import errors
from pipelinectl.aws import DEFAULT_STACK_NAME, Options
from pipelinectl.commands import LazyGroup
from pipelinectl.errors import ExitCode

_EXIT_CODES = (
    "Exit codes: 0 ok · 1 it failed or was not found · 2 wrong usage or input · "
    "3 AWS or the local cloud cannot be reached, or the stack is missing · "
    "4 rows were rejected (upload --wait) · 130 interrupted"
)

_AWS = "--aws"
_WITH_VALUES = ("--stack-name", "--profile", "--region")


class _ErrorBoundary(LazyGroup):
    """The one place where errors become a line on stderr and an exit code."""

    def main(self, args: Sequence[str] | None = None, *more: Any, **options: Any) -> NoReturn:
        options["standalone_mode"] = False  # it would print errors over several lines
        arguments = global_options_first(sys.argv[1:] if args is None else args)
        try:
            code = super().main(arguments, *more, **options)
        except (typer.TyperException, typer.Abort) as error:
            errors.report(errors.explain_usage(error))
            code = ExitCode.USAGE
        sys.exit(code or ExitCode.OK)

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            # What is still buffered may meet a closed pipe: here, not when Python shuts down.
            sys.stdout.flush()
        except BrokenPipeError:
            _discard_stdout()
            raise typer.Exit(ExitCode.OK) from None
        except KeyboardInterrupt as interrupt:
            errors.report(str(interrupt) or "interrupted")
            raise typer.Exit(ExitCode.INTERRUPTED) from None
        except errors.expected() as error:
            failure = errors.explain(error)
            errors.report(failure.line)
            raise typer.Exit(failure.exit_code) from error
        return result


def global_options_first(arguments: Sequence[str]) -> list[str]:
    """The global options before the command, wherever they stand; what follows `--` is text."""
    first: list[str] = []
    rest: list[str] = []
    left = iter(arguments)
    for argument in left:
        name, has_value, _ = argument.partition("=")
        if argument == "--":
            rest += [argument, *left]
        elif argument == _AWS or (has_value and name in _WITH_VALUES):
            first.append(argument)
        elif argument in _WITH_VALUES and (value := next(left, None)) is not None:
            first += [argument, value]
        else:
            rest.append(argument)
    return first + rest


app = typer.Typer(
    name="pipelinectl",
    cls=_ErrorBoundary,
    no_args_is_help=True,
    epilog=_EXIT_CODES,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer passes the flag
    if value:
        from importlib import metadata  # a tenth of a second that nothing else need wait for

        typer.echo(f"pipelinectl {metadata.version('durable-pipeline')}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
    stack_name: Annotated[
        str,
        typer.Option(
            "--stack-name",
            envvar="PIPELINE_STACK_NAME",
            help="The CloudFormation stack whose outputs say where everything is.",
        ),
    ] = DEFAULT_STACK_NAME,
    profile: Annotated[
        str | None, typer.Option("--profile", help="A profile of the AWS configuration files.")
    ] = None,
    region: Annotated[str | None, typer.Option("--region", help="The AWS region.")] = None,
    aws: Annotated[
        bool, typer.Option(_AWS, help="AWS is meant, even if a local cloud is up for this folder.")
    ] = False,
) -> None:
    """Operate a durable-pipeline, on AWS or on this machine.

    It talks to the AWS that the options or the environment name (AWS_PROFILE, AWS_ENDPOINT_URL,
    keys). Where nothing is named and a local cloud is up for this folder, it uses that. Each
    command says on stderr where it went. These options may stand before or after the command.

    Example:
    - `pipelinectl send '{"data_source": "test.csv", "processing_type": "standard"}'`
    """
    ctx.obj = Options(stack_name, profile, region, aws)


def main() -> NoReturn:
    """Run the command line and leave the process with its exit code."""
    try:
        app(prog_name="pipelinectl")
    except KeyboardInterrupt:
        sys.exit(ExitCode.INTERRUPTED)
    sys.exit(ExitCode.OK)


def _discard_stdout() -> None:
    """Whoever read our output has had enough: that is no error, and nobody is there to tell."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
