"""What a command reads: a file, or stdin where `-` is given."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import typer

from pipeline_core.messages import (
    MAX_MESSAGE_BYTES,
    Pointed,
    Unreadable,
    envelope_of,
    given_id,
    record_id_in,
)
from pipelinectl import sending
from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.commands.output import counted, note, print_json, progress, visible
from pipelinectl.errors import OperationFailedError, UsageError
from pipelinectl.following import Became, Followed, Following, versions
from pipelinectl.redrive import ReadPayload
from pipelinectl.sending import (
    BatchOutcome,
    Body,
    ClaimCheck,
    M,
    PayloadStore,
    Refused,
    Sender,
    Sent,
)

STDIN = "-"

Prepared: TypeAlias = Body | ClaimCheck
"""What is sent: a body, or the pointer to one."""


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


def untold(what: str) -> str:
    """That the log group took no line of how an act on `what`, so many, has ended."""
    return f"of {what} no audit line says how it ended: the log group took none"


def with_claim_checks(
    pipeline: Pipeline, messages: Sequence[Body], threshold: int, *, quiet: bool
) -> list[Prepared]:
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


SendingDoor: TypeAlias = Literal["messages", "fifo"]
"""The doors that producers send messages to."""

Wait = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Wait until each is an item or a dead letter, and say which; exit with 1 unless all "
        "became items.",
    ),
]
Timeout = Annotated[
    int, typer.Option("--timeout", min=1, help="With --wait: wait at most this many seconds.")
]
WAIT_SECONDS = 600


def following(pipeline: Pipeline, execution_ids: Sequence[str]) -> Following:
    """Follows what is going to be sent, of the records that have these ids already."""
    before = versions(pipeline.items, execution_ids)
    environment = pipeline.stack.environment
    return Following(pipeline.items, pipeline.dead_letters, environment, before)


def follow(
    following: Following,
    messages: Sequence[Followed],
    seconds: int,
    found: list[Became],
    *,
    quiet: bool,
) -> None:
    """Wait for what becomes of messages; unless `quiet`, tell of each that becomes no item.

    `found` is what is known, however this ends.
    """
    try:
        with progress("waiting for the pipeline", len(messages), quiet=quiet) as advance:
            for one in following.outcomes(messages, seconds):
                found.append(one)
                advance(1)
                if one.letter is not None and not quiet:
                    typer.echo(_told(one))
    except KeyboardInterrupt:
        left = counted(len(messages) - len(found), "message")
        msg = f"interrupted: {left} not waited for any longer; they go on"
        raise KeyboardInterrupt(msg) from None
    if not quiet:
        typer.echo(_tally(found))


def _told(one: Became) -> str:
    letter = one.letter
    why = f" at {letter.stage}: {letter.error_type}: {letter.error_message}" if letter else ""
    return f"{visible(one.message.execution_id)}: {one.fate}{visible(why)}"


def _tally(found: Sequence[Became]) -> str:
    fates = [one.fate for one in found]
    stored, dead = fates.count("stored"), fates.count("dead letter")
    going = fates.count("on its way")
    on_their_way = f", {going:,} still on {'its' if going == 1 else 'their'} way" if going else ""
    return f"{stored:,} stored, {counted(dead, 'dead letter')}{on_their_way}"


def became_document(found: Sequence[Became]) -> list[dict[str, Any]]:
    """What messages became as JSON."""
    return [
        {
            "message_id": one.message.message_id,
            "execution_id": one.message.execution_id,
            "fate": one.fate,
            "dead_letter": one.letter and one.letter.message_id,
            "stage": one.letter and one.letter.stage,
            "error_type": one.letter and one.letter.error_type,
            "error_message": one.letter and one.letter.error_message,
        }
        for one in found
    ]


def judge(found: Sequence[Became], seconds: int) -> None:
    """Pass where all became items.

    Raises:
        OperationFailedError: some are dead letters, or on their way still.
    """
    letters = [one.letter for one in found if one.letter is not None]
    if letters:
        msg = (
            f"{len(letters):,} of {counted(len(found), 'message')} became dead letters: "
            f"see 'pipelinectl dlq show {letters[0].message_id}'"
        )
        raise OperationFailedError(msg)
    going = [one.message.message_id for one in found if one.fate == "on its way"]
    if going:
        msg = (
            f"{len(going):,} of {counted(len(found), 'message')} still on the way after "
            f"{seconds} s: see 'pipelinectl record {going[0]}', or wait longer with --timeout"
        )
        raise OperationFailedError(msg)


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
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            help="The MessageGroupId of each message, such as a tenant's name: SQS then lets no "
            "group keep the others waiting, and the group stays with the record.",
        ),
    ] = None,
    door: Annotated[
        SendingDoor,
        typer.Option(
            "--door",
            help="fifo: the FIFO queue, whose messages are processed in order in each --group.",
        ),
    ] = "messages",
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
    wait: Wait = False,
    timeout: Timeout = WAIT_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Send messages to the pipeline's queue, as they are, in full batches.

    Through the FIFO door (parameter FifoDoor) each is sent when the one ahead of it was accepted,
    and none after one that was refused.

    Bodies that break a rule of SQS (at least 1 byte, no control characters) are found before
    anything is sent. A large body is sent as a claim check, in the format of the Amazon SQS
    Extended Client; should its message not be sent, its payload expires by itself. With --json:
    {"sent": N, "message_ids": [...], "claim_checks": N, "refused": [...]}, with --wait also
    "became": for each message its execution_id and its fate (stored, dead letter, on its way),
    and the reasons. A record that has an item already is stored once that was written again.

    Examples:
    - `pipelinectl send '{"data_source": "test.csv", "processing_type": "standard"}' --wait`
    - `pipelinectl send --file events/orders.jsonl --count 100`
    - `pipelinectl send - < large.json`
    - `jq -c .records[] export.json | pipelinectl send --file - --record-id-prefix import-7`
    - `pipelinectl send --file events/orders.jsonl --group tenant-7`
    - `pipelinectl send --file events/orders.jsonl --door fifo --group customer-7`
    """
    if group is not None:
        sending.check_group(group)
    elif door == "fifo":
        msg = "a FIFO queue takes no message without a group: say with --group whose order it is"
        raise UsageError(msg)
    found = [replace(one, message_group_id=group or "") for one in _read(body, file)]
    prepared = _prepared(tuple(found), count, record_id_prefix)
    sending.check(prepared, claim_checks_above=claim_check_above)
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    sender = pipeline.sender_in_order if door == "fifo" else pipeline.sender
    messages = with_claim_checks(pipeline, prepared, claim_check_above, quiet=as_json)
    record_ids = _record_ids(messages, pipeline.read_payload) if wait else {}
    followed = following(pipeline, list(record_ids.values())) if wait else None
    outcome = _send(pipeline, sender, messages, quiet=as_json)
    if not as_json:
        _report(outcome)
    document = _document(outcome)
    became: list[Became] = []
    try:
        if followed is not None:
            going = _followed(outcome.sent, record_ids, pipeline.stack.environment)
            follow(followed, going, timeout, became, quiet=as_json)
    finally:
        if as_json:
            print_json(document | ({} if followed is None else {"became": became_document(became)}))
    if outcome.refused:
        raise refusal(outcome.refused, "send them again")
    judge(became, timeout)


def _send(
    pipeline: Pipeline, sender: Sender, messages: list[Prepared], *, quiet: bool
) -> BatchOutcome[Prepared]:
    unsent = messages
    try:
        outcome = send_all(sender, messages, quiet=quiet)
        unsent = [refused.message for refused in outcome.refused]
    finally:
        if any(isinstance(message, ClaimCheck) for message in unsent):
            bucket = pipeline.stack.payload_bucket
            note(f"payloads of messages that were not sent stay in {bucket} until they expire")
    return outcome


def _record_ids(messages: Sequence[Prepared], read: ReadPayload) -> dict[int, str]:
    """The ids that producers gave, by the identity of their messages in this process."""
    found = {id(one): _record_id(one, read) for one in messages}
    return {key: record_id for key, record_id in found.items() if record_id is not None}


def _record_id(message: Prepared, read: ReadPayload) -> str | None:
    if message.record_id is not None or isinstance(message, ClaimCheck):
        return message.record_id
    try:
        envelope = envelope_of(message.text, "messages")
    except Unreadable:
        return None
    return record_id_in(read(envelope.pointer) or "") if isinstance(envelope, Pointed) else None


def _followed(
    sent: Sequence[Sent[Prepared]], record_ids: dict[int, str], environment: str | None
) -> list[Followed]:
    return [
        Followed(
            one.message_id,
            record_ids.get(id(one.message)) or given_id(environment or "", one.message_id),
        )
        for one in sent
    ]


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


def _document(outcome: BatchOutcome[Prepared]) -> dict[str, Any]:
    return delivery_document(outcome) | {"claim_checks": _claim_checks(outcome)}


def _claim_checks(outcome: BatchOutcome[Prepared]) -> int:
    return sum(isinstance(sent.message, ClaimCheck) for sent in outcome.sent)


def _report(outcome: BatchOutcome[Prepared]) -> None:
    checks = _claim_checks(outcome)
    by_pointer = f", {checks:,} by claim check" if checks else ""
    typer.echo(f"sent {counted(len(outcome.sent), 'message')}{by_pointer}")
    if len(outcome.sent) == 1:
        typer.echo(outcome.sent[0].message_id)
