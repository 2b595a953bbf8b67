"""The command line as a whole: its commands, and what becomes of every error."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from pipelinectl import errors
from pipelinectl.aws import DEFAULT_STACK_NAME, Options
from pipelinectl.commands import dlq, executions, local, objects
from pipelinectl.commands.console import console
from pipelinectl.commands.cost import cost
from pipelinectl.commands.demo import demo
from pipelinectl.commands.doctor import doctor
from pipelinectl.commands.doors import pause, resume
from pipelinectl.commands.items import items
from pipelinectl.commands.objects import download
from pipelinectl.commands.record import record
from pipelinectl.commands.reprocess import reprocess
from pipelinectl.commands.send import send
from pipelinectl.commands.status import status
from pipelinectl.commands.upload import upload
from pipelinectl.commands.verify import verify
from pipelinectl.errors import ExitCode

_EXIT_CODES = (
    "Exit codes: 0 ok · 1 it failed or was not found · 2 wrong usage or input · "
    "3 AWS or the local cloud cannot be reached, or the stack is missing · "
    "4 rows were rejected (upload --wait) · 130 interrupted"
)

_AWS = "--aws"
_WITH_VALUES = ("--stack-name", "--profile", "--region")


class _ErrorBoundary(TyperGroup):
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
app.add_typer(local.app)
app.command()(send)
app.command()(upload)
app.command()(download)
app.command()(items)
app.command()(status)
app.command()(record)
app.command()(reprocess)
app.command()(pause)
app.command()(resume)
app.add_typer(objects.app)
app.add_typer(executions.app)
app.add_typer(dlq.app)
app.command()(cost)
app.command()(console)
app.command()(demo)
app.command()(doctor)
app.command()(verify)


def _show_version(value: bool) -> None:  # noqa: FBT001 - typer passes the flag
    if value:
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
