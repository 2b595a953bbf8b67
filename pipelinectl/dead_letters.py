"""Read the dead-letter queue and leave it as it was."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pipelinectl import exact_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

# Long enough to look at a few thousand messages, short enough that a reader that was killed
# hides them from nobody for long.
_HIDDEN_SECONDS = 20
# A receive that waits asks all of SQS's servers, one that does not asks a sample of them.
LONG_POLL_SECONDS = 1
_MAX_ENTRIES = 10  # of one receive or batch request
_STALE_RECEIVES = 3

UNKNOWN = "unknown"


@dataclass(frozen=True)
class DeadLetter:
    """A message in the dead-letter queue.

    `attributes` are its message attributes as text: `stage`, `error_type`, `error_message` and
    so on. A message that SQS itself moved there has none of them.
    """

    message_id: str
    receipt_handle: str
    body: str
    attributes: Mapping[str, str]
    sent_at: datetime

    @property
    def stage(self) -> str:
        """The stage that rejected or failed the record."""
        return self.attributes.get("stage", UNKNOWN)

    @property
    def error_type(self) -> str:
        """The kind of error, to group by."""
        return self.attributes.get("error_type", UNKNOWN)

    @property
    def error_message(self) -> str:
        """The reason as a sentence."""
        return self.attributes.get("error_message", "")

    @property
    def errors(self) -> tuple[str, ...]:
        """Every single reason, where there are several."""
        try:
            errors = exact_json.parse(self.attributes.get("errors", "[]"))
        except exact_json.NotJsonError:
            return ()
        return tuple(map(str, errors)) if isinstance(errors, list) else ()

    @property
    def execution_id(self) -> str | None:
        """Identity of the record, the same in each of its deliveries."""
        return self.attributes.get("execution_id")

    @property
    def attempts(self) -> int | None:
        """Deliveries before it came here; None where nobody recorded them."""
        count = self.attributes.get("receive_count", "")
        return int(count) if count.isdecimal() else None

    @property
    def failed_at(self) -> datetime:
        """When the pipeline gave it up, or else when it was sent."""
        try:
            moment = datetime.fromisoformat(self.attributes["failed_at"])
        except (KeyError, ValueError):
            return self.sent_at
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


@dataclass(frozen=True)
class Filter:
    """Which dead letters are wanted: None takes all.

    `reason` is an error type, or a part of the error message; case does not matter.
    """

    stage: str | None = None
    reason: str | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether `letter` is wanted."""
        return self._takes_stage(letter) and self._takes_reason(letter)

    def _takes_stage(self, letter: DeadLetter) -> bool:
        return self.stage is None or letter.stage == self.stage

    def _takes_reason(self, letter: DeadLetter) -> bool:
        if self.reason is None:
            return True
        reason = self.reason.lower()
        return reason == letter.error_type.lower() or reason in letter.error_message.lower()


@dataclass(frozen=True)
class DeadLetterQueue:
    """The dead-letter queue; `long_poll` is in seconds."""

    sqs: SQSClient
    url: str
    long_poll: int | None = None

    def about(self) -> int:
        """Roughly how many messages the queue holds, as SQS counts them."""
        wanted: QueueAttributeNameType = "ApproximateNumberOfMessages"
        response = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[wanted])
        return int(response["Attributes"][wanted])

    def peek(self, *, only: Filter | None = None, limit: int | None = None) -> Iterator[DeadLetter]:
        """Dead letters, each once, until the queue is empty or `limit` is reached.

        While they are read they are hidden from other readers; when the iterator ends or is
        closed they are all visible again. Reading raises their receive count, as SQS counts.
        """
        wanted = only or Filter()
        reader = _Reader(self.sqs, self.url, self._wait_seconds())
        try:
            yield from itertools.islice(filter(wanted.takes, reader.letters()), limit)
        finally:
            reader.release()

    def _wait_seconds(self) -> int:
        return LONG_POLL_SECONDS if self.long_poll is None else self.long_poll


def grouped(letters: Iterable[DeadLetter]) -> list[tuple[str, str, int]]:
    """Stage, error type and how many, the most frequent first."""
    counts = Counter((letter.stage, letter.error_type) for letter in letters)
    return [(stage, error, count) for (stage, error), count in counts.most_common()]


@dataclass
class _Reader:
    """Receives what is in a queue and knows what to give back."""

    sqs: SQSClient
    url: str
    wait_seconds: int
    handles: dict[str, str] = field(default_factory=dict)

    def letters(self) -> Iterator[DeadLetter]:
        # A message whose time is up before the end is reached comes again: nothing new for a
        # few receives means that all were seen.
        stale = 0
        while stale < _STALE_RECEIVES and (messages := self._receive()):
            fresh = [message for message in messages if message["MessageId"] not in self.handles]
            stale = 0 if fresh else stale + 1
            self.handles |= {m["MessageId"]: m["ReceiptHandle"] for m in messages}
            yield from map(_dead_letter, fresh)

    def _receive(self) -> list[MessageTypeDef]:
        response = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=_MAX_ENTRIES,
            VisibilityTimeout=_HIDDEN_SECONDS,
            WaitTimeSeconds=self.wait_seconds,
            MessageSystemAttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        return response.get("Messages", [])

    def release(self) -> None:
        """Make all messages visible; those that already are so are none of our business."""
        handles = iter(self.handles.values())
        while batch := list(itertools.islice(handles, _MAX_ENTRIES)):
            self.sqs.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for index, handle in enumerate(batch)
                ],
            )


def _dead_letter(message: MessageTypeDef) -> DeadLetter:
    attributes = message.get("MessageAttributes", {})
    sent = int(message.get("Attributes", {}).get("SentTimestamp", 0)) / 1000
    return DeadLetter(
        message_id=message["MessageId"],
        receipt_handle=message["ReceiptHandle"],
        body=message["Body"],
        attributes={
            name: value["StringValue"]
            for name, value in attributes.items()
            if "StringValue" in value
        },
        sent_at=datetime.fromtimestamp(sent, UTC),
    )
