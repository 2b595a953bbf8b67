"""Send bodies to the queue: full batches, a few at a time, and again what SQS did not take."""

from __future__ import annotations

import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelinectl.batching import batches
from pipelinectl.bodies import MAX_BYTES, Body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        SendMessageBatchResultTypeDef,
    )

MAX_ENTRIES = 10  # of one SendMessageBatch
WORKERS = 3
ATTEMPTS = 5
_FIRST_BACKOFF_SECONDS = 0.2


@dataclass(frozen=True)
class Sent:
    """A body that SQS accepted."""

    body: Body
    message_id: str


@dataclass(frozen=True)
class Refused:
    """A body that SQS did not accept, and why."""

    body: Body
    code: str
    message: str


@dataclass(frozen=True)
class BatchOutcome:
    """What became of the bodies of one batch."""

    sent: tuple[Sent, ...]
    refused: tuple[Refused, ...]


@dataclass(frozen=True)
class Sender:
    """Sends to one queue; `sleep` takes seconds and is what waits between attempts."""

    sqs: SQSClient
    queue_url: str
    sleep: Callable[[float], None] = time.sleep

    def send(self, bodies: Iterable[Body]) -> Iterator[BatchOutcome]:
        """Send all bodies and yield each batch's outcome, in the order of the bodies.

        A failure of a whole request (no such queue, no permission) is raised as boto3 has it;
        batches that were not started by then are not sent.
        """
        groups = batches(
            bodies, size_of=lambda body: body.size, max_count=MAX_ENTRIES, max_bytes=MAX_BYTES
        )
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="send")
        try:
            yield from _in_order(pool, self.send_batch, groups)
        finally:
            pool.shutdown(cancel_futures=True)

    def send_batch(self, batch: list[Body]) -> BatchOutcome:
        """Send one batch, and again what SQS did not take for reasons of its own."""
        sent: dict[int, Sent] = {}
        pending, failed = dict(enumerate(batch)), list[Refused]()
        for attempt in range(1, ATTEMPTS + 1):
            response = self._request(pending)
            for accepted in response.get("Successful", []):
                index = int(accepted["Id"])
                sent[index] = Sent(pending.pop(index), accepted["MessageId"])
            errors = response.get("Failed", [])
            failed += _refused(errors, pending, last=attempt == ATTEMPTS)
            if not pending:
                break
            self.sleep(_backoff(attempt))
        return BatchOutcome(tuple(sent[index] for index in sorted(sent)), tuple(failed))

    def _request(self, pending: dict[int, Body]) -> SendMessageBatchResultTypeDef:
        return self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {"Id": str(index), "MessageBody": body.text} for index, body in pending.items()
            ],
        )


def _refused(
    errors: list[BatchResultErrorEntryTypeDef], pending: dict[int, Body], *, last: bool
) -> Iterator[Refused]:
    """Take out of `pending` what another attempt would not help."""
    for error in errors:
        if error["SenderFault"] or last:
            body = pending.pop(int(error["Id"]))
            yield Refused(body, error["Code"], error.get("Message", ""))


def _backoff(attempt: int) -> float:
    longest: float = _FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1)
    return longest * random.uniform(0.5, 1)  # noqa: S311  jitter need not be unpredictable


def _in_order(
    pool: ThreadPoolExecutor,
    send_batch: Callable[[list[Body]], BatchOutcome],
    groups: Iterable[list[Body]],
) -> Iterator[BatchOutcome]:
    """Keep the workers busy without taking more of `groups` than they need."""
    running: deque[Future[BatchOutcome]] = deque()
    for group in groups:
        running.append(pool.submit(send_batch, group))
        if len(running) > WORKERS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
