"""Send messages and tell what became of them, whatever ends it."""

from collections.abc import Sequence

from pipelinectl.errors import OperationFailedError
from pipelinectl.rendering.console import note
from pipelinectl.rendering.formatting import counted
from pipelinectl.rendering.progress import progress
from pipelinectl.sending import BatchOutcome, M, Refused, Sender, Sent

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
