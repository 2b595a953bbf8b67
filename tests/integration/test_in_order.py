"""What comes from a FIFO queue: written in the order sent, group by group, whatever fails."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from durable_pipeline import dead_letters
from faults import NotSucceeded
from faults.stages import Crash, StageInvocation
from pipeline_core.messages import attributes
from tests.events import order, s3_event, sqs_event, sqs_message, standard
from tests.integration.conftest import Pipeline

QUEUE, INTERNAL, DEAD = "queue.fifo", "internal.fifo", "dead-letters.fifo"
GROUP = "customer-7"
LAST = 3
"""The delivery after which a record is given up."""


@pytest.fixture
def fifo(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> str:
    """The pipeline's FIFO queues; the URL of that of dead letters."""
    urls = {
        name: pipeline.sqs.create_queue(
            QueueName=name,
            Attributes={
                "FifoQueue": "true",
                "DeduplicationScope": "messageGroup",
                "FifoThroughputLimit": "perMessageGroupId",
            },
        )["QueueUrl"]
        for name in (QUEUE, INTERNAL, DEAD)
    }
    monkeypatch.setenv("FIFO_QUEUE_URL", urls[QUEUE])
    monkeypatch.setenv("FIFO_INTERNAL_QUEUE_URL", urls[INTERNAL])
    monkeypatch.setenv("FIFO_DEAD_LETTER_QUEUE_URL", urls[DEAD])
    return urls[DEAD]


def letters_in(url: str) -> list[dict[str, Any]]:
    """The dead letters, in their order in each group; none is left."""
    sqs, found = boto3.client("sqs"), []
    while messages := sqs.receive_message(
        QueueUrl=url,
        MaxNumberOfMessages=10,
        MessageAttributeNames=["All"],
        MessageSystemAttributeNames=["MessageGroupId", "MessageDeduplicationId"],
    ).get("Messages"):
        for message in messages:
            values = message["MessageAttributes"].items()
            texts = {name: value["StringValue"] for name, value in values}
            system: Any = message["Attributes"]
            found.append({"body": message["Body"], **system, **texts})
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def message(body: str, message_id: str, *, queue: str = QUEUE, **more: Any) -> dict[str, Any]:
    return sqs_message(body, message_id, queue=queue, **{"group": GROUP, **more})


@pytest.mark.parametrize("receive_count", [1, LAST])
def test_a_record_that_is_wrong_becomes_a_dead_letter_in_its_place(
    pipeline: Pipeline, fifo: str, receive_count: int
) -> None:
    wrong = message(order(quantity=0), "m-1", receive_count=receive_count)

    response = pipeline.process(sqs_event(wrong))

    (letter,) = letters_in(fifo)
    assert (letter["MessageGroupId"], letter["MessageDeduplicationId"]) == (GROUP, "m-1")
    assert (letter["stage"], letter["original_message_id"]) == ("validate", "m-1")
    assert response["batchItemFailures"] == []
    assert pipeline.dead_letters == []


def test_a_record_that_failed_goes_back_and_on_its_last_delivery_is_a_dead_letter(
    pipeline: Pipeline, fifo: str
) -> None:
    pipeline.inject("store", Crash())
    responses = [
        pipeline.process(sqs_event(message(standard(), "m-1", receive_count=count)))
        for count in range(1, LAST + 1)
    ]

    (letter,) = letters_in(fifo)
    assert [bool(response["batchItemFailures"]) for response in responses] == [True, True, False]
    assert letter["receive_count"] == str(LAST)


class Late:
    """The stage works, and ends when there is no time for another one."""

    def __call__(self, invocation: StageInvocation) -> Any:
        invocation.clock.advance(110)
        return invocation.work()


def test_what_has_no_time_left_is_not_sent_on_to_the_end_of_its_group(
    shared_clock: None, pipeline: Pipeline, fifo: str
) -> None:
    pipeline.inject("validate", Late())

    responses = [
        pipeline.process(sqs_event(message(standard(), "m-1", receive_count=count)))
        for count in (1, LAST)
    ]

    assert [len(response["batchItemFailures"]) for response in responses] == [1, 0]
    assert [letter["error_type"] for letter in letters_in(fifo)] == ["DeadlineExceeded"]
    assert pipeline.drain(pipeline.internal_queue_url) == []


def test_a_batch_holds_back_what_is_behind_another_one_of_its_group_and_nobody_else(
    pipeline: Pipeline, fifo: str
) -> None:
    # Not even on its last delivery is one given up that was not tried.
    messages = [
        message(standard(), "a-1", group="a"),
        message(standard(), "a-2", group="a", receive_count=LAST),
        message(standard(), "b-1", group="b"),
        message("wrong", "c-1", group="c"),
        message("wrong", "c-2", group="c"),
    ]

    response = pipeline.process(sqs_event(*messages))

    back = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    assert back == ["a-2", "c-2"]
    assert set(pipeline.items) == {"test-a-1", "test-b-1"}
    assert [letter["original_message_id"] for letter in letters_in(fifo)] == ["c-1"]


def test_one_record_costs_what_one_record_costs(pipeline: Pipeline, fifo: str) -> None:
    result = pipeline.run(sqs_event(message(standard(), "m-1")))

    assert len(result.get_all_operations()) == 3
    assert pipeline.items["test-m-1"]["message_group_id"] == GROUP


@pytest.mark.parametrize("queue", [QUEUE, INTERNAL])
def test_an_event_of_an_object_is_no_document_of_a_group(
    pipeline: Pipeline, fifo: str, queue: str
) -> None:
    event = json.dumps(s3_event(pipeline.put("input/a.csv", "n\n1\n")))

    pipeline.process(sqs_event(message(event, "m-1", queue=queue)))

    (letter,) = letters_in(fifo)
    assert letter["error_type"] == "UnsupportedEvent"


@pytest.mark.parametrize(
    ("queue", "key"), [(QUEUE, "test-m-1"), (INTERNAL, "whose"), ("unknown.fifo", "test-m-1")]
)
def test_whose_record_it_is_is_believed_of_the_internal_queue_alone(
    pipeline: Pipeline, fifo: str, queue: str, key: str
) -> None:
    said = {
        name: {"dataType": value["DataType"], "stringValue": value["StringValue"]}
        for name, value in attributes({"execution_id": "whose", "door": "messages"}).items()
    }

    pipeline.process(sqs_event(message(standard(), "m-1", queue=queue, attributes=said)))

    assert list(pipeline.items) == [key]


def test_a_large_record_is_taken_along_and_its_dead_letter_too(
    pipeline: Pipeline, fifo: str
) -> None:
    large = [
        message(standard(filling="x" * 500_000), "m-1"),
        message(order(quantity=0, filling="x" * (1024 * 1024 - 500)), "m-2", group="b"),
    ]

    pipeline.process(sqs_event(*large))

    (letter,) = letters_in(fifo)
    assert list(pipeline.items) == ["test-m-1"]
    assert (letter["original_message_id"], letter["MessageGroupId"]) == ("m-2", "b")
    assert "S3Pointer" in letter["body"]


# What a FIFO queue, its mapping and faults make of a record, against the promise.

WRONG, FINE = order(quantity=0), standard()
STAGES = ("validate", "transform", "store")
FAULTS = (*STAGES, "dead letters", "after the work", "before its end")
"""What fails in one delivery: a stage, the dead-letter queue, or the execution as a whole."""


@dataclass
class Sent:
    """A message and what will go wrong with it: in which delivery, counted from 1."""

    id: str
    group: str
    body: str
    faults: Mapping[int, str]
    receives: int = 0

    @property
    def fault(self) -> str | None:
        """What goes wrong now."""
        return self.faults.get(self.receives)


@dataclass
class FifoQueue:
    """As SQS has one: a group's messages in order, and after so many deliveries a dead letter."""

    messages: list[Sent]
    moved: list[str] = field(default_factory=list)

    def receive(self, most: int, first: str) -> list[Sent]:
        """At most so many, beginning with the ``first`` group; SQS moves what had its chances."""
        for one in [one for one in self.messages if one.receives >= LAST]:
            self.messages.remove(one)
            self.moved.append(one.id)
        in_turn = sorted(self.messages, key=lambda one: one.group != first)  # stable
        batch = in_turn[:most]
        for one in batch:
            one.receives += 1
        return batch


IDS = itertools.count()


@st.composite
def sendings(draw: st.DrawFn) -> list[Sent]:
    groups = draw(st.lists(st.sampled_from("abc"), min_size=1, max_size=7))
    faults = st.dictionaries(st.integers(1, LAST), st.sampled_from(FAULTS))
    return [
        # No id is used twice: SQS takes one dead letter of it in five minutes.
        Sent(f"m-{next(IDS)}", group, draw(st.sampled_from([FINE, FINE, WRONG])), draw(faults))
        for group in groups
    ]


def worked_off(
    pipeline: Pipeline, sent: Sequence[Sent], most: int, turns: Iterator[str]
) -> tuple[FifoQueue, list[str]]:
    """Work a queue off; it, and the ids of the messages in the order in which they have items."""
    queue, written = FifoQueue(list(sent)), list[str]()
    while batch := queue.receive(most, next(turns)):
        faults = {one.fault for one in batch}
        with pytest.MonkeyPatch.context() as patch:
            if "dead letters" in faults:
                patch.setattr(dead_letters, "_send_batch", lambda *_: [])
            if "before its end" in faults:
                patch.setattr("durable_pipeline.handler.settle", fail)
            failed = failures(pipeline, batch)
        if "after the work" in faults:  # Lambda never got the answer
            failed = {one.id for one in batch}
        queue.messages = [o for o in queue.messages if o not in batch or o.id in failed]
        now = {item["message_id"] for item in pipeline.items.values()}
        written += sorted(now - set(written))
    return queue, written


def fail(*_: Any) -> None:
    raise RuntimeError("it dies")


def failures(pipeline: Pipeline, batch: Sequence[Sent]) -> set[str]:
    event = sqs_event(
        *(message(o.body, o.id, group=o.group, receive_count=o.receives) for o in batch)
    )
    try:
        response = pipeline.process(event)
    except NotSucceeded:
        return {one.id for one in batch}
    return {failure["itemIdentifier"] for failure in response["batchItemFailures"]}


@pytest.fixture
def sent_now(pipeline: Pipeline) -> dict[str, Sent]:
    """The messages of an example by their ids; in a stage those fail that are to."""
    by_id: dict[str, Sent] = {}

    def is_to_fail(stage: str, record: Mapping[str, Any]) -> bool:
        return by_id[record["id"]].fault == stage

    for stage in STAGES:
        pipeline.inject(stage, Crash(), when=partial(is_to_fail, stage))
    return by_id


@settings(
    max_examples=40,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example takes away what it found
        HealthCheck.too_slow,  # what a batch takes is the runner's and moto's business
    ],
)
@given(sent=sendings(), most=st.sampled_from([1, 1, 2, 10]), turns=st.data())
def test_items_are_written_in_the_order_sent_and_every_record_ends(
    pipeline: Pipeline,
    fifo: str,
    sent_now: dict[str, Sent],
    sent: list[Sent],
    most: int,
    turns: st.DataObject,
) -> None:
    for key in pipeline.items:  # of the example before
        pipeline.table.delete_item(Key={"execution_id": key})
    letters_in(fifo)
    sent_now.clear()
    sent_now |= {one.id: one for one in sent}
    first = iter(lambda: turns.draw(st.sampled_from("abc")), None)

    queue, written = worked_off(pipeline, sent, most, first)

    ours = letters_in(fifo)
    dead = [letter["original_message_id"] for letter in ours]
    for group in "abc":
        mine = [one.id for one in sent if one.group == group]
        assert [w for w in written if w in mine] == [m for m in mine if m in written]
        told = [d for d in dict.fromkeys(dead) if d in mine]
        assert told == [m for m in mine if m in told]
        assert all(
            letter["MessageGroupId"] == group
            for letter in ours
            if letter["original_message_id"] in mine
        )
    assert {*written, *dead, *queue.moved} == {one.id for one in sent}
    if most == 1:
        # None ends without its reason, but for what failed at every one of its deliveries.
        assert all(len(one.faults) == LAST for one in sent if one.id in queue.moved)
        assert not {one.id for one in sent if not one.faults and one.body == FINE} - {*written}
