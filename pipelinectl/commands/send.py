"""What a command reads: a file, or stdin where `-` is given."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from pipeline_core.messages import MAX_MESSAGE_BYTES
from pipelinectl import sending
from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.commands.output import counted, note, print_json, progress
from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.sending import (
    BatchOutcome,
    Body,
    ClaimCheck,
    M,
    Message,
    PayloadStore,
    Refused,
    Sender,
    Sent,
)

STDIN = "-"


def content(file: str) -> bytes:
    """All of a file, or of stdin.

    Raises:
        UsageError: it cannot be read.
    """
    if file == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        msg = f"{file}: {error.strerror or error}: name a file that can be read"
        raise UsageError(msg) from error


_SHOWN_REFUSALS = 3


def send_all(sender: Sender, messages: Sequence[M], *, quiet: bool) -> BatchOutcome[M]:
    """Send all messages, with a progress bar unless `quiet`."""
    sent: list[Sent[M]] = []
    refused: list[Refused[M]] = []
    complete = False
    try:
        with progress("sending", len(messages), quiet=quiet) as advance:
            for outcome in sender.send(messages):
                sent += outcome.sent
                refused += outcome.refused
                advance(len(outcome.sent) + len(outcome.refused))
        complete = True
    finally:
        if not complete:
            # Whoever interrupts, or loses the network, must know what is on its way already.
            note(f"at least {counted(len(sent), 'message')} of {len(messages):,} had been sent")
    return BatchOutcome(tuple(sent), tuple(refused))


def delivery_document(outcome: BatchOutcome[M]) -> dict[str, object]:
    """What was sent as JSON."""
    return {
        "sent": len(outcome.sent),
        "message_ids": [sent.message_id for sent in outcome.sent],
        "refused": refusals_document(outcome.refused),
    }


def refusals_document(refused: Sequence[Refused[M]]) -> list[dict[str, str]]:
    """What was refused as JSON."""
    return [
        {"origin": one.message.origin, "code": one.code, "message": one.reason} for one in refused
    ]


def refusal(refused: Sequence[Refused[M]], remedy: str) -> OperationFailedError:
    """The error that SQS did not accept some of the messages."""
    shown = "; ".join(
        f"{one.message.origin}: {one.code} {one.reason}".rstrip()
        for one in refused[:_SHOWN_REFUSALS]
    )
    msg = f"SQS refused {counted(len(refused), 'message')}, {remedy}: {shown}"
    return OperationFailedError(msg)


def with_claim_checks(
    pipeline: Pipeline, messages: Sequence[Body], threshold: int, *, quiet: bool
) -> list[Message]:
    """The messages, with a claim check for each that has more than `threshold` bytes.

    All payloads are in S3 when this is done, and no message is sent before.
    """
    large = [one for one in messages if one.size > threshold]
    checks = iter(_put(pipeline.payloads, large, quiet=quiet) if large else [])
    return [next(checks) if one.size > threshold else one for one in messages]


def _put(store: PayloadStore, bodies: Sequence[Body], *, quiet: bool) -> list[ClaimCheck]:
    checks: list[ClaimCheck] = []
    try:
        with progress("uploading payloads", len(bodies), quiet=quiet) as advance:
            for check in store.put_all(bodies):
                checks.append(check)
                advance(1)
    finally:
        if len(checks) < len(bodies):
            note(f"nothing was sent; payloads put so far stay in {store.bucket} until they expire")
    return checks


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
    count: Annotated[int, typer.Option("--count", min=1, help="Send it this many times.")] = 1,
    record_id_prefix: Annotated[
        str | None,
        typer.Option(
            "--record-id-prefix",
            help="Give each body the record_id PREFIX-00001 and so on, which becomes its item's "
            "execution_id. Bodies must be JSON objects.",
        ),
    ] = None,
    claim_check_above: Annotated[
        int,
        typer.Option(
            "--claim-check-above",
            min=0,
            max=MAX_MESSAGE_BYTES,
            metavar="BYTES",
            help="Put a larger body into the payload bucket and send a pointer to it.",
        ),
    ] = sending.DEFAULT_THRESHOLD,
    as_json: JsonFlag = False,
) -> None:
    """Send messages to the pipeline's queue, as they are, in full batches.

    Bodies that break a rule of SQS (at least 1 byte, no control characters) are found before
    anything is sent. A large body is sent as a claim check, in the format of the Amazon SQS
    Extended Client; should its message not be sent, its payload expires by itself. With --json:
    {"sent": N, "message_ids": [...], "claim_checks": N, "refused": [...]}.

    Examples:
    - `pipelinectl send '{"data_source": "test.csv", "processing_type": "standard"}'`
    - `pipelinectl send --file events/orders.jsonl --count 100`
    - `pipelinectl send - < large.json`
    - `jq -c .records[] export.json | pipelinectl send --file - --record-id-prefix import-7`
    """
    prepared = _prepared(_read(body, file), count, record_id_prefix)
    sending.check(prepared, claim_checks_above=claim_check_above)
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    messages = with_claim_checks(pipeline, prepared, claim_check_above, quiet=as_json)
    unsent = messages
    try:
        outcome = send_all(pipeline.sender, messages, quiet=as_json)
        unsent = [refused.message for refused in outcome.refused]
    finally:
        if any(isinstance(message, ClaimCheck) for message in unsent):
            bucket = pipeline.stack.payload_bucket
            note(f"payloads of messages that were not sent stay in {bucket} until they expire")
    _report(outcome, as_json=as_json)


def _read(body: str | None, file: str | None) -> tuple[Body, ...]:
    found = tuple(_bodies(body, file))
    if not found:
        msg = f"{file}: no line with text, and a line is a body: nothing to send"
        raise UsageError(msg)
    return found


def _bodies(body: str | None, file: str | None) -> Iterator[Body]:
    match body, file:
        case None, str():
            return sending.from_lines(content(file), "stdin" if file == STDIN else file)
        case "-", None:
            return iter((sending.from_whole(content(STDIN), "stdin"),))
        case str(), None:
            return iter((Body(body, "the body"),))
    msg = "give a body, - for stdin, or --file FILE: exactly one of them"
    raise UsageError(msg)


def _prepared(found: tuple[Body, ...], count: int, prefix: str | None) -> tuple[Body, ...]:
    every = sending.repeated(found, count)
    return tuple(every if prefix is None else sending.with_record_ids(every, prefix))


def _report(outcome: BatchOutcome[Message], *, as_json: bool) -> None:
    checks = sum(isinstance(sent.message, ClaimCheck) for sent in outcome.sent)
    if as_json:
        print_json(delivery_document(outcome) | {"claim_checks": checks})
    else:
        by_pointer = f", {checks:,} by claim check" if checks else ""
        typer.echo(f"sent {counted(len(outcome.sent), 'message')}{by_pointer}")
        if len(outcome.sent) == 1:
            typer.echo(outcome.sent[0].message_id)
    if outcome.refused:
        raise refusal(outcome.refused, "send them again")
