"""Lets an event source mapping take as many messages as it is set to and Lambda takes at once.

ministack 1.5.33 stops at ten, which is what one request of SQS gives; Lambda asks again until it
has the batch, up to 10,000 messages or an event of 6 MB. ministack's own interpreter imports this
module, so it imports nothing that is not in the standard library.
"""

import json
from collections.abc import Callable
from typing import Any

from localcloud.quotas import MAX_INPUT_BYTES, utf8_length

_PER_REQUEST = 10
_MAX_EVENT_BYTES = MAX_INPUT_BYTES["RequestResponse"]
# What a record has beside its body and its attributes: identifiers, times, a receipt handle.
_ENVELOPE_BYTES = 1024

Message = dict[str, Any]
Receive = Callable[[str, int], list[Message]]


def receiving_large_batches(receive: Receive, put_back: Callable[[Message], None]) -> Receive:
    """Return ministack's function that receives for a mapping, asking again while there is more.

    `put_back` makes a message that was received as if it had not been.
    """

    def receive_all(queue_url: str, count: int) -> list[Message]:
        batch: list[Message] = []
        left = _MAX_EVENT_BYTES
        while len(batch) < count:
            received = receive(queue_url, min(_PER_REQUEST, count - len(batch)))
            for position, message in enumerate(received):
                left -= record_bytes(message)
                if left < 0:
                    for too_much in received[position:]:
                        put_back(too_much)
                    return batch
                batch.append(message)
            if not received:
                break
        return batch

    return receive_all


def put_back(message: Message) -> None:
    """Undo the receiving of one of ministack's messages; it is the next one to be received."""
    message["receipt_handle"] = None
    message["visible_at"] = 0
    message["receive_count"] -= 1
    if not message["receive_count"]:
        message["first_receive_at"] = None


def record_bytes(message: Message) -> int:
    """Bytes, at most, of a message as a record in the event of a batch."""
    carried = [message["body"], message.get("message_attributes") or {}]
    return _ENVELOPE_BYTES + utf8_length(json.dumps(carried, ensure_ascii=False, default=str))
