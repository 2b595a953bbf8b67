"""`pipelinectl local`."""

import contextlib
import os
import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from pipelinectl import local
from pipelinectl.aws import FUNCTION_ROLES, Connection
from pipelinectl.commands.context import JsonFlag, options_of
from pipelinectl.commands.output import (
    clock,
    duration,
    err,
    out,
    print_json,
    print_json_line,
    step,
    table,
)
from pipelinectl.errors import NotFoundError
from pipelinectl.local import FileLog, LogLine
from pipelinectl.logs import FunctionLogs, LogEvent, groups

if TYPE_CHECKING:
    from localcloud.settings import Settings
    from localcloud.supervisor import ProcessStatus
    from localcloud.watch import Watch

app = typer.Typer(
    name="local", no_args_is_help=True, help="Run the whole pipeline on this machine."
)

_DEFAULT_LOG = "durable-pipeline"
_LOOK_EVERY_SECONDS = 0.3
_ALWAYS = datetime.fromtimestamp(0, UTC)


@app.command()
def up(
    ctx: typer.Context,
    *,
    deploy: Annotated[
        bool, typer.Option("--deploy/--no-deploy", help="Build and deploy template.yaml as well.")
    ] = True,
    parameter: Annotated[
        list[str] | None,
        typer.Option(
            "--parameter",
            metavar="NAME=VALUE",
            help="A value for a parameter of template.yaml; may be repeated. Others have their "
            "defaults, some of them shorter ones for a laptop.",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Then put each change in src/ live within seconds; Ctrl-C ends that, and the "
            "local cloud stays up.",
        ),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Start the local cloud and deploy the pipeline to it.

    template.yaml is looked for in this folder and above. What runs already is left running. With
    --watch, what is saved in src/ goes live in the functions that carry it, unless it has a syntax
    error; a change of template.yaml, of a requirements.txt or of how functions are built takes
    another `local up`. With --json: the stack's outputs, {} with --no-deploy.

    Examples:
    - `pipelinectl local up`
    - `pipelinectl local up --watch`
    - `pipelinectl local up --parameter BatchSize=100`
    """
    settings = local.settings_from(os.environ)
    stack_name = options_of(ctx).stack_name
    template = local.find_template(Path.cwd()) if deploy or watch else None
    parameters = local.parameters(template, parameter or []) if template and deploy else {}
    start(settings)
    # From before the deployment: what is saved during it is not lost.
    watched = local.watch(settings, template, stack_name) if template and watch else None
    outputs = _deploy(settings, template, stack_name, parameters) if template and deploy else {}
    if as_json:
        print_json(outputs)
    else:
        for name, value in sorted(outputs.items()):
            typer.echo(f"{name}={value}")
    if watched:
        _watch(watched)


@app.command()
def down(*, as_json: JsonFlag = False) -> None:
    """Stop the local cloud; what it stored stays for the next start.

    With --json: {"stopped": [...]}.

    Example:
    - `pipelinectl local down`
    """
    stopped = local.stop(local.settings_from(os.environ))
    if as_json:
        print_json({"stopped": stopped})
    else:
        typer.echo(f"stopped {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def status(*, as_json: JsonFlag = False) -> None:
    """Say what of the local cloud runs; ends with 1 when it is not up.

    With --json: an array of processes; 'since' is in seconds since 1970.

    Example:
    - `pipelinectl local status`
    """
    statuses = local.processes(local.settings_from(os.environ))
    if as_json:
        print_json([vars(process) for process in statuses])
    else:
        out().print(processes_table(statuses, time.time()))
    if not local.is_up(statuses):
        msg = "the local cloud is not up: start it with 'pipelinectl local up'"
        raise NotFoundError(msg)


@app.command()
def logs(
    ctx: typer.Context,
    name: Annotated[
        str,
        typer.Argument(
            metavar="FUNCTION|PROCESS",
            help=f"{', '.join(FUNCTION_ROLES)} or another function's name; or ministack, runner, "
            "gateway, supervisor.",
        ),
    ] = _DEFAULT_LOG,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes; Ctrl-C ends it.")
    ] = False,
    limit: Annotated[int, typer.Option("--limit", min=0, help="Begin with this many lines.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """Show the log of a function, or of a process of the local cloud.

    With --json: one object a line, because --follow has no end.

    Examples:
    - `pipelinectl local logs store --limit 20`
    - `pipelinectl local logs gateway --follow`
    """
    settings = local.settings_from(os.environ)
    for line in _log_lines(settings, options_of(ctx).stack_name, name, limit, follow=follow):
        _print_log_line(line, as_json=as_json)


@app.command()
def env(*, as_json: JsonFlag = False) -> None:
    """Print the variables that lead any AWS client to the local cloud.

    With --json: one object.

    Example:
    - `eval "$(pipelinectl local env)" && aws sqs list-queues`
    """
    variables = local.client_environment(local.settings_from(os.environ))
    if as_json:
        print_json(variables)
    else:
        for name, value in variables.items():
            typer.echo(f"export {name}={shlex.quote(value)}")


@app.command()
def kill(
    ctx: typer.Context,
    target: Annotated[
        str,
        typer.Argument(metavar="TARGET", help="A function (validate, ...) or a process (gateway)."),
    ],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Kill a function's workers or a process of the local cloud, to see that nothing is lost.

    It is SIGKILL, with no time to clean up; processes are started again by themselves. Ends with
    1 when nothing of that name runs. With --json: {"killed": [process ids]}.

    Example:
    - `pipelinectl local kill transform`
    """
    settings = local.settings_from(os.environ)
    killed = local.kill(settings, options_of(ctx).stack_name, target)
    if not killed:
        msg = f"nothing of '{target}' runs now: workers start when messages come"
        raise NotFoundError(msg)
    if as_json:
        print_json({"killed": killed})
    else:
        typer.echo(f"killed {', '.join(map(str, killed))}")


def start(settings: "Settings") -> None:
    """Start the local cloud as a step that shows on stderr."""
    names = ", ".join(process.name for process in local.processes(settings))
    with step(err(), f"local cloud is up: {names}"):
        local.start(settings)


def _deploy(
    settings: "Settings", template: Path, stack_name: str, parameters: Mapping[str, str]
) -> dict[str, str]:
    with step(err(), f"{template.name} is deployed as {stack_name}") as detail:
        return local.deploy(settings, template, stack_name, parameters, detail)


def _watch(watched: "Watch") -> None:
    """Tell on stderr what goes live, until Ctrl-C."""
    typer.echo("watching src/: Ctrl-C ends it, and the local cloud stays up", err=True)
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            with local.told_plainly():
                told = watched.poll()
            if told:
                typer.echo(told, err=True)
            time.sleep(_LOOK_EVERY_SECONDS)


def _log_lines(
    settings: "Settings", stack_name: str, name: str, limit: int, *, follow: bool
) -> Iterator[LogLine | LogEvent]:
    path = local.log_file(settings, name)
    if path is not None:
        return FileLog(path).lines(limit, follow=follow)
    connection = Connection(local.client_environment(settings))
    log = FunctionLogs(connection.logs, groups(stack_name, name))
    return log.lines(_ALWAYS, limit=limit, follow=follow)


def _print_log_line(line: LogLine | LogEvent, *, as_json: bool) -> None:
    if as_json:
        print_json_line({"at": line.at, "text": line.text})
    else:
        typer.echo(line.text if line.at is None else f"{clock(line.at)} {line.text}")


def processes_table(statuses: "Sequence[ProcessStatus]", now: float) -> Table:
    """One line a process of the local cloud."""
    found = table("process", "state", "pid", "port", "restarts", "since")
    for status in statuses:
        running = status.state == "running"
        found.add_row(
            status.name,
            Text(status.state, style="green" if running else "yellow"),
            "" if status.pid is None else str(status.pid),
            str(status.port),
            str(status.restarts),
            "" if status.since is None else duration(now - status.since),
        )
    return found
