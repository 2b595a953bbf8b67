"""`pipelinectl status`: what lies where in the pipeline now."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

import typer

from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.commands.output import counted, duration, out, print_json, table
from pipelinectl.commands.watching import Watch, show
from pipelinectl.status import MOST, document, look

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import RenderableType

    from pipelinectl.commands.context import Pipeline
    from pipelinectl.status import Status


def status(ctx: typer.Context, *, watch: Watch = False, as_json: JsonFlag = False) -> None:
    """Say what lies where now: in each queue, under way, and what the last hour brought.

    Counts are SQS's estimates; a queue's oldest message is known where CloudWatch knows it, some
    minutes late. With --json: one object; ages in seconds, null where nobody knows.

    Examples:
    - `pipelinectl status`
    - `pipelinectl status --watch`
    - `pipelinectl status --json`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    show(partial(_show, pipeline, as_json=as_json), watch=watch, as_json=as_json)


def _show(pipeline: Pipeline, *, as_json: bool) -> None:
    now = datetime.now(UTC)
    found = look(pipeline.connection, pipeline.stack, pipeline.executions, now)
    if as_json:
        print_json(document(found))
        return
    for part in render_status(found, pipeline.stack.name):
        out().print(part)


def render_status(found: Status, stack_name: str) -> Iterator[RenderableType]:
    """One line a queue, and below it executions and the last hour."""
    from rich.text import Text

    counts = ("waiting", "in flight", "delayed", "oldest")
    shown = table("queue", *counts, spare=("delayed", "oldest"), right=counts)
    for queue in found.queues:
        shown.add_row(
            Text(queue.name.removeprefix(f"{stack_name}-")),
            f"{queue.waiting:,}",
            f"{queue.in_flight:,}",
            f"{queue.delayed:,}",
            duration(queue.oldest_seconds),
        )
    yield shown
    yield Text()
    if found.paused:
        paused = ", ".join(found.paused)
        yield Text(f"paused: {paused} ('pipelinectl resume' lets them in again)", style="yellow")
    yield Text(f"{_up_to(len(found.running))} running now")
    yield Text(f"{_up_to(len(found.failed))} failed as a whole in the last hour")
    hour = found.last_hour
    if hour.stored is not None:
        yield Text(f"{counted(hour.stored, 'item')} stored in the last hour")
    if hour.dead_letters is not None:
        yield Text(f"{counted(hour.dead_letters, 'dead letter')} in the last hour")


def _up_to(count: int) -> str:
    return f"{counted(count, 'execution')}{' or more' if count == MOST else ''}"
