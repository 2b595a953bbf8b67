from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.contract import StageRecord
from store.table import IS_STILL_THERE, Settings, Table, Write
from tests.events import STANDARD

SETTINGS = Settings("table", "catalog")
NOW = "2026-03-01T00:00:00.000000Z"


def record(key: str, execution_id: str | None = None, sent: int = 1) -> StageRecord:
    return {
        "id": key,
        "message_id": key,
        "sent_timestamp": sent,
        "by_producer": execution_id is not None,
        "execution_id": execution_id or key,
        "body": "{}",
        "transformed": json.dumps(STANDARD),
        "processed_at": NOW,
    }


class FakeDynamoDB:
    """Takes ``room`` items per request, leaves the rest unprocessed; raises ``errors`` first."""

    def __init__(self, *errors: Exception, room: int = 25, poison: str = "") -> None:
        self.errors, self.room, self.poison = list(errors), room, poison
        self.items: dict[str, Any] = {}
        self.requests = 0

    def put_item(self, Item: dict[str, Any], ConditionExpression: str, **more: Any) -> None:
        """Put one item, on the condition that IS_NEWEST or IS_STILL_THERE says."""
        self.requests += 1
        if self.errors:
            raise self.errors.pop(0)
        key = Item["execution_id"]["S"]
        if ConditionExpression == IS_STILL_THERE:
            there = self.items.get(key, {}).get("stored_at")
            if there != more["ExpressionAttributeValues"][":replaces"]:
                raise client_error("ConditionalCheckFailedException")
        elif key in self.items and age(self.items[key]) > age(Item):
            raise client_error("ConditionalCheckFailedException")
        self.items[key] = Item

    def batch_write_item(self, RequestItems: dict[str, Any]) -> dict[str, Any]:
        self.requests += 1
        if self.errors:
            raise self.errors.pop(0)
        ((name, puts),) = RequestItems.items()
        keys = [put["PutRequest"]["Item"]["execution_id"]["S"] for put in puts]
        if self.poison in keys:
            raise client_error("ValidationException")
        items = [put["PutRequest"]["Item"] for put in puts[: self.room]]
        self.items |= dict(zip(keys, items, strict=False))
        left = puts[self.room :]
        return {"UnprocessedItems": {name: left} if left else {}}


def age(item: dict[str, Any]) -> tuple[str, int, bool, str, int]:
    return Write(item, contested=True).age()


def client_error(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": code}}, "BatchWriteItem")


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += max(seconds, 0.01)


def outcomes(
    client: FakeDynamoDB, *records: StageRecord, seconds: float = 10, at: str = NOW
) -> dict[str, str]:
    clock = Clock()
    table = Table(client, SETTINGS, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]  # a fake of what it uses
    results = table.store(records, stored_at=at, seconds=seconds, execution_arn="arn")
    return {result["id"]: result["outcome"] for result in results}


@given(count=st.integers(0, 120), room=st.integers(1, 25))
def test_every_record_is_written_once_whatever_dynamodb_leaves(count: int, room: int) -> None:
    client = FakeDynamoDB(room=room)

    verdicts = outcomes(client, *(record(f"r{n}") for n in range(count)), seconds=1e6)

    assert verdicts == {f"r{n}": "ok" for n in range(count)}
    assert len(client.items) == count


def test_a_throttled_request_is_tried_again() -> None:
    client = FakeDynamoDB(client_error("ThrottlingException"), client_error("InternalServerError"))

    assert outcomes(client, record("a")) == {"a": "ok"}
    assert client.requests == 3


def test_no_answer_at_all_is_tried_again() -> None:
    client = FakeDynamoDB(EndpointConnectionError(endpoint_url="x"))

    assert outcomes(client, record("a")) == {"a": "ok"}


def test_items_that_stay_unprocessed_are_failed_never_silently_lost() -> None:
    client = FakeDynamoDB(room=0)

    assert outcomes(client, record("a"), record("b"), seconds=3) == {"a": "failed", "b": "failed"}


def test_an_error_that_does_not_pass_is_not_tried_again() -> None:
    client = FakeDynamoDB(client_error("AccessDeniedException"))

    assert outcomes(client, record("a")) == {"a": "failed"}
    assert client.requests == 1


def test_an_item_that_dynamodb_finds_wrong_does_not_hold_back_its_neighbours() -> None:
    client = FakeDynamoDB(poison="b")

    verdicts = outcomes(client, record("a"), record("b"), record("c"))

    assert verdicts == {"a": "ok", "b": "failed", "c": "ok"}


def test_a_record_that_dynamodb_cannot_hold_is_rejected_and_not_sent() -> None:
    client = FakeDynamoDB()
    wrong = record("a") | {"body": f'{{"n": {"1" * 39}}}'}

    assert outcomes(client, wrong, record("b")) == {"a": "rejected", "b": "ok"}
    assert list(client.items) == ["b"]


@given(st.permutations([("a", 1), ("b", 3), ("c", 2), ("d", 3)]), st.integers(1, 4))
def test_of_two_records_of_one_execution_id_the_newest_stays_in_whatever_order_they_come(
    order: list[tuple[str, int]], size: int
) -> None:
    client = FakeDynamoDB()
    records = [record(key, "same", sent) for key, sent in order]

    for start in range(0, len(records), size):
        verdicts = outcomes(client, *records[start : start + size])
        assert set(verdicts.values()) == {"ok"}

    assert client.items["same"]["message_id"] == {"S": "d"}


def again(key: str, execution_id: str | None = None, sent: int = 1) -> StageRecord:
    """A record that is processed again from the item that was stored at NOW."""
    return record(key, execution_id, sent) | {"replaces": NOW}


LATER = "2026-03-02T00:00:00.000000Z"


@pytest.mark.parametrize("chosen", ["mine", None])
def test_a_record_processed_again_replaces_the_item_it_was_read_from(chosen: str | None) -> None:
    client = FakeDynamoDB()
    outcomes(client, record("zzz", chosen))
    key = chosen or "zzz"

    assert outcomes(client, again("a", chosen) | {"execution_id": key}, at=LATER) == {"a": "ok"}

    assert client.items[key]["message_id"] == {"S": "a"}
    assert client.items[key]["stored_at"] == {"S": LATER}


@given(st.permutations(["again", "newer", "repeated"]), st.sampled_from([0, 1]))
def test_a_record_processed_again_never_replaces_what_has_come_since(
    order: list[str], newer_by: int
) -> None:
    client = FakeDynamoDB()
    outcomes(client, record("old", "same"))
    coming = {
        "again": again("zz", "same"),
        "repeated": again("zz", "same"),
        "newer": record("old-2", "same", 1 + newer_by),
    }

    for number, name in enumerate(order):
        outcomes(client, coming[name], at=f"2026-03-0{number + 2}T00:00:00.000000Z")

    if newer_by or order[0] == "newer":
        assert client.items["same"]["message_id"] == {"S": "old-2"}
    else:  # of one time they are ordered by their ids, as ever
        assert client.items["same"]["message_id"] == {"S": "zz"}


def test_a_record_processed_again_does_not_bring_back_what_was_removed() -> None:
    client = FakeDynamoDB()

    assert outcomes(client, again("a", "same")) == {"a": "superseded"}
    assert client.items == {}


def test_in_one_chunk_what_has_come_since_goes_before_what_is_processed_again() -> None:
    client = FakeDynamoDB()
    outcomes(client, record("old", "same"))

    verdicts = outcomes(client, again("zz", "same"), record("old", "same"), at=LATER)

    assert verdicts == {"zz": "ok", "old": "ok"}
    assert client.items["same"]["message_id"] == {"S": "old"}


def test_a_contested_item_is_tried_again_as_any_other() -> None:
    client = FakeDynamoDB(client_error("ThrottlingException"))

    assert outcomes(client, record("a", "mine")) == {"a": "ok"}
    assert client.requests == 2


@pytest.mark.parametrize("count", [0, 1, 25, 26, 100])
def test_a_request_has_at_most_25_items(count: int) -> None:
    client = FakeDynamoDB()

    outcomes(client, *(record(f"r{n}") for n in range(count)))

    assert client.requests == -(-count // 25)


@pytest.mark.parametrize("bound_first", [True, False])
def test_in_one_chunk_one_whose_item_is_gone_takes_no_other_along(bound_first: bool) -> None:
    client = FakeDynamoDB()
    both = [again("zz", "same", sent=2), record("came", "same", sent=1)]

    verdicts = outcomes(client, *(both if bound_first else both[::-1]))

    assert verdicts == {"zz": "superseded", "came": "ok"}
    assert client.items["same"]["message_id"] == {"S": "came"}


class FakeTransactions:
    """Takes transactions; ``refusals`` are codes for the parts of the first ones, None for none."""

    def __init__(self, *refusals: Mapping[int, str]) -> None:
        self.refusals = list(refusals)
        self.sizes: list[int] = []
        self.keys: list[str] = []

    def transact_write_items(self, TransactItems: list[Any]) -> None:
        self.sizes.append(len(TransactItems))
        assert "ConditionCheck" in TransactItems[-1]
        codes = self.refusals.pop(0) if self.refusals else {}
        if codes:
            reasons = [{"Code": codes.get(n, "None")} for n in range(len(TransactItems))]
            last = codes.get(-1)
            if last:
                reasons[-1] = {"Code": last}
            response: Any = {
                "Error": {"Code": "TransactionCanceledException", "Message": "no"},
                "CancellationReasons": reasons,
            }
            raise ClientError(response, "TransactWriteItems")
        self.keys += [part["Put"]["Item"]["execution_id"]["S"] for part in TransactItems[:-1]]


def row(number: int, sequencer: str = "A", key: str = "") -> StageRecord:
    of = {"bucket": "b", "key": "k.csv", "sequencer": sequencer, "number": number}
    return record(f"row-{number}", key or None) | {"row": of}  # type: ignore[return-value]  # of two TypedDicts


def stored_rows(client: FakeTransactions, *records: StageRecord) -> Counter[str]:
    clock = Clock()
    table = Table(client, SETTINGS, clock=clock, sleep=clock.sleep)  # type: ignore[arg-type]  # a fake of what it uses
    results = table.store(records, stored_at=NOW, seconds=10)
    return Counter(result["outcome"] for result in results)


def test_rows_ask_the_catalog_in_transactions_of_a_hundred_parts() -> None:
    client = FakeTransactions()

    assert stored_rows(client, *map(row, range(1, 201))) == {"ok": 200}
    assert client.sizes == [100, 100, 3]


def test_rows_of_two_states_are_never_in_one_transaction() -> None:
    client = FakeTransactions()

    assert stored_rows(client, row(1, "A"), row(2, "B")) == {"ok": 2}
    assert client.sizes == [2, 2]


def test_a_row_that_meets_a_newer_item_goes_and_its_neighbours_are_written() -> None:
    client = FakeTransactions({1: "ConditionalCheckFailed"})

    assert stored_rows(client, *map(row, range(1, 4))) == {"ok": 3}
    assert client.keys == ["row-1", "row-3"]


def test_rows_of_a_state_that_is_no_longer_the_latest_are_superseded() -> None:
    client = FakeTransactions({-1: "ConditionalCheckFailed"})

    assert stored_rows(client, *map(row, range(1, 4))) == {"superseded": 3}
    assert client.keys == []


def test_a_conflict_at_the_catalog_passes() -> None:
    client = FakeTransactions({-1: "TransactionConflict"}, {-1: "TransactionConflict"})

    assert stored_rows(client, row(1)) == {"ok": 1}


def test_of_two_rows_of_one_key_in_a_request_the_later_one_is_written() -> None:
    client = FakeTransactions()

    assert stored_rows(client, row(2, key="mine"), row(1, key="mine")) == {"ok": 2}
    assert client.keys == ["mine"]
