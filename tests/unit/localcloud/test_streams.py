"""A mapping of a stream ends its batches as Lambda does, whatever its function answers."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextvars import ContextVar
from threading import Lock
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud import streams
from localcloud.streams import Streams, done_with, why_given_up

SOURCE = "arn:aws:dynamodb:eu-central-2:000000000000:table/processed/stream/2026"
ERROR = {"error": True, "body": {"errorType": "Runtime.ExitError"}}
Answer = Callable[[list[int]], dict[str, Any]]


def record(number: int, *, age: float = 0) -> dict[str, Any]:
    created = time.time() - age
    return {"dynamodb": {"SequenceNumber": f"{number}", "ApproximateCreationDateTime": created}}


class Ministack:
    """What the poller uses of ministack; a batch runs at once, nothing waits after a failure."""

    def __init__(self, records: list[dict[str, Any]], answer: Answer, **mapping: Any) -> None:
        self.batches: list[list[int]] = []
        self.given_up: list[tuple[list[int], str]] = []
        self.positions: dict[str, int] = {}
        self.mapping = {
            "UUID": "one",
            "EventSourceArn": SOURCE,
            "FunctionName": "sink",
            "StartingPosition": "TRIM_HORIZON",
            "FunctionResponseTypes": ["ReportBatchItemFailures"],
            **mapping,
        }
        self.service = SimpleNamespace(
            _iter_all_esms=lambda: [("000000000000", "eu-central-2", self.mapping)],
            _request_account_id=ContextVar("account"),
            _request_region=ContextVar("region"),
            _esm_backoff_until={},
            _ESM_BACKOFF_SECONDS=0,
            _esm_inflight={},
            _esms={"one": self.mapping},
            _get_func_record_for_qualifier=lambda name, _: (name, {}),
            _dynamodb_stream_positions=self.positions,
            _dynamodb_stream_positions_lock=Lock(),
            _dispatch_esm_batch=lambda _, run, *arguments: run(*arguments),
            _apply_filter_criteria=lambda batch, _: batch,
            _execute_function=lambda _, event: self._answered(event, answer),
            _send_ddb_stream_failure_record=self._told,
        )
        self.tables = SimpleNamespace(
            _tables={"processed": {"LatestStreamArn": SOURCE}},
            stream_start_position=lambda _: 0,
            stream_end_position=lambda _: len(records),
            stream_records_since=lambda _, start, count: records[start : start + count],
        )
        self.streams = Streams(self.service, self.tables)

    def _answered(self, event: dict[str, Any], answer: Answer) -> dict[str, Any]:
        self.batches.append(numbers(event["Records"]))
        return answer(self.batches[-1])

    def _told(self, *arguments: Any) -> None:
        _, _, left, source, _, why = arguments
        assert source == SOURCE
        self.given_up.append((numbers(left), why))

    def read(self) -> None:
        """Poll until there is nothing more."""
        for _ in range(100):
            if not self.streams.poll():
                return
        pytest.fail("it is never done")


def numbers(records: list[dict[str, Any]]) -> list[int]:
    return [int(record["dynamodb"]["SequenceNumber"]) for record in records]


TEN = [record(number) for number in range(10)]


def fails(poison: int) -> Answer:
    return lambda batch: ERROR if poison in batch else {}


def reports(*failed: Any) -> dict[str, Any]:
    return {"body": {"batchItemFailures": [{"itemIdentifier": one} for one in failed]}}


def test_batches_follow_each_other_in_order() -> None:
    ministack = Ministack(TEN, lambda _: {}, BatchSize="4")
    ministack.read()
    assert ministack.batches == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert ministack.positions == {"one": 10}


def test_a_batch_that_failed_is_bisected_down_to_the_record_that_is_given_up() -> None:
    ministack = Ministack(TEN, fails(3), BisectBatchOnFunctionError=True, MaximumRetryAttempts="1")
    ministack.read()
    assert ministack.given_up == [([3], "RetryAttemptsExhausted")]
    assert ministack.batches == [
        [*range(10)],
        *([0, 1, 2, 3, 4], [0, 1], [2, 3, 4], [2], [3, 4], [3], [3], [4]),
        [5, 6, 7, 8, 9],
    ]


def test_without_bisecting_the_whole_batch_is_given_up() -> None:
    ministack = Ministack(TEN, fails(3), BatchSize=5, MaximumRetryAttempts=2)
    ministack.read()
    assert ministack.batches == [[0, 1, 2, 3, 4]] * 3 + [[5, 6, 7, 8, 9]]
    assert ministack.given_up == [([0, 1, 2, 3, 4], "RetryAttemptsExhausted")]


def test_from_the_record_that_is_reported_on_all_come_again() -> None:
    asked: list[int] = []

    def answer(batch: list[int]) -> dict[str, Any]:
        asked.append(len(asked))
        return reports("6", "4") if len(asked) == 1 else reports()

    ministack = Ministack(TEN, answer, BisectBatchOnFunctionError=True)
    ministack.read()
    assert ministack.batches == [[*range(10)], [4, 5, 6, 7, 8, 9]]
    assert ministack.given_up == []


def test_retries_are_counted_from_the_record_that_is_reported() -> None:
    ministack = Ministack(TEN, lambda batch: reports(str(max(4, batch[0]))), MaximumRetryAttempts=1)
    ministack.read()
    assert ministack.batches == [[*range(10)], [4, 5, 6, 7, 8, 9]]
    assert ministack.given_up == [([4, 5, 6, 7, 8, 9], "RetryAttemptsExhausted")]


@pytest.mark.parametrize(
    ("result", "done"),
    [
        ({}, 3),
        ({"body": None}, 3),
        ({"body": "no JSON"}, 3),
        ({"body": {"batchItemFailures": None}}, 3),
        ({"body": '{"batchItemFailures": [{"itemIdentifier": "1"}]}'}, 1),
        (reports("2", "1"), 1),
        (reports("77"), 0),
        (reports(""), 0),
        (reports(None), 0),
        ({"body": {"batchItemFailures": [{"id": "1"}]}}, 0),
        ({"body": {"batchItemFailures": ["1"]}}, 0),
        (ERROR, 0),
    ],
)
def test_a_report_counts_as_lambda_counts_it(result: dict[str, Any], done: int) -> None:
    batch = [record(number) for number in range(3)]
    assert done_with(batch, result, partly=True) == done


def test_a_report_counts_only_where_the_mapping_says_so() -> None:
    assert done_with(TEN, reports("1"), partly=False) == len(TEN)


@pytest.mark.parametrize(
    ("limits", "failures", "why"),
    [
        ({}, 1000, ""),
        ({"MaximumRetryAttempts": -1, "MaximumRecordAgeInSeconds": -1}, 1000, ""),
        ({"MaximumRetryAttempts": "0"}, 1, "RetryAttemptsExhausted"),
        ({"MaximumRetryAttempts": 1}, 1, ""),
        ({"MaximumRecordAgeInSeconds": "60"}, 1, "MaxRecordAgeExceeded"),
        ({"MaximumRecordAgeInSeconds": 600}, 1, ""),
    ],
)
def test_what_is_too_old_or_was_tried_too_often_is_given_up(
    limits: dict[str, Any], failures: int, why: str
) -> None:
    assert why_given_up(limits, [record(1, age=100)], failures) == why


@pytest.mark.parametrize(
    "not_read",
    [
        {"Enabled": False},
        {"EventSourceArn": f"{SOURCE}-before"},
        {"EventSourceArn": "arn:aws:sqs:eu-central-2:000000000000:processed"},
        {"StartingPosition": "LATEST"},
    ],
)
def test_what_is_not_to_be_read_is_not_read(not_read: dict[str, Any]) -> None:
    ministack = Ministack(TEN, lambda _: {}, **not_read)
    ministack.read()
    assert ministack.batches == []


def test_one_batch_at_a_time_is_under_way() -> None:
    ministack = Ministack(TEN, lambda _: {})
    ministack.service._esm_inflight["one"] = 1
    assert not ministack.streams.poll()


def test_an_event_has_room_for_its_records() -> None:
    large = [record(number) | {"image": "x" * 4_000_000} for number in range(3)]
    ministack = Ministack(large, lambda _: {})
    ministack.read()
    assert ministack.batches == [[0], [1], [2]]


def test_a_stream_that_has_begun_anew_is_read_from_its_first_record() -> None:
    ministack = Ministack(TEN, lambda _: {})
    ministack.positions["one"] = 4711
    ministack.read()
    assert ministack.batches == [[*range(10)]]


def test_what_is_in_a_stream_is_saved_with_the_tables() -> None:
    def tables(records: dict[str, Any]) -> Any:
        return SimpleNamespace(
            _stream_records=records,
            _stream_trimmed={"processed": 3} if records else {},
            get_state=lambda: {"tables": "kept"},
            load_persisted_state=lambda data: data["tables"],
        )

    before, after = tables({"processed": TEN}), tables({})
    service = SimpleNamespace()
    for one in (before, after):
        streams.install(service, one)

    state = before.get_state()
    after.load_persisted_state(state)

    assert state["tables"] == "kept"
    assert (after._stream_records, after._stream_trimmed) == ({"processed": TEN}, {"processed": 3})
    assert service._poll_dynamodb_streams
