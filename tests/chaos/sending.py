"""Sends messages over a time, whatever happens to the queue meanwhile, and keeps book of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError

from pipeline_core.sizes import batches
from tests.chaos.messages import MAX_MESSAGE_BYTES, Message

BATCH = 10
PAUSE_SECONDS = 0.3


def _size(message: Message) -> int:
    return len(message.body.encode())


@dataclass
class Sending:
    """What is known of the sends of one body.

    Each id stands for a message that is in the queue for sure; each unknown one for a send that was
    cut off, so that the queue may or may not have the message.
    """

    message: Message
    ids: list[str] = field(default_factory=list)
    unknown: int = 0


Book = dict[str, Sending]
"""All sends, by body."""


@dataclass
class Sender:
    """Sends to one queue. ``sqs`` must not retry by itself: it would hide what is unknown."""

    sqs: Any
    queue_url: str
    book: Book = field(default_factory=dict)

    def send_over(self, messages: Sequence[Message], seconds: float) -> None:
        """Send all, evenly spread over so many seconds; longer, if the queue was away."""
        start, sent = time.monotonic(), 0
        for batch in batches(messages, _size, max_bytes=MAX_MESSAGE_BYTES, max_entries=BATCH):
            due = start + seconds * sent / len(messages)
            time.sleep(max(0.0, due - time.monotonic()))
            self._send(batch)
            sent += len(batch)

    def _send(self, messages: Sequence[Message]) -> None:
        """Send until each message is in the queue for sure."""
        while messages := self._attempt(messages):
            time.sleep(PAUSE_SECONDS)

    def _attempt(self, messages: Sequence[Message]) -> list[Message]:
        """Send once; the messages that are not known to be in the queue."""
        entries = [{"Id": str(n), "MessageBody": m.body} for n, m in enumerate(messages)]
        try:
            response = self.sqs.send_message_batch(QueueUrl=self.queue_url, Entries=entries)
        except EndpointConnectionError:
            return list(messages)  # nobody listened
        except (BotoCoreError, ClientError):
            for message in messages:
                self._entry(message).unknown += 1
            return list(messages)
        for sent in response.get("Successful", []):
            self._entry(messages[int(sent["Id"])]).ids.append(sent["MessageId"])
        return [messages[int(entry["Id"])] for entry in response.get("Failed", [])]

    def _entry(self, message: Message) -> Sending:
        return self.book.setdefault(message.body, Sending(message))
