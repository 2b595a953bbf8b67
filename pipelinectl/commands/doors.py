"""`pipelinectl pause` and `pipelinectl resume`: the intake, as a whole or by door."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.commands.output import counted, note, print_json
from pipelinectl.doors import DoorName, Doors
from pipelinectl.errors import OperationFailedError

if TYPE_CHECKING:
    from pipelinectl.doors import Mapping

_NO_QUEUE = (
    "direct/ has no queue to pause: what is put there starts an execution as ever; put it below "
    "input/ instead"
)
_WAIT_SECONDS = 3600
_POLL_SECONDS = 2.0
_UNFINISHED = ("RUNNING", "PAUSING", "PAUSED")

Door = Annotated[
    DoorName | None,
    typer.Option("--door", help="Only this one, by what its queue brings; all, if not given."),
]


def pause(
    ctx: typer.Context,
    *,
    door: Door = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Also wait until no execution runs any more.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait for executions, at most.")
    ] = _WAIT_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Pause the intake: disable the event source mappings, and wait until they are.

    Messages wait in their queues, for up to 14 days, and none counts as delivered. Executions that
    run go on to their end. What is put below direct/ still starts one: S3 invokes the function
    itself. With --json: {"doors": {...}, "running": N}, N executions that had not ended.

    Examples:
    - `pipelinectl pause --wait`
    - `pipelinectl pause --door files`
    """
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    mappings = Doors(pipeline.connection.lambda_, pipeline.stack).pause(_meant(door))
    running = _running(pipeline)
    if wait and running:
        running = _until_none_runs(pipeline, timeout, quiet=as_json)
    _report(mappings, "paused", running, as_json=as_json)
    if not as_json:
        note(_NO_QUEUE)
    if wait and running:
        msg = f"{counted(running, 'execution')} had not ended after {timeout:.0f} seconds"
        raise OperationFailedError(f"{msg}: see 'pipelinectl executions list --status RUNNING'")


def resume(ctx: typer.Context, *, door: Door = None, as_json: JsonFlag = False) -> None:
    """Resume the intake: enable the event source mappings, and wait until they are.

    With --json: {"doors": {...}}.

    Examples:
    - `pipelinectl resume`
    - `pipelinectl resume --door files`
    """
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    mappings = Doors(pipeline.connection.lambda_, pipeline.stack).resume(_meant(door))
    _report(mappings, "resumed", None, as_json=as_json)


def _meant(door: DoorName | None) -> Sequence[DoorName] | None:
    return None if door is None else (door,)


def _running(pipeline: Pipeline) -> int:
    return sum(1 for _ in pipeline.executions.newest(statuses=_UNFINISHED))


def _until_none_runs(pipeline: Pipeline, timeout: float, *, quiet: bool) -> int:
    """How many still run at the end."""
    give_up_at = time.monotonic() + timeout
    running = _running(pipeline)
    if not quiet:
        note(f"waiting for {counted(running, 'execution')} to end")
    while running and time.monotonic() < give_up_at:
        time.sleep(_POLL_SECONDS)
        running = _running(pipeline)
    return running


def _report(mappings: Sequence[Mapping], what: str, running: int | None, *, as_json: bool) -> None:
    if as_json:
        doors = {mapping.door: mapping.state for mapping in mappings}
        print_json({"doors": doors} | ({} if running is None else {"running": running}))
        return
    typer.echo(f"{what} {', '.join(mapping.door for mapping in mappings)}")
    if running is not None:
        still = f"not ended yet: {counted(running, 'execution')}"
        typer.echo(still if running else "no execution is running")
