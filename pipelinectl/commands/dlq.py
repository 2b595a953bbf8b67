"""Dead letters as they are printed: in lines, or as JSON."""

from __future__ import annotations

import itertools
import os
import shlex
import subprocess
import tempfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pipeline_core import exact_json
from pipelinectl import sending
from pipelinectl.commands import watching
from pipelinectl.commands.context import (
    TIME,
    JsonFlag,
    Limit,
    Note,
    Pipeline,
    in_a_terminal,
    limit_of,
    moment,
    open_pipeline,
)
from pipelinectl.commands.output import (
    age,
    clock,
    counted,
    facts,
    groups_document,
    groups_table,
    listed,
    note,
    print_json,
    print_parts,
    progress,
    table,
    tell_count,
    titled,
    visible,
)
from pipelinectl.commands.send import (
    STDIN,
    WAIT_SECONDS,
    Timeout,
    Wait,
    became_document,
    content,
    follow,
    following,
    judge,
    refusal,
    refusals_document,
    untold,
)
from pipelinectl.commands.watching import Watch
from pipelinectl.dead_letters import DeadLetter, Filter, by_group, grouped, meant
from pipelinectl.discard import Discard
from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.following import followed
from pipelinectl.redrive import HOLD_SECONDS, Edit, Redrive, Redriven, of_letter
from pipelinectl.sending import Body, Pace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rich.console import RenderableType
    from rich.table import Table

    from pipelinectl.dead_letters import DeadLetterQueue
    from pipelinectl.following import Became, Following
    from pipelinectl.redrive import Redelivery


Stage = Annotated[str | None, typer.Option("--stage", help="Only those given up at this stage.")]
Reason = Annotated[
    str | None,
    typer.Option("--reason", help="Only this error type, or this text in the error message."),
]
Group = Annotated[
    str | None, typer.Option("--group", help="Only those of records sent in this group.")
]
Since = Annotated[
    str | None, typer.Option("--since", help=f"Only those given up since then: {TIME}")
]
Until = Annotated[str | None, typer.Option("--until", help="Only those given up before then.")]

_SHORT = 8  # of a message id, as the list shows it


def print_dead_letters(letters: list[DeadLetter]) -> None:
    """Print the reasons with their counts, then one line a dead letter."""
    if letters:
        parts = (reasons_table(grouped(letters)), "")
        print_parts([*parts, dead_letters_table(letters, datetime.now(UTC))])


def reasons_table(groups: Iterable[tuple[str, str, int]]) -> Table:
    """How many dead letters there are of each stage and error type."""
    found = table("dead letters", "stage", "error type", right=("dead letters",))
    for stage, error_type, count in groups:
        found.add_row(f"{count:,}", Text(stage), Text(error_type))
    return found


def dead_letters_table(letters: Iterable[DeadLetter], now: datetime) -> Table:
    """One line a dead letter, with the beginning of its message id, and its reasons below."""
    names = ("message", "execution_id", "stage", "error type", "tries", "age")
    found = table(*names, spare=("tries", "execution_id", "age"))
    for letter in letters:
        found.add_row(*map(Text, _dead_letter_cells(letter, now)))
        reasons = letter.errors or (letter.error_message,)
        found.below(*(Text(reason, style="yellow") for reason in reasons))
    return found


def _dead_letter_cells(letter: DeadLetter, now: datetime) -> tuple[str, ...]:
    return (
        letter.message_id[:_SHORT],
        letter.execution_id or "",
        letter.stage,
        letter.error_type,
        "" if letter.attempts is None else str(letter.attempts),
        age(letter.failed_at, now),
    )


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
        "message_group_id": letter.message_group_id or None,
        "failed_at": letter.failed_at,
        "attributes": letter.attributes,
        "payload": letter.payload.path if letter.payload else None,
        "body": letter.body,
    }


def render_dead_letter(
    letter: DeadLetter, again: Redelivery, now: datetime
) -> Iterator[RenderableType]:
    """Where and when, every reason, body, the producer's attributes, and how to send it `again`."""
    yield Text(f"dead letter {letter.message_id}", style="bold")
    yield _known(letter, again, now)
    yield from titled("reasons", _reasons(letter))
    yield from titled("body", Text(readable(letter.body)))
    if producers := letter.producers_attributes:
        yield from titled("the producer's attributes", _attributes(producers))
    yield from titled("send it again", _remedies(letter))


def _known(letter: DeadLetter, again: Redelivery, now: datetime) -> Table:
    return facts(
        {
            "execution_id": again.execution_id or "",
            "stage": letter.stage,
            "error type": letter.error_type,
            "tries": "" if letter.attempts is None else str(letter.attempts),
            "given up": f"{clock(letter.failed_at)} ({age(letter.failed_at, now)} ago)",
            "message id": letter.original_message_id,
            "group": visible(letter.message_group_id),
            "execution": letter.durable_execution_arn or "",
            "request": letter.request_id or "",
            "payload": f"s3://{visible(letter.payload.path)}" if letter.payload else "",
        }
    )


def _reasons(letter: DeadLetter) -> Text:
    return Text("\n".join(letter.errors or (letter.error_message,)), style="yellow")


def readable(body: str) -> str:
    """JSON over several lines with every digit; anything else as it is."""
    try:
        return dumps(exact_json.loads(body))
    except exact_json.JsonError:
        return body


def _attributes(attributes: Mapping[str, Any]) -> Table:
    return facts({name: attribute(value) for name, value in attributes.items()})


def attribute(value: Any) -> str:
    """A message attribute's value; of what is not text its size."""
    match value:
        case {"stringValue": str(text)}:
            return text
        case {"binaryValue": str(content)}:
            return f"{len(content) * 3 // 4 - content.count('=')} bytes"
    return "not an attribute of SQS's"


def _remedies(letter: DeadLetter) -> Table:
    command = f"pipelinectl dlq redrive --id {letter.message_id[:_SHORT]}"
    return facts({"as it is": command, "edited": f"{command} --edit"})


_FALLBACK = "vi"


def edit(text: str, environ: Mapping[str, str], above: Sequence[str] = ()) -> str | None:
    """What became of `text` in $VISUAL or $EDITOR; None when it is unchanged or emptied.

    JSON is opened over several lines, and comes back on one. The lines `above` stand before it as
    comments, which are removed again; a line of the text's own is none, whatever it begins with.

    Raises:
        UsageError: the editor cannot be started, or what it saved is not UTF-8.
        OperationFailedError: the editor ended with an error, which is how editors say "cancel".
    """
    shown = readable(text)
    comments = [f"# {line}\n" for part in above for line in visible_lines(part)]
    saved = _saved("".join(comments) + shown, environ)
    is_json = _on_one_line(text) is not text
    edited = _without(saved, comments, is_json=is_json)
    # An editor ends the last line of a file, whether the text had it so or not.
    if not shown.endswith("\n"):
        edited = edited.removesuffix("\n")
    if edited == shown or not edited.strip():
        return None
    return _on_one_line(edited) if is_json else edited


def visible_lines(text: str) -> list[str]:
    """The lines of a text that anybody may have written, each as `visible` has it."""
    return [visible(line) for line in text.splitlines()]


def _saved(text: str, environ: Mapping[str, str]) -> str:
    command = environ.get("VISUAL") or environ.get("EDITOR") or _FALLBACK
    with tempfile.TemporaryDirectory(prefix="pipelinectl-") as folder:
        # The suffix lets an editor know what it has before it.
        path = Path(folder, "body.json")
        path.write_bytes(text.encode())
        _open(command, path)
        return _decoded(path.read_bytes(), command)


def _without(saved: str, comments: Sequence[str], *, is_json: bool) -> str:
    """What was saved without the comments at its top; before JSON, any comment there is one."""
    lines = saved.splitlines(keepends=True)
    ours = {comment.rstrip() for comment in comments}
    kept = itertools.dropwhile(
        lambda line: line.rstrip() in ours or (is_json and line.startswith("#")), lines
    )
    return "".join(kept)


def _on_one_line(text: str) -> str:
    """JSON as messages have it; anything else as it is."""
    try:
        return dumps(exact_json.loads(text), indent=None)
    except exact_json.JsonError:
        return text


def _open(command: str, path: Path) -> None:
    try:
        subprocess.run([*shlex.split(command), path], check=True)  # noqa: S603 - the operator's own
    except (OSError, ValueError) as error:
        msg = f"editor '{command}' cannot be started ({error}): set VISUAL or EDITOR"
        raise UsageError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"editor '{command}' ended with {error.returncode}: nothing more was sent"
        raise OperationFailedError(msg) from error


def _decoded(content: bytes, command: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        msg = f"editor '{command}' saved what is not UTF-8: set its encoding to UTF-8"
        raise UsageError(msg) from error


def replacement(body: str | None, body_file: str | None, *, edit: bool) -> Body | None:
    """The body that the options give, if they do.

    Raises:
        UsageError: they contradict each other, or SQS would not take the body.
    """
    if sum((body is not None, body_file is not None, edit)) > 1:
        msg = "--edit, --body and --body-file each give a new body: give one of them"
        raise UsageError(msg)
    found = _read(body, body_file)
    sending.check([found] if found else [])
    return found


def _read(body: str | None, body_file: str | None) -> Body | None:
    source = STDIN if body == STDIN else body_file
    if source is not None:
        return sending.from_whole(content(source), "stdin" if source == STDIN else source)
    return None if body is None else Body(body, "--body")


def by(body: Body) -> Edit:
    """Send `body` instead."""
    return lambda _: body.text


def _above(letter: DeadLetter) -> list[str]:
    reasons = letter.errors or (letter.error_message,)
    what = f"{letter.stage}: {letter.error_type}:"
    return [f"dead letter {letter.message_id}; lines like this are not sent", what, *reasons]


def by_editor(letter: DeadLetter) -> str | None:
    """Let the operator edit the body, and say so where it stays as it is."""
    name = f"dead letter {letter.message_id}"
    note(f"{name}: {letter.error_message}")
    edited = edit(letter.body, os.environ, _above(letter))
    if edited is None:
        note(f"{name} was left unchanged or emptied: it stays a dead letter")
        return None
    try:
        sending.check([Body(edited, name)])
    except UsageError as error:
        note(f"{error}; it stays a dead letter")
        return None
    return edited


_LISTED = 100
_LOOK_SECONDS = 15.0  # each look hides the messages from others for a few seconds
_SHOWN = 3
_SLOWEST = 0.1


def redrive(
    ctx: typer.Context,
    *,
    ids: Annotated[
        list[str] | None,
        typer.Option(
            "--id", help="This one: message id or execution_id, or its beginning. May be repeated."
        ),
    ] = None,
    reason: Reason = None,
    stage: Stage = None,
    group: Group = None,
    since: Since = None,
    until: Until = None,
    every: Annotated[bool, typer.Option("--all", help="All that are in the queue now.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be sent.")
    ] = False,
    edit: Annotated[
        bool,
        typer.Option(
            "--edit",
            help="Open each body in $VISUAL or $EDITOR first, JSON indented, below its reasons; "
            "one that is left unchanged or emptied stays a dead letter.",
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
        typer.Option("--rate", min=_SLOWEST, help="Send at most this many messages a second."),
    ] = None,
    why: Note = None,
    wait: Wait = False,
    timeout: Timeout = WAIT_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Send dead letters to the pipeline's internal queue, as the same records.

    Those that came in order go to the FIFO queue beside it, one of a group after the other, and
    none after one that was refused. A message is deleted from the dead-letter queue only after the
    internal queue accepted it, and keeps its producer's attributes, its group, its execution_id,
    and the time it was first sent: however often it is sent, it becomes one item. None is sent
    without its audit line. With
    --json: one object with the message ids of what was sent, refused, left and not deleted, with
    --wait also what each record became; with --dry-run an array of dead letters. What tells of
    objects is not waited for: 'pipelinectl objects show' follows them.

    Examples:
    - `pipelinectl dlq redrive --reason TooManyRequestsException --dry-run`
    - `pipelinectl dlq redrive --all --rate 50`
    - `pipelinectl dlq redrive --id 3f2a --edit --wait`
    - `jq .quantity=1 body.json | pipelinectl dlq redrive --id 3f2a --body -`
    """
    only = _filter(stage, reason, group, since, until)
    _check(ids or [], only, every=every)
    replaced = replacement(body, body_file, edit=edit)
    pipeline = open_pipeline(ctx, quiet=as_json, changes=not dry_run)
    chosen = _chosen(pipeline, ids or [], only)
    if replaced:
        _check_single(chosen)
    if dry_run:
        _show(chosen, as_json=as_json)
        return
    new_body = by_editor if edit else by(replaced) if replaced else None
    plan = Redrive(
        pipeline.dead_letters,
        pipeline.resender,
        pipeline.audit,
        pipeline.stack.environment,
        Pace(rate),
        new_body,
        pipeline.read_payload,
        why,
        pipeline.resender_in_order,
    )
    watch = following(pipeline, identities(pipeline, chosen)) if wait else None
    redriven = _run(plan, [one.message_id for one in chosen], quiet=as_json or edit)
    document = _document(redriven, len(chosen))
    if not as_json:
        _report(redriven, len(chosen), named=bool(ids))
    became: list[Became] = []
    try:
        if watch is not None:
            _follow(watch, redriven, timeout, became, quiet=as_json)
    finally:
        if as_json:
            print_json(document | ({} if watch is None else {"became": became_document(became)}))
    if redriven.refused:
        raise refusal(redriven.refused, "which stay dead letters")
    if ids:
        _require_all(_missing(redriven, len(chosen)))
    judge(became, timeout)


def _follow(
    watch: Following, redriven: Redriven, timeout: int, became: list[Became], *, quiet: bool
) -> None:
    going = followed(redriven.sent)
    if of_objects := len(redriven.sent) - len(going):
        note(f"{counted(of_objects, 'message')} of objects: see 'pipelinectl objects list'")
    follow(watch, going, timeout, became, quiet=quiet)


def identities(pipeline: Pipeline, letters: Iterable[DeadLetter]) -> list[str]:
    """The keys of the items that dead letters are to become, objects' aside."""
    environment, read = pipeline.stack.environment, pipeline.read_payload
    again = (of_letter(letter, environment, read=read) for letter in letters)
    return [one.execution_id for one in again if one.execution_id is not None]


def _filter(
    stage: str | None, reason: str | None, group: str | None, since: str | None, until: str | None
) -> Filter:
    if group is not None:
        sending.check_group(group)
    return Filter(stage, reason, moment("--since", since), moment("--until", until), group)


def _check(ids: list[str], only: Filter, *, every: bool) -> None:
    narrowed = bool(ids) or only != Filter()
    if every == narrowed:
        ways = "--id, --reason, --stage, --group and times"
        msg = f"say which dead letters: --all alone, or any of {ways}"
        raise UsageError(msg)


def _chosen(pipeline: Pipeline, ids: list[str], only: Filter) -> list[DeadLetter]:
    """Look through the whole queue: what is not there now is not waited for later."""
    queue = pipeline.dead_letters
    with closing(queue.peek(only=only, hidden_seconds=HOLD_SECONDS)) as letters:
        found = meant(letters, ids) if ids else list(letters)
    if not ids:
        _tell_of_cut(queue)
    return found


def _tell_of_cut(queue: DeadLetterQueue) -> None:
    """That there may be more, which a FIFO queue does not show."""
    if count := len(queue.cut_groups):
        groups = counted(count, "group")
        note(
            f"of {groups} in order there may be more: SQS shows what is behind when these are gone"
        )


def _check_single(chosen: list[DeadLetter]) -> None:
    if len(chosen) != 1:
        msg = (
            f"a body replaces that of one dead letter, and {len(chosen):,} match: "
            "name one with --id, or change each with --edit"
        )
        raise UsageError(msg)


def _show(chosen: list[DeadLetter], *, as_json: bool) -> None:
    if as_json:
        print_json([document(letter) for letter in chosen])
        return
    print_dead_letters(chosen)
    note(f"would send {counted(len(chosen), 'message')}; nothing was changed")


def _run(plan: Redrive, message_ids: list[str], *, quiet: bool) -> Redriven:
    redriven = plan.redriven
    complete = False
    try:
        with (
            progress("redriving", len(message_ids), quiet=quiet) as advance,
            closing(plan.run(message_ids)) as steps,
        ):
            for count in steps:
                advance(count)
        complete = True
    except KeyboardInterrupt:
        complete = True
        msg = f"interrupted: {_summary(redriven, len(message_ids))}; the others stay dead letters"
        raise KeyboardInterrupt(msg) from None
    finally:
        _warn(redriven)
        if not complete:
            note(_summary(redriven, len(message_ids)))
    return redriven


def _summary(redriven: Redriven, total: int) -> str:
    return f"sent {len(redriven.sent):,} of {counted(total, 'message')}"


def _warn(redriven: Redriven) -> None:
    if redriven.not_deleted:
        shown = ", ".join(redriven.not_deleted[:_SHOWN])
        count = counted(len(redriven.not_deleted), "message")
        note(f"sent, but not deleted: {count}, which does no harm, it is the same record: {shown}")
    if redriven.untold:
        note(untold(counted(len(redriven.untold), "message")))


def _missing(redriven: Redriven, total: int) -> int:
    return total - len(redriven.sent) - len(redriven.refused) - len(redriven.left)


def _report(redriven: Redriven, total: int, *, named: bool) -> None:
    typer.echo(_summary(redriven, total))
    if (missing := _missing(redriven, total)) and not named:
        note(f"{counted(missing, 'message')} gone, or held by another reader")


def _document(redriven: Redriven, total: int) -> dict[str, Any]:
    return {
        "sent": [
            {
                "message_id": sent.message.origin,
                "new_message_id": sent.message_id,
                "execution_id": sent.message.execution_id,
            }
            for sent in redriven.sent
        ],
        "refused": refusals_document(redriven.refused),
        "left": redriven.left,
        "not_deleted": redriven.not_deleted,
        "missing": _missing(redriven, total),
    }


app = typer.Typer(
    name="dlq",
    no_args_is_help=True,
    help="See what could not be processed, and why; send it again.",
)


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    limit: Limit = None,
    stage: Stage = None,
    reason: Reason = None,
    group: Group = None,
    counting: Annotated[
        bool,
        typer.Option("--by-group", help="Only say how many there are of each group, of all."),
    ] = False,
    since: Since = None,
    until: Until = None,
    watch: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """List dead letters with their reasons; they stay in the dead-letter queue.

    An execution_id names the record, and the item that it would have become. Lists 100 unless
    --limit says how many. While it reads, the messages are hidden from other
    readers for a few seconds. A group is the MessageGroupId that a record was sent in, such as a
    tenant's name. With --json: an array of dead letters, bodies untouched, with --by-group of
    {"message_group_id": "...", "dead_letters": N}.

    Examples:
    - `pipelinectl dlq list --stage validate --since 2h`
    - `pipelinectl dlq list --reason ValidationError --json`
    - `pipelinectl dlq list --by-group`
    """
    only = _filter(stage, reason, group, since, until)
    if counting and limit is not None:
        msg = "--by-group counts all dead letters: give it without --limit"
        raise UsageError(msg)
    queue = open_pipeline(ctx, quiet=as_json).dead_letters
    most = limit_of(limit, _LISTED, as_json=as_json)

    def draw() -> None:
        if counting:
            _show_groups(by_group(queue.peek(only=only)), as_json=as_json)
            _tell_of_cut(queue)
            return
        shown = listed(lambda count: queue.peek(only=only, limit=count), most)
        _tell_of_cut(queue)
        if as_json:
            print_json([document(letter) for letter in shown.found])
            return
        print_dead_letters(shown.found)
        of = f" of about {queue.about():,} in all" if shown.cut else ""
        tell_count(shown, "dead letter", of)

    watching.show(draw, watch=watch, as_json=as_json, every=_LOOK_SECONDS)


def _show_groups(groups: list[tuple[str, int]], *, as_json: bool) -> None:
    if as_json:
        print_json(groups_document("dead_letters", groups))
    elif groups:
        print_parts([groups_table("dead letters", groups)])
    else:
        note("0 dead letters")


@app.command()
def show(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Message id or execution_id of a dead letter, or its beginning."
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

    for letter in found:
        again = of_letter(letter, pipeline.stack.environment, read=pipeline.read_payload)
        print_parts(render_dead_letter(letter, again, datetime.now(UTC)))


app.command()(redrive)


Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command("discard")
def discard_(
    ctx: typer.Context,
    ids: Annotated[
        list[str],
        typer.Argument(metavar="ID...", help="Message id, its beginning, or execution_id."),
    ],
    *,
    why: Annotated[str, typer.Option("--note", help="Why, for the audit line.")],
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete these dead letters for good, with a line in the audit log of who did it and why.

    The line is written first; without it nothing is deleted. It asks first, too; where there is no
    terminal to ask in, it needs --yes. Interrupted, it can be run again. With --json: the message
    ids that were "discarded", "not_deleted" and "missing".

    Example:
    - `pipelinectl dlq discard 3f2a --note "a test of the till, never a sale"`
    """
    _require_an_answer(yes=yes, what="these dead letters")
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    chosen = _chosen(pipeline, ids, Filter())
    what = counted(len(chosen), "dead letter")
    if not yes:
        print_dead_letters(chosen)
        _confirm(what, pipeline)
    wanted = [letter.message_id for letter in chosen]
    plan = Discard(pipeline.dead_letters, pipeline.audit, pipeline.stack.environment, why)
    done = plan.discarded
    complete = False
    try:
        with progress("discarding", len(wanted), quiet=as_json) as advance:
            for count in plan.run(wanted):
                advance(count)
        complete = True
    finally:
        if not complete:
            note(f"deleted {len(done.deleted):,} of {what}; the others stay")
    missing = len(wanted) - len(done.deleted) - len(done.not_deleted)
    if as_json:
        found = {"discarded": done.deleted, "not_deleted": done.not_deleted, "missing": missing}
        print_json(found)
    else:
        typer.echo(f"deleted {len(done.deleted):,} of {what}")
    _require_all(missing, len(done.not_deleted))


def _require_all(missing: int, not_deleted: int = 0) -> None:
    """Pass where all that was named was done.

    Raises:
        OperationFailedError: it was not.
    """
    told = [f"{counted(missing, 'message')} gone, or held by another reader"] * bool(missing)
    told += [f"SQS did not delete {counted(not_deleted, 'message')}"] * bool(not_deleted)
    if told:
        msg = (
            f"{', and '.join(told)}: see 'pipelinectl dlq list', and do it again for what is there"
        )
        raise OperationFailedError(msg)


def _require_an_answer(*, yes: bool, what: str) -> None:
    if not yes and not in_a_terminal():
        msg = f"nobody can be asked without a terminal: give --yes to delete {what}"
        raise UsageError(msg)


def _confirm(what: str, pipeline: Pipeline) -> None:
    if not typer.confirm(f"Delete {what} of {pipeline.target} for good?", err=True):
        msg = f"not confirmed: {what} stay"
        raise OperationFailedError(msg)


@app.command()
def purge(
    ctx: typer.Context,
    *,
    why: Note = None,
    yes: Yes = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete all dead letters for good, including those that arrive in the next minute.

    It asks first; where there is no terminal to ask in, it needs --yes. The audit line, without
    which nothing is deleted, says how many they were, not which. With --json: {"purged": N}, N as
    SQS estimates it.

    Example:
    - `pipelinectl dlq purge --yes`
    """
    _require_an_answer(yes=yes, what="all dead letters")
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    queue = pipeline.dead_letters
    count = queue.about()
    what = f"about {counted(count, 'dead letter')}"
    if not yes:
        _confirm(what, pipeline)
    pipeline.audit.before("purge", [{"count": count}], why)
    queue.purge()
    if as_json:
        print_json({"purged": count})
    else:
        typer.echo(f"deleted {what}")
