"""`pipelinectl send`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Protocol

import typer

from pipelinectl import bodies
from pipelinectl.bodies import Body
from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.rendering.console import err, note, print_json
from pipelinectl.rendering.formatting import counted
from pipelinectl.sending import BatchOutcome, Refused, Sender, Sent

_STDIN = "-"
_SHOWN_REFUSALS = 3


def send(
    ctx: typer.Context,
    body: Annotated[
        str | None, typer.Argument(help="The message body; - takes all of stdin as one body.")
    ] = None,
    *,
    file: Annotated[
        str | None,
        typer.Option("--file", "-f", help="A file with one body a line; - reads stdin."),
    ] = None,
    count: Annotated[int, typer.Option("--count", min=1, help="Send it all this often.")] = 1,
    record_id_prefix: Annotated[
        str | None,
        typer.Option(
            "--record-id-prefix",
            help="Give each body the record_id PREFIX-00001 and so on, which becomes its item's "
            "execution_id. Bodies must be JSON objects.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Send messages to the pipeline's queue, as they are, in full batches.

    Bodies that break a rule of SQS (1 byte to 1 MiB, no control characters) are found before
    anything is sent. With --json: {"sent": N, "message_ids": [...], "refused": [...]}.

    Examples:
    - `pipelinectl send '{"data_source": "test.csv", "processing_type": "standard"}'`
    - `pipelinectl send --file events/orders.jsonl --count 100`
    - `jq -c .records[] export.json | pipelinectl send --file - --record-id-prefix import-7`
    """
    messages = _prepared(_read(body, file), count, record_id_prefix)
    bodies.check(messages)
    sender = open_pipeline(ctx, quiet=as_json).sender
    _report(_send_all(sender, messages, quiet=as_json), as_json=as_json)


def _read(body: str | None, file: str | None) -> tuple[Body, ...]:
    found = tuple(_bodies(body, file))
    if not found:
        msg = f"{file}: no line with text, and a line is a body: nothing to send"
        raise UsageError(msg)
    return found


def _bodies(body: str | None, file: str | None) -> Iterator[Body]:
    match body, file:
        case None, str():
            return bodies.from_lines(_content(file), "stdin" if file == _STDIN else file)
        case "-", None:
            return iter((bodies.from_whole(sys.stdin.buffer.read(), "stdin"),))
        case str(), None:
            return iter((Body(body, "the body"),))
    msg = "give a body, - for stdin, or --file FILE: exactly one of them"
    raise UsageError(msg)


def _content(file: str) -> bytes:
    if file == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        msg = f"{file}: {error.strerror or error}: name a file that can be read"
        raise UsageError(msg) from error


def _prepared(found: tuple[Body, ...], count: int, prefix: str | None) -> tuple[Body, ...]:
    every = bodies.repeated(found, count)
    return tuple(every if prefix is None else bodies.with_record_ids(every, prefix))


def _send_all(sender: Sender, messages: tuple[Body, ...], *, quiet: bool) -> BatchOutcome:
    sent: list[Sent] = []
    refused: list[Refused] = []
    complete = False
    try:
        with _progress(len(messages), quiet=quiet) as progress:
            for outcome in sender.send(messages):
                sent += outcome.sent
                refused += outcome.refused
                progress.advance(len(outcome.sent) + len(outcome.refused))
        complete = True
    finally:
        if not complete:
            # Whoever interrupts, or loses the network, must know what is on its way already.
            note(f"at least {counted(len(sent), 'message')} of {len(messages):,} had been sent")
    return BatchOutcome(tuple(sent), tuple(refused))


class _Progress(Protocol):
    def advance(self, count: int) -> None: ...


class _Silent:
    def advance(self, count: int) -> None:
        """Nothing is watched where there is no terminal."""


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[_Progress]:
    if quiet or not sys.stderr.isatty():
        yield _Silent()
        return
    from rich.progress import Progress

    class Bar:
        def advance(self, count: int) -> None:
            progress.advance(task, count)

    with Progress(console=err(), transient=True) as progress:
        task = progress.add_task("sending", total=total)
        yield Bar()


def _report(outcome: BatchOutcome, *, as_json: bool) -> None:
    if as_json:
        print_json(_document(outcome))
    else:
        typer.echo(f"sent {counted(len(outcome.sent), 'message')}")
        if len(outcome.sent) == 1:
            typer.echo(outcome.sent[0].message_id)
    if outcome.refused:
        raise OperationFailedError(_complaint(outcome.refused))


def _document(outcome: BatchOutcome) -> dict[str, object]:
    return {
        "sent": len(outcome.sent),
        "message_ids": [sent.message_id for sent in outcome.sent],
        "refused": [
            {"origin": refused.body.origin, "code": refused.code, "message": refused.message}
            for refused in outcome.refused
        ],
    }


def _complaint(refused: tuple[Refused, ...]) -> str:
    shown = "; ".join(
        f"{one.body.origin}: {one.code} {one.message}".rstrip() for one in refused[:_SHOWN_REFUSALS]
    )
    return f"SQS refused {counted(len(refused), 'message')}, send them again: {shown}"
