"""`pipelinectl dlq redrive`."""

from contextlib import closing
from typing import Annotated, Any

import typer

from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.commands.delivery import refusal, refusals_document
from pipelinectl.commands.letters import document, print_dead_letters
from pipelinectl.commands.mending import by, by_editor, replacement
from pipelinectl.dead_letters import DeadLetter, Filter
from pipelinectl.errors import UsageError
from pipelinectl.pace import Pace
from pipelinectl.redrive import HOLD_SECONDS, Account, Redrive
from pipelinectl.rendering.console import note, print_json
from pipelinectl.rendering.formatting import counted
from pipelinectl.rendering.progress import progress
from pipelinectl.selection import meant

_SHOWN = 3
_SLOWEST = 0.1


def redrive(
    ctx: typer.Context,
    *,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", help="This one: message id, its beginning, or execution_id. May be repeated."
        ),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option("--reason", help="Only this error type, or this text in the error message."),
    ] = None,
    stage: Annotated[
        str | None, typer.Option("--stage", help="Only those given up at this stage.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are there now.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be sent.")
    ] = False,
    edit: Annotated[
        bool,
        typer.Option(
            "--edit",
            help="Open each body in $VISUAL or $EDITOR first; one that is left unchanged or "
            "emptied stays a dead letter.",
        ),
    ] = False,
    body: Annotated[
        str | None,
        typer.Option(
            "--body", help="Send this body instead, of exactly one dead letter; - reads stdin."
        ),
    ] = None,
    body_file: Annotated[
        str | None, typer.Option("--body-file", help="Like --body, from a file; - reads stdin.")
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=_SLOWEST, help="Send at most so many messages a second."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send dead letters to the pipeline's internal queue, as the same records.

    A message is deleted from the dead-letter queue only after the internal queue accepted it,
    and keeps its producer's attributes, its execution_id, and the time it was first sent: however
    often it is sent, it becomes one item. With --json: one object with the message ids of what
    was sent, refused, left and not deleted; with --dry-run an array of dead letters.

    Examples:
    - `pipelinectl dlq redrive --reason TooManyRequestsException --dry-run`
    - `pipelinectl dlq redrive --all --rate 50`
    - `pipelinectl dlq redrive --id 3f2a --edit`
    - `jq .quantity=1 body.json | pipelinectl dlq redrive --id 3f2a --body -`
    """
    only = Filter(stage, reason)
    _check(ids or [], only, every=every)
    replaced = replacement(body, body_file, edit=edit)
    pipeline = open_pipeline(ctx, quiet=as_json)
    chosen = _chosen(pipeline, ids or [], only)
    if replaced:
        _check_single(chosen)
    if dry_run:
        _show(chosen, as_json=as_json)
        return
    mend = by_editor if edit else by(replaced) if replaced else None
    plan = Redrive(
        pipeline.dead_letters,
        pipeline.resender,
        pipeline.stack.environment,
        Pace(rate),
        mend,
        pipeline.payload_reader,
    )
    account = _run(plan, [one.message_id for one in chosen], quiet=as_json or edit)
    _report(account, len(chosen), as_json=as_json)


def _check(ids: list[str], only: Filter, *, every: bool) -> None:
    narrowed = bool(ids) or only != Filter()
    if every == narrowed:
        msg = "say which dead letters: --all alone, or any of --id, --reason and --stage"
        raise UsageError(msg)


def _chosen(pipeline: Pipeline, ids: list[str], only: Filter) -> list[DeadLetter]:
    """Look through the whole queue: what is not there now is not waited for later."""
    letters = pipeline.dead_letters.peek(only=only, hidden_seconds=HOLD_SECONDS)
    with closing(letters):
        return meant(letters, ids) if ids else list(letters)


def _check_single(chosen: list[DeadLetter]) -> None:
    if len(chosen) != 1:
        msg = (
            f"a body mends one dead letter, and {len(chosen):,} match: "
            "name one with --id, or mend each with --edit"
        )
        raise UsageError(msg)


def _show(chosen: list[DeadLetter], *, as_json: bool) -> None:
    if as_json:
        print_json([document(letter) for letter in chosen])
        return
    print_dead_letters(chosen)
    note(f"would send {counted(len(chosen), 'message')}; nothing was changed")


def _run(plan: Redrive, message_ids: list[str], *, quiet: bool) -> Account:
    account = Account()
    complete = False
    try:
        with (
            progress("redriving", len(message_ids), quiet=quiet) as advance,
            closing(plan.run(message_ids, account)) as steps,
        ):
            for count in steps:
                advance(count)
        complete = True
    except KeyboardInterrupt:
        complete = True
        msg = f"interrupted: {_summary(account, len(message_ids))}; the others stay dead letters"
        raise KeyboardInterrupt(msg) from None
    finally:
        _warn(account)
        if not complete:
            note(_summary(account, len(message_ids)))
    return account


def _summary(account: Account, total: int) -> str:
    return f"sent {len(account.sent):,} of {counted(total, 'message')}"


def _warn(account: Account) -> None:
    if account.not_deleted:
        shown = ", ".join(account.not_deleted[:_SHOWN])
        count = counted(len(account.not_deleted), "message")
        note(f"sent, but not deleted: {count}, which does no harm, it is the same record: {shown}")


def _report(account: Account, total: int, *, as_json: bool) -> None:
    missing = total - len(account.sent) - len(account.refused) - len(account.left)
    if as_json:
        print_json(_document(account) | {"missing": missing})
    else:
        typer.echo(_summary(account, total))
        if missing:
            note(f"{counted(missing, 'message')} were gone, or held by another reader")
    if account.refused:
        raise refusal(account.refused, "which stay dead letters")


def _document(account: Account) -> dict[str, Any]:
    return {
        "sent": [
            {
                "message_id": sent.message.origin,
                "new_message_id": sent.message_id,
                "execution_id": sent.message.execution_id,
            }
            for sent in account.sent
        ],
        "refused": refusals_document(account.refused),
        "left": account.left,
        "not_deleted": account.not_deleted,
    }
