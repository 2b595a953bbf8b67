"""Put large bodies where their messages will point to, and tell what is left there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pipelinectl.bodies import Body
from pipelinectl.claim_checks import ClaimCheck, PayloadStore
from pipelinectl.commands.context import Pipeline
from pipelinectl.rendering.console import note
from pipelinectl.rendering.progress import progress
from pipelinectl.sending import BatchOutcome, Message


def offloaded(
    pipeline: Pipeline, messages: Sequence[Body], threshold: int, *, quiet: bool
) -> list[Message]:
    """The messages, with a claim check for each that has more than `threshold` bytes.

    All payloads are in S3 when this is done, and no message is sent before.
    """
    large = [one for one in messages if one.size > threshold]
    checks = iter(_put(pipeline.payloads, large, quiet=quiet) if large else [])
    return [next(checks) if one.size > threshold else one for one in messages]


@contextmanager
def telling_of_payloads_left(bucket: str) -> Iterator[list[Message]]:
    """Say that payloads are left, unless the messages it is given are all sent by the end.

    Yields the list of messages that are not sent.
    """
    unsent: list[Message] = []
    try:
        yield unsent
    finally:
        if any(isinstance(message, ClaimCheck) for message in unsent):
            note(f"payloads of messages that were not sent stay in {bucket} until they expire")


def refused_of(outcome: BatchOutcome[Message]) -> list[Message]:
    """The messages that SQS did not take."""
    return [refused.message for refused in outcome.refused]


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
