"""Send messages to the queue: full batches, a few at a time, and again what SQS did not take."""

from __future__ import annotations

import random
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pipelinectl.batching import batches
from pipelinectl.bodies import MAX_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.type_defs import (
        BatchResultErrorEntryTypeDef,
        SendMessageBatchResultTypeDef,
    )

    from pipelinectl.message_attributes import Attributes

MAX_ENTRIES = 10  # of one SendMessageBatch
WORKERS = 3
ATTEMPTS = 5
_FIRST_BACKOFF_SECONDS = 0.2


class Message(Protocol):
    """What can be sent; `size` is in bytes as SQS counts them, attributes included."""

    @property
    def origin(self) -> str:
        """Where it comes from, for people to find it."""

    @property
    def text(self) -> str:
        """The body."""

    @property
    def attributes(self) -> Attributes:
        """Message attributes."""

    @property
    def size(self) -> int:
        """Bytes."""


M = TypeVar("M", bound=Message)


@dataclass(frozen=True)
class Sent(Generic[M]):
    """A message that SQS accepted, and the id that it has from now on."""

    message: M
    message_id: str


@dataclass(frozen=True)
class Refused(Generic[M]):
    """A message that SQS did not accept, and why."""

    message: M
    code: str
    reason: str


@dataclass(frozen=True)
class BatchOutcome(Generic[M]):
    """What became of the messages of one batch."""

    sent: tuple[Sent[M], ...]
    refused: tuple[Refused[M], ...]


@dataclass(frozen=True)
class Sender:
    """Sends to one queue; `sleep` takes seconds and is what waits between attempts."""

    sqs: SQSClient
    queue_url: str
    sleep: Callable[[float], None] = time.sleep

    def send(self, messages: Iterable[M]) -> Iterator[BatchOutcome[M]]:
        """Send all messages and yield each batch's outcome, in the order of the messages.

        A failure of a whole request (no such queue, no permission) is raised as boto3 has it;
        batches that were not started by then are not sent.
        """
        groups = requests(messages)
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="send")
        try:
            yield from _in_order(pool, self.send_batch, groups)
        finally:
            pool.shutdown(cancel_futures=True)

    def send_batch(self, batch: list[M]) -> BatchOutcome[M]:
        """Send one batch, and again what SQS did not take for reasons of its own."""
        sent: dict[int, Sent[M]] = {}
        pending = dict(enumerate(batch))
        refused = list(_too_large(pending))
        for attempt in range(1, ATTEMPTS + 1):
            if not pending:
                break
            if attempt > 1:
                self.sleep(_backoff(attempt - 1))
            response = self._request(pending)
            for accepted in response.get("Successful", []):
                index = int(accepted["Id"])
                sent[index] = Sent(pending.pop(index), accepted["MessageId"])
            refused += _refused(response.get("Failed", []), pending, last=attempt == ATTEMPTS)
        return BatchOutcome(tuple(sent[index] for index in sorted(sent)), tuple(refused))

    def _request(self, pending: dict[int, M]) -> SendMessageBatchResultTypeDef:
        return self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {
                    "Id": str(index),
                    "MessageBody": message.text,
                    "MessageAttributes": message.attributes,
                }
                for index, message in pending.items()
            ],
        )


def requests(messages: Iterable[M], max_count: int = MAX_ENTRIES) -> Iterator[list[M]]:
    """Cut `messages` into lists that SQS takes in one request."""
    return batches(
        messages,
        size_of=lambda message: message.size,
        max_count=max_count,
        max_bytes=MAX_BYTES,
    )


def _too_large(pending: dict[int, M]) -> Iterator[Refused[M]]:
    """Take out of `pending` what would make SQS refuse the whole request."""
    for index in [index for index, message in pending.items() if message.size > MAX_BYTES]:
        message = pending.pop(index)
        reason = f"{message.size:,} bytes with its attributes, and SQS takes {MAX_BYTES:,}"
        yield Refused(message, "MessageTooLong", reason)


def _refused(
    errors: list[BatchResultErrorEntryTypeDef], pending: dict[int, M], *, last: bool
) -> Iterator[Refused[M]]:
    """Take out of `pending` what another attempt would not help."""
    for error in errors:
        if error["SenderFault"] or last:
            message = pending.pop(int(error["Id"]))
            yield Refused(message, error["Code"], error.get("Message", ""))


def _backoff(attempt: int) -> float:
    longest: float = _FIRST_BACKOFF_SECONDS * 2 ** (attempt - 1)
    return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter need not be unpredictable


def _in_order(
    pool: ThreadPoolExecutor,
    send_batch: Callable[[list[M]], BatchOutcome[M]],
    groups: Iterable[list[M]],
) -> Iterator[BatchOutcome[M]]:
    """Keep the workers busy without taking more of `groups` than they need."""
    running: deque[Future[BatchOutcome[M]]] = deque()
    for group in groups:
        running.append(pool.submit(send_batch, group))
        if len(running) > WORKERS:
            yield running.popleft().result()
    while running:
        yield running.popleft().result()
