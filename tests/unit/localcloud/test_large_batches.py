"""A mapping gets the batch it asks for, in requests of ten, and no more than there is."""

from typing import Any

import pytest

from localcloud.large_batches import receiving_large_batches


class Queue:
    def __init__(self, messages: int) -> None:
        self.messages = [{"id": number} for number in range(messages)]
        self.asked: list[int] = []

    def receive(self, queue_url: str, count: int) -> list[dict[str, Any]]:
        assert queue_url == "url"
        self.asked.append(count)
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken


@pytest.mark.parametrize(
    ("there", "wanted", "asked", "left"),
    [
        (30, 25, [10, 10, 5], 5),
        (12, 100, [10, 10, 10], 0),
        (3, 1, [1], 2),
        (0, 10, [10], 0),
    ],
)
def test_a_batch_is_received_in_requests_of_ten(
    there: int, wanted: int, asked: list[int], left: int
) -> None:
    queue = Queue(there)
    batch = receiving_large_batches(queue.receive)("url", wanted)
    assert [message["id"] for message in batch] == list(range(min(there, wanted)))
    assert (queue.asked, len(queue.messages)) == (asked, left)
