"""`pipelinectl send`."""

from collections.abc import Iterator
from typing import Annotated

import typer

from pipelinectl import bodies, claim_checks
from pipelinectl.bodies import Body
from pipelinectl.claim_checks import ClaimCheck
from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.commands.delivery import delivery_document, refusal, send_all
from pipelinectl.commands.input import STDIN, content
from pipelinectl.commands.offloading import offloaded, refused_of, telling_of_payloads_left
from pipelinectl.errors import UsageError
from pipelinectl.rendering.console import print_json
from pipelinectl.rendering.formatting import counted
from pipelinectl.sending import BatchOutcome, Message


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
    claim_check_above: Annotated[
        int,
        typer.Option(
            "--claim-check-above",
            min=0,
            max=bodies.MAX_BYTES,
            metavar="BYTES",
            help="Put a larger body into the payload bucket and send a pointer to it.",
        ),
    ] = claim_checks.DEFAULT_THRESHOLD,
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
    bodies.check(prepared, offloaded_above=claim_check_above)
    pipeline = open_pipeline(ctx, quiet=as_json)
    messages = offloaded(pipeline, prepared, claim_check_above, quiet=as_json)
    with telling_of_payloads_left(pipeline.stack.payload_bucket) as unsent:
        unsent += messages
        outcome = send_all(pipeline.sender, messages, quiet=as_json)
        unsent[:] = refused_of(outcome)
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
            return bodies.from_lines(content(file), "stdin" if file == STDIN else file)
        case "-", None:
            return iter((bodies.from_whole(content(STDIN), "stdin"),))
        case str(), None:
            return iter((Body(body, "the body"),))
    msg = "give a body, - for stdin, or --file FILE: exactly one of them"
    raise UsageError(msg)


def _prepared(found: tuple[Body, ...], count: int, prefix: str | None) -> tuple[Body, ...]:
    every = bodies.repeated(found, count)
    return tuple(every if prefix is None else bodies.with_record_ids(every, prefix))


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
