"""The dead-letter queue: look into it, take from it, empty it."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from pipelinectl.dead_letters import DeadLetter, Filter

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from mypy_boto3_sqs.client import SQSClient
    from mypy_boto3_sqs.literals import QueueAttributeNameType
    from mypy_boto3_sqs.type_defs import MessageTypeDef

    from pipelinectl.message_attributes import Attributes

# Long enough to look at a few thousand messages, short enough that a reader that was killed
# hides them from nobody for long.
PEEK_SECONDS = 20
# A receive that waits asks all of SQS's servers, one that does not asks a sample of them.
LONG_POLL_SECONDS = 1
MAX_ENTRIES = 10  # of one receive or batch request


@dataclass(frozen=True)
class DeadLetterQueue:
    """The dead-letter queue; `long_poll` is in seconds, `source_url` the queue it belongs to."""

    sqs: SQSClient
    url: str
    long_poll: int | None = None
    source_url: str | None = None

    def about(self) -> int:
        """Roughly how many messages the queue holds, as SQS counts them."""
        wanted: QueueAttributeNameType = "ApproximateNumberOfMessages"
        response = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=[wanted])
        return int(response["Attributes"][wanted])

    def peek(
        self,
        *,
        only: Filter | None = None,
        limit: int | None = None,
        hidden_seconds: int = PEEK_SECONDS,
    ) -> Generator[DeadLetter, None, None]:
        """Dead letters, each once, until the queue is empty or `limit` is reached.

        While they are read they are hidden from other readers; when the iterator ends or is
        closed they are all visible again. Reading raises their receive count, as SQS counts.
        """
        wanted = only or Filter()
        held = self.hold(hidden_seconds)
        try:
            yield from itertools.islice(filter(wanted.takes, held.new_letters()), limit)
        finally:
            held.release()

    def hold(self, hidden_seconds: int) -> Held:
        """Begin to receive messages that stay hidden for so long, or until they are released."""
        long_poll = LONG_POLL_SECONDS if self.long_poll is None else self.long_poll
        return Held(self.sqs, self.url, long_poll, hidden_seconds, self.max_receives)

    def purge(self) -> None:
        """Delete every message for good, hidden ones included."""
        self.sqs.purge_queue(QueueUrl=self.url)

    @cached_property
    def max_receives(self) -> int | None:
        """Receives after which SQS itself moves a message here; None where that is not known."""
        if self.source_url is None:
            return None
        wanted: QueueAttributeNameType = "RedrivePolicy"
        response = self.sqs.get_queue_attributes(QueueUrl=self.source_url, AttributeNames=[wanted])
        policy = response.get("Attributes", {}).get(wanted)
        return int(json.loads(policy)["maxReceiveCount"]) if policy else None


@dataclass
class Held:
    """Messages that were received and not yet given back, by message id."""

    sqs: SQSClient
    url: str
    wait_seconds: int
    hidden_seconds: int
    max_receives: int | None
    _handles: dict[str, str] = field(default_factory=dict)

    def new_letters(self) -> Iterator[DeadLetter]:
        """Dead letters, each once, until nothing new comes."""
        seen: set[str] = set()
        for letters in self.receives():
            yield from (letter for letter in letters if letter.message_id not in seen)
            seen.update(letter.message_id for letter in letters)

    def receives(self, count: int = MAX_ENTRIES) -> Iterator[list[DeadLetter]]:
        """What each receive of at most `count` messages brings, until nothing new comes.

        A message whose time is up before the end is reached comes again. So the end is reached
        when nothing comes, or when as many receives brought nothing new as might be needed to
        have all the old ones out of the way.
        """
        stale = 0
        while stale <= len(self._handles) and (letters := self._receive(count)):
            known = len(self._handles)
            self._handles |= {letter.message_id: letter.receipt_handle for letter in letters}
            stale = 0 if len(self._handles) > known else stale + 1
            yield letters

    def hide(self, letter: DeadLetter, seconds: int) -> None:
        """Keep a message hidden for so many seconds from now."""
        self.sqs.change_message_visibility(
            QueueUrl=self.url, ReceiptHandle=letter.receipt_handle, VisibilityTimeout=seconds
        )

    def delete(self, letters: Iterable[DeadLetter]) -> list[DeadLetter]:
        """Delete messages; answers with those that SQS did not delete, which are held on to."""
        by_id = {str(index): letter for index, letter in enumerate(letters)}
        if not by_id:
            return []
        response = self.sqs.delete_message_batch(
            QueueUrl=self.url,
            Entries=[{"Id": i, "ReceiptHandle": m.receipt_handle} for i, m in by_id.items()],
        )
        for deleted in response.get("Successful", []):
            self._handles.pop(by_id.pop(deleted["Id"]).message_id, None)
        return list(by_id.values())

    def release(self) -> None:
        """Make all messages visible; those that already are so are none of our business."""
        handles = iter(self._handles.values())
        while batch := list(itertools.islice(handles, MAX_ENTRIES)):
            self.sqs.change_message_visibility_batch(
                QueueUrl=self.url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                    for index, handle in enumerate(batch)
                ],
            )

    def _receive(self, count: int) -> list[DeadLetter]:
        response = self.sqs.receive_message(
            QueueUrl=self.url,
            MaxNumberOfMessages=count,
            VisibilityTimeout=self.hidden_seconds,
            WaitTimeSeconds=self.wait_seconds,
            MessageSystemAttributeNames=["SentTimestamp", "DeadLetterQueueSourceArn"],
            MessageAttributeNames=["All"],
        )
        return [self._dead_letter(message) for message in response.get("Messages", [])]

    def _dead_letter(self, message: MessageTypeDef) -> DeadLetter:
        system = message.get("Attributes", {})
        source = system.get("DeadLetterQueueSourceArn")
        return DeadLetter(
            message_id=message["MessageId"],
            receipt_handle=message["ReceiptHandle"],
            body=message["Body"],
            message_attributes=_sendable(message),
            sent_timestamp=int(system.get("SentTimestamp", 0)),
            max_receives=self.max_receives,
            source=source and source.rpartition(":")[2],
        )


def _sendable(message: MessageTypeDef) -> Attributes:
    """The attributes with nothing in them but what may be sent again."""
    return {
        name: {"DataType": value["DataType"], "BinaryValue": value["BinaryValue"]}
        if "BinaryValue" in value
        else {"DataType": value["DataType"], "StringValue": value.get("StringValue", "")}
        for name, value in message.get("MessageAttributes", {}).items()
    }
