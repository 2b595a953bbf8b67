"""`pipelinectl executions`."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.commands.delivery import (
    delivery_document,
    refusal,
    send_all,
)
from pipelinectl.errors import NotFoundError
from pipelinectl.executions import Execution
from pipelinectl.rendering.console import note, out, print_json
from pipelinectl.rendering.formatting import counted
from pipelinectl.retry import messages
from pipelinectl.timeline import NoHistoryError, build_timeline

app = typer.Typer(
    name="executions", no_args_is_help=True, help="See, stop and retry durable executions."
)

_MAY_COME_BACK = (
    "the same messages may also come back by themselves after the queue's visibility timeout: "
    "harmless, they are the same records"
)

Reference = Annotated[
    str, typer.Argument(metavar="ARN", help="ARN or name of an execution, or 'last'.")
]


class Status(StrEnum):
    """Statuses of a durable execution, in AWS's words."""

    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    TIMED_OUT = "TIMED_OUT"
    STOPPED = "STOPPED"
    PAUSING = "PAUSING"
    PAUSED = "PAUSED"
    DELETING = "DELETING"


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    status: Annotated[
        Status | None,
        typer.Option("--status", case_sensitive=False, help="Only executions with this status."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """List durable executions, newest first.

    With --json: an array of executions with ARN, name, status and times.

    Examples:
    - `pipelinectl executions list --status FAILED`
    - `pipelinectl executions list --limit 1 --json`
    """
    executions = open_pipeline(ctx, quiet=as_json).executions
    statuses = (status.value,) if status else ()
    found = list(executions.newest(statuses=statuses, limit=limit))
    if as_json:
        print_json([_document(execution) for execution in found])
        return
    from pipelinectl.rendering.tables import executions_table

    if found:
        out().print(executions_table(found))
    more = ", there may be more: --limit" if len(found) == limit else ""
    note(f"{counted(len(found), 'execution')}{more}")


@app.command()
def show(ctx: typer.Context, execution: Reference, *, as_json: JsonFlag = False) -> None:
    """Show the timeline of one durable execution: every operation, attempt and error.

    'try' counts the starts of a step, and the tries of a chained invoke that was done again
    after a failure. With --json: one object; offsets and durations are in seconds.

    Examples:
    - `pipelinectl executions show last`
    - `pipelinectl executions show "$ARN" --json`
    """
    executions = open_pipeline(ctx, quiet=as_json).executions
    arn = executions.resolve(execution)
    try:
        timeline = build_timeline(executions.history(arn))
    except NoHistoryError as error:
        msg = f"execution '{arn}': {error}: its retention period may be over"
        raise NotFoundError(msg) from error
    from pipelinectl.rendering.timeline import render_timeline, timeline_document

    if as_json:
        print_json(timeline_document(timeline, arn))
    else:
        console = out()
        for part in render_timeline(timeline, arn, console.width):
            console.print(part)


@app.command()
def stop(ctx: typer.Context, execution: Reference, *, as_json: JsonFlag = False) -> None:
    """Stop a running durable execution for good.

    Its messages come back to the queue when their visibility timeout ends. With --json: the ARN
    and the time it stopped.

    Example:
    - `pipelinectl executions stop "$ARN"`
    """
    executions = open_pipeline(ctx, quiet=as_json).executions
    arn = executions.resolve(execution)
    stopped_at = executions.stop(arn)
    if as_json:
        print_json({"durable_execution_arn": arn, "stopped_at": stopped_at})
    else:
        typer.echo(f"stopped {arn}")


@app.command()
def retry(
    ctx: typer.Context,
    execution: Reference,
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Also if it succeeded; its items are written again.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Send all records of a failed durable execution again, as the same records.

    They go to the pipeline's internal queue, and not only those that failed: one that is an item
    already is written again, to the same key. Only for executions that are FAILED, TIMED_OUT or
    STOPPED. With --json: {"sent": N, "message_ids": [...], "refused": [...]}.

    Examples:
    - `pipelinectl executions retry last`
    - `pipelinectl executions retry "$ARN" --json`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    arn = pipeline.executions.resolve(execution)
    found = pipeline.executions.input_of(arn)
    again = messages(found, pipeline.stack.environment, force=force, read=pipeline.payload_reader)
    outcome = send_all(pipeline.resender, again, quiet=as_json)
    note(_MAY_COME_BACK)
    if as_json:
        print_json({"durable_execution_arn": arn} | delivery_document(outcome))
    else:
        typer.echo(f"sent {counted(len(outcome.sent), 'message')}")
    if outcome.refused:
        raise refusal(outcome.refused, "retry the execution again")


def _document(execution: Execution) -> dict[str, Any]:
    return {
        "durable_execution_arn": execution.arn,
        "name": execution.name,
        "status": execution.status,
        "started_at": execution.started_at,
        "ended_at": execution.ended_at,
        "duration_seconds": execution.seconds,
    }
