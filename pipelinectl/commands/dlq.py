"""`pipelinectl dlq`."""

import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated

import typer

from pipelinectl import redelivery
from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.commands.letters import document, print_dead_letters
from pipelinectl.commands.redrive import redrive
from pipelinectl.dead_letters import Filter
from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.rendering.console import note, out, print_json
from pipelinectl.rendering.formatting import counted
from pipelinectl.selection import meant

app = typer.Typer(
    name="dlq",
    no_args_is_help=True,
    help="See what could not be processed, and why; send it again.",
)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Read at most this many.")] = 100,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only those given up at this stage.")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Only this error type, or this text in the error message."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """List dead letters with their reasons; they stay in the dead-letter queue.

    While it reads, the messages are hidden from other readers for a few seconds. With --json: an
    array of dead letters, bodies untouched.

    Examples:
    - `pipelinectl dlq list --stage validate`
    - `pipelinectl dlq list --reason ValidationError --json`
    """
    queue = open_pipeline(ctx, quiet=as_json).dead_letters
    letters = list(queue.peek(only=Filter(stage, reason), limit=limit))
    if as_json:
        print_json([document(letter) for letter in letters])
    else:
        print_dead_letters(letters)
        more = f", there may be more: --limit (about {queue.about():,} in all)"
        note(f"{counted(len(letters), 'dead letter')}{more if len(letters) == limit else ''}")


@app.command()
def show(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Message id, its beginning, or execution_id of a dead letter."
        ),
    ],
    *,
    as_json: JsonFlag = False,
) -> None:
    """Show all of a dead letter: every reason, its body and attributes, how to send it again.

    An execution_id may have several dead letters: all of them are shown. With --json: an array
    of dead letters, bodies untouched.

    Example:
    - `pipelinectl dlq show 3f2a`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    with closing(pipeline.dead_letters.peek()) as letters:
        found = meant(letters, [reference])
    if as_json:
        print_json([document(letter) for letter in found])
        return
    from pipelinectl.rendering.dead_letter import render_dead_letter

    for letter in found:
        again = redelivery.of_letter(
            letter, pipeline.stack.environment, read=pipeline.payload_reader
        )
        for part in render_dead_letter(letter, again, datetime.now(UTC)):
            out().print(part)


app.command()(redrive)


@app.command()
def purge(
    ctx: typer.Context,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete all dead letters for good, those included that arrive in the next minute.

    Asks first, and refuses where there is no terminal to ask in. With --json: {"purged": N}, N as
    SQS estimates it.

    Example:
    - `pipelinectl dlq purge --yes`
    """
    if not yes and not in_a_terminal():
        msg = "nobody can be asked without a terminal: give --yes to delete all dead letters"
        raise UsageError(msg)
    queue = open_pipeline(ctx, quiet=as_json).dead_letters
    count = queue.about()
    what = f"about {counted(count, 'dead letter')}"
    if not yes and not typer.confirm(f"Delete {what} for good?", err=True):
        msg = f"not confirmed: {what} stay"
        raise OperationFailedError(msg)
    queue.purge()
    if as_json:
        print_json({"purged": count})
    else:
        typer.echo(f"deleted {what}")


def in_a_terminal() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()
