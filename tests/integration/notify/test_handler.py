from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest

import notify.handler
from pipeline_core.catalog import Catalog, CatalogEntry
from pipeline_core.events import dump
from pipeline_core.objects import ObjectId
from tests.integration.batches import deliver
from tests.integration.conftest import ACCOUNT, REGION, Pipeline
from tests.unit.notify.events import DONE, PROCESSING, REJECTED, STATE

TOPIC = f"arn:aws:sns:{REGION}:{ACCOUNT}:operators"


@dataclass(frozen=True)
class Notify:
    """The notify function, its catalog, and a queue that hears what the operators hear."""

    pipeline: Pipeline
    queue_url: str

    @property
    def entry(self) -> CatalogEntry | None:
        """The object's entry in the catalog."""
        return Catalog(boto3.client("dynamodb"), "catalog").get(ObjectId.of(STATE))

    def told(self) -> list[dict[str, Any]]:
        """What operators were told since last asked."""
        return [json.loads(message["body"]) for message in self.pipeline.drain(self.queue_url)]

    def deliver(self, *bodies: str) -> list[int]:
        """Deliver a batch; which of it failed."""
        return deliver(notify.handler.handler, *bodies)


def subscribe() -> None:
    sns = boto3.client("sns")
    sns.create_topic(Name="operators")
    sns.subscribe(
        TopicArn=TOPIC, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:operators"
    )


@pytest.fixture
def notified(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> Iterator[Notify]:
    queue_url = pipeline.sqs.create_queue(QueueName="operators")["QueueUrl"]
    subscribe()
    monkeypatch.setenv("OPERATORS_TOPIC_ARN", TOPIC)
    forget()
    yield Notify(pipeline, queue_url)
    forget()


def forget() -> None:
    for cached in (
        notify.handler.settings,
        notify.handler.object_catalog,
        notify.handler.operators,
    ):
        cached.cache_clear()


def test_operators_hear_what_became_of_an_object_once(notified: Notify) -> None:
    assert notified.deliver(dump(PROCESSING), dump(DONE), dump(DONE)) == []

    (message,) = notified.told()
    assert message["Subject"] == "test: done: input/my orders.csv"
    assert "rows: 3, results: 2, rejects: 1" in message["Message"]
    assert message["MessageAttributes"]["event"]["Value"] == "done"
    assert message["MessageAttributes"]["door"]["Value"] == "input"
    assert notified.entry is not None
    assert notified.entry["state"] == "done"


def test_a_message_that_is_no_event_fails_alone(notified: Notify) -> None:
    assert notified.deliver("nope", dump(REJECTED)) == [0]

    assert len(notified.told()) == 1


def test_operators_who_cannot_be_told_are_told_later(notified: Notify) -> None:
    boto3.client("sns").delete_topic(TopicArn=TOPIC)
    assert notified.deliver(dump(REJECTED)) == [0]
    assert notified.entry is None
    subscribe()

    assert notified.deliver(dump(REJECTED)) == []
    assert len(notified.told()) == 1
    assert notified.entry is not None
    assert notified.entry["reason"] == REJECTED["reason"]


def test_a_crash_between_telling_and_writing_tells_twice(
    notified: Notify, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> bool:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "write", crash)
        assert notified.deliver(dump(DONE)) == [0]

    assert [notified.deliver(dump(DONE)) for _ in range(2)] == [[], []]
    assert len(notified.told()) == 2
