"""`pipelinectl dlq`."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.dead_letters import DeadLetter, Filter, grouped
from pipelinectl.rendering.console import note, out, print_json
from pipelinectl.rendering.formatting import counted

app = typer.Typer(
    name="dlq", no_args_is_help=True, help="See what could not be processed, and why."
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
    - `pipelinectl dlq list --reason SchemaViolation --json`
    """
    queue = open_pipeline(ctx, quiet=as_json).dead_letters
    letters = list(queue.peek(only=Filter(stage, reason), limit=limit))
    if as_json:
        print_json([document(letter) for letter in letters])
    else:
        print_dead_letters(letters)
        more = f", there may be more: --limit (about {queue.about():,} in all)"
        note(f"{counted(len(letters), 'dead letter')}{more if len(letters) == limit else ''}")


def print_dead_letters(letters: list[DeadLetter]) -> None:
    """Print the reasons with their counts, then one line a dead letter."""
    from pipelinectl.rendering.tables import reasons_table, render_dead_letters

    if letters:
        console = out()
        console.print(reasons_table(grouped(letters)))
        console.print()
        for part in render_dead_letters(letters, datetime.now(UTC)):
            console.print(part)


def document(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as JSON."""
    return {
        "message_id": letter.message_id,
        "execution_id": letter.execution_id,
        "stage": letter.stage,
        "error_type": letter.error_type,
        "error_message": letter.error_message,
        "errors": letter.errors,
        "attempts": letter.attempts,
        "failed_at": letter.failed_at,
        "attributes": letter.attributes,
        "body": letter.body,
    }
