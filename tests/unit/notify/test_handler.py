from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from notify.handler import take
from pipeline_core.catalog import Catalog
from pipeline_core.events import ProcessingEvent
from pipeline_core.objects import ObjectId
from tests.unit.cleanup.fake_aws import FakeDynamoDB, client_error
from tests.unit.notify.events import DONE, FAILED, PROCESSING, REJECTED, STATE, SUPERSEDED


class Topic:
    """Remembers what operators are told; refuses the first ``refusals``."""

    def __init__(self, refusals: int = 0) -> None:
        self.told: list[str] = []
        self.refusals = refusals

    def tell(self, event: ProcessingEvent) -> None:
        if self.refusals:
            self.refusals -= 1
            raise client_error("InternalError", "Publish")
        self.told.append(event["event"])


@pytest.fixture
def table() -> FakeDynamoDB:
    return FakeDynamoDB()


@pytest.fixture
def catalog(table: FakeDynamoDB) -> Catalog:
    client: Any = table
    return Catalog(client, "catalog")


def state_of(catalog: Catalog) -> str | None:
    entry = catalog.get(ObjectId.of(STATE))
    return entry["state"] if entry else None


def news(event: ProcessingEvent, catalog: Catalog, topic: Topic) -> bool:
    return take(event, catalog, topic)  # type: ignore[arg-type]  # as far as it is used


def later(event: ProcessingEvent) -> ProcessingEvent:
    return {**event, "object": {**event["object"], "sequencer": "B" * 32}}


@pytest.mark.parametrize(
    ("event", "state"), [(DONE, "done"), (REJECTED, "failed"), (FAILED, "failed")]
)
def test_news_is_entered_and_told_once(
    catalog: Catalog, event: ProcessingEvent, state: str
) -> None:
    topic = Topic()

    assert [news(event, catalog, topic) for _ in range(3)] == [True, False, False]
    assert topic.told == [event["event"]]
    assert state_of(catalog) == state


def test_the_entry_says_what_the_event_said(catalog: Catalog) -> None:
    news(DONE, catalog, Topic())

    assert catalog.get(ObjectId.of(STATE)) == {
        **STATE,
        "object": "in/input/my orders.csv",
        "state": "done",
        "state_rank": 3,
        "updated_at": DONE["at"],
        "execution_id": "dev-1",
        "counts": DONE["counts"],
        "manifest": DONE["manifest"],
    }


def test_work_that_begins_is_entered_and_not_told(catalog: Catalog) -> None:
    topic = Topic()

    assert news(PROCESSING, catalog, topic)
    assert state_of(catalog) == "processing"
    assert topic.told == []


def test_a_superseded_state_is_neither_entered_nor_told(catalog: Catalog) -> None:
    topic = Topic()

    assert not news(SUPERSEDED, catalog, topic)
    assert (state_of(catalog), topic.told) == (None, [])


def test_of_an_earlier_state_nobody_is_told(catalog: Catalog) -> None:
    topic = Topic()
    news(later(PROCESSING), catalog, topic)

    assert not news(DONE, catalog, topic)
    assert topic.told == []


def test_in_any_order_done_stays_and_is_told(table: FakeDynamoDB, catalog: Catalog) -> None:
    for order in permutations([PROCESSING, FAILED, DONE, DONE]):
        topic = Topic()
        table.tables["catalog"].clear()
        for event in order:
            news(event, catalog, topic)

        assert state_of(catalog) == "done"
        assert topic.told.count("done") == 1


def test_what_became_of_a_failure_has_no_reason_any_more(catalog: Catalog) -> None:
    news(FAILED, catalog, Topic())
    news(DONE, catalog, Topic())

    entry = catalog.get(ObjectId.of(STATE))
    assert entry is not None
    assert "reason" not in entry


def test_operators_who_could_not_be_told_are_told_at_the_next_delivery(catalog: Catalog) -> None:
    topic = Topic(refusals=1)
    with pytest.raises(Exception, match="InternalError"):
        news(DONE, catalog, topic)
    assert state_of(catalog) is None

    assert news(DONE, catalog, topic)
    assert topic.told == ["done"]


def test_a_crash_after_telling_and_before_writing_tells_again_and_loses_nothing(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = Topic()

    def crash(_: object) -> bool:
        raise client_error("InternalServerError", "PutItem")

    with monkeypatch.context() as patch:
        patch.setattr(catalog, "write", crash)
        with pytest.raises(Exception, match="InternalServerError"):
            news(DONE, catalog, topic)
    assert (topic.told, state_of(catalog)) == (["done"], None)

    assert news(DONE, catalog, topic)
    assert (topic.told, state_of(catalog)) == (["done", "done"], "done")
    assert not news(DONE, catalog, topic)
