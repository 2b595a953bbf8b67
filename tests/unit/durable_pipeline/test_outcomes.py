from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from durable_pipeline.outcomes import change_visibility, delay_seconds
from durable_pipeline.records import Record
from tests.unit.durable_pipeline.settings import SETTINGS


class FakeQueue:
    """Takes visibility changes; fails the requests whose number is in ``failing``."""

    def __init__(self, *failing: int) -> None:
        self.failing, self.requests = failing, list[Any]()

    def change_message_visibility_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        self.requests.append(Entries)
        if len(self.requests) in self.failing:
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, "Change")
        return {"Successful": Entries}


def records(count: int) -> list[Record]:
    return [Record(str(n), str(n), "{}", 0, n + 1, f"receipt-{n}") for n in range(count)]


def test_the_delay_grows_with_the_receive_count_up_to_a_bound() -> None:
    delays = [delay_seconds(count, SETTINGS) for count in (1, 2, 3, 6, 7, 1000)]

    assert delays == [5, 10, 20, 160, 300, 300]


def test_each_record_gets_its_delay_with_jitter() -> None:
    queue = FakeQueue()

    assert change_visibility(queue, SETTINGS, records(3)) == 3  # type: ignore[arg-type]  # a fake of what it uses

    for entry, longest in zip(queue.requests[0], (5, 10, 20), strict=True):
        assert longest / 2 <= entry["VisibilityTimeout"] <= longest


def test_a_request_that_fails_does_not_stop_the_next() -> None:
    queue = FakeQueue(1)

    assert change_visibility(queue, SETTINGS, records(12)) == 2  # type: ignore[arg-type]  # a fake of what it uses
