"""Lets an event source mapping take as many messages as it is set to.

ministack 1.5.33 stops at ten, which is what one request of SQS gives; Lambda asks again until it
has the batch, up to 10,000 messages. ministack's own interpreter imports this module, so it imports
nothing that is not in the standard library.
"""

from collections.abc import Callable
from typing import Any

_PER_REQUEST = 10

Receive = Callable[[str, int], list[dict[str, Any]]]


def receiving_large_batches(receive: Receive) -> Receive:
    """Return ministack's function that receives for a mapping, asking again while there is more."""

    def receive_all(queue_url: str, count: int) -> list[dict[str, Any]]:
        batch: list[dict[str, Any]] = []
        while len(batch) < count:
            received = receive(queue_url, min(_PER_REQUEST, count - len(batch)))
            if not received:
                break
            batch += received
        return batch

    return receive_all
