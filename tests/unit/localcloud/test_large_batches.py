"""A mapping gets the batch it asks for, in requests of ten, no more than there is nor than fits."""

from typing import Any

import pytest

from localcloud.large_batches import put_back, receiving_large_batches, record_bytes

_MAX_EVENT_BYTES = 6 * 1024 * 1024
_NOT_RECEIVED = {"receipt_handle": None, "visible_at": 0, "receive_count": 0}


class Queue:
    def __init__(self, messages: int, body: str = "") -> None:
        self.messages: list[dict[str, Any]] = [
            {"id": number, "body": body, **_NOT_RECEIVED} for number in range(messages)
        ]
        self.asked: list[int] = []

    def receive(self, queue_url: str, count: int) -> list[dict[str, Any]]:
        assert queue_url == "url"
        self.asked.append(count)
        taken = [m for m in self.messages if not m["visible_at"]][:count]
        for message in taken:
            message |= {"receipt_handle": "r", "visible_at": 99, "receive_count": 1}
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
    batch = receiving_large_batches(queue.receive, put_back)("url", wanted)
    assert [message["id"] for message in batch] == list(range(min(there, wanted)))
    assert queue.asked == asked
    assert len([m for m in queue.messages if not m["visible_at"]]) == left


def test_a_batch_ends_where_the_event_would_be_larger_than_6_mb() -> None:
    queue = Queue(13, body="ы" * (512 * 1024))
    receive = receiving_large_batches(queue.receive, put_back)
    batches = [receive("url", 100) for _ in range(4)]
    assert [[m["id"] for m in batch] for batch in batches] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12],
        [],
    ]
    assert {m["receive_count"] for m in queue.messages} == {1}, "what was put back is not counted"


def test_a_batch_of_exactly_6_mb_passes_and_of_one_byte_more_does_not() -> None:
    def batch_of(body: str) -> int:
        queue = Queue(4, body)
        return len(receiving_large_batches(queue.receive, put_back)("url", 10))

    envelope = record_bytes({"body": ""})
    assert batch_of("x" * (_MAX_EVENT_BYTES // 4 - envelope)) == 4
    assert batch_of("x" * (_MAX_EVENT_BYTES // 4 - envelope + 1)) == 3


def test_a_message_that_was_received_before_keeps_that_when_it_is_put_back() -> None:
    message = {"receipt_handle": "r", "visible_at": 9, "receive_count": 2, "first_receive_at": 5}
    put_back(message)
    assert message == {
        "receipt_handle": None,
        "visible_at": 0,
        "receive_count": 1,
        "first_receive_at": 5,
    }
