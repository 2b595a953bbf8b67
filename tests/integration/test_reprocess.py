"""Stored records go through the pipeline again: sent by the command line, stored by the stages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import boto3
import pytest

import transform.handler
from pipeline_core.catalog import Catalog, entry_of
from pipeline_core.objects import ObjectId
from pipelinectl.audit import Audit
from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.items import Items, Only
from pipelinectl.reprocess import Change, Kept, Reprocess, Skipped, Sources, Waiting
from pipelinectl.sending import Pace, Sender
from tests.events import extended_client_pointer, s3_event, sqs_event, sqs_message, standard
from tests.integration.conftest import Pipeline
from tests.unit.pipelinectl.test_objects import STACK as ANY_STACK
from transform.processing_types import transform_document

UUID = "7f3c1d1e-58cf-4f8b-a9d2-0d4b36a1d0a1"
NEXT_DAY = 86_400_000


@dataclass(frozen=True)
class Operator:
    """Reprocesses what is in the tables and buckets of a pipeline."""

    pipeline: Pipeline
    kept: Kept

    @property
    def items(self) -> Items:
        return Items(boto3.client("dynamodb"), "table")

    @property
    def catalog(self) -> Catalog:
        return Catalog(boto3.client("dynamodb"), "catalog")

    @property
    def sources(self) -> Sources:
        stack = replace(
            ANY_STACK, input_bucket="input", payload_bucket="payloads", output_bucket="output"
        )
        return Sources(stack, self.pipeline.s3, self.catalog)

    def reprocess(self, *keys: str, compare: bool = True) -> Reprocess:
        """Send the records of these items, or of all; what was done."""
        plan = Reprocess(
            self.items,
            self.sources,
            Sender(self.pipeline.sqs, self.pipeline.internal_queue_url),
            Audit(boto3.client("logs"), lambda: boto3.client("sts"), "/audit"),
            Pace(),
            kept=self.kept if compare else None,
        )
        for _ in plan.run(keys or list(self.items.keys(Only()))):
            pass
        return plan

    def deliver(self) -> None:
        """Deliver what was sent, and what that was handed over as."""
        for url in (self.pipeline.internal_queue_url, self.pipeline.files_queue_url):
            if messages := self.pipeline.redeliver(url):
                self.pipeline.process(sqs_event(*messages))

    def changes(self, plan: Reprocess) -> dict[str, Change]:
        """What became of what was sent, as far as it is known."""
        clock = iter(range(10**6))
        waiting = Waiting(
            self.items,
            self.sources,
            DeadLetterQueue(self.pipeline.sqs, self.pipeline.dead_letter_queue_url, long_poll=0),
            sleep=lambda _: None,
            clock=lambda: float(next(clock)),
        )
        return {one.execution_id: one for one in waiting.changes(plan.done.sent, 60)}


@pytest.fixture
def operator(pipeline: Pipeline) -> Iterator[Operator]:
    boto3.client("logs").create_log_group(logGroupName="/audit")
    with Kept() as kept:
        yield Operator(pipeline, kept)


@pytest.fixture
def correct(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Corrects the transform: from then on, documents have a `vat`."""
    before = transform_document

    def correct() -> None:
        monkeypatch.setattr(
            transform.handler, "transform_document", lambda document: before(document) | {"vat": 7}
        )

    return correct


def inline(pipeline: Pipeline) -> str:
    pipeline.process(sqs_event(sqs_message(standard(n=1.10), "m-1")))
    return "test-m-1"


def chosen(pipeline: Pipeline) -> str:
    pipeline.process(sqs_event(sqs_message(standard(record_id="mine"), "m-1")))
    return "mine"


def claim_check(pipeline: Pipeline) -> str:
    pipeline.put(UUID, standard(record_id="pointed", text="x" * 100_000), bucket="payloads")
    pipeline.process(sqs_event(sqs_message(extended_client_pointer("payloads", UUID), "m-1")))
    pipeline.s3.delete_object(Bucket="payloads", Key=UUID)  # it expires
    return "pointed"


def large(pipeline: Pipeline) -> str:
    """It came inline, and its item has no room for it."""
    pipeline.process(sqs_event(sqs_message(standard(text="ä" * 250_000), "m-1")))
    assert "original_data_pointer" in pipeline.items["test-m-1"]
    return "test-m-1"


def document(pipeline: Pipeline) -> str:
    return _object(pipeline, "input/a.json", standard())


def upload(pipeline: Pipeline) -> str:
    return _object(pipeline, "messages/b.json", standard(), "payloads")


def _object(pipeline: Pipeline, key: str, body: str, bucket: str = "input") -> str:
    state = pipeline.put(key, body, bucket)
    pipeline.process(sqs_event(sqs_message(json.dumps(s3_event(state)), "m-1", queue="objects")))
    entry = entry_of(state, "done", "2026-03-01T08:00:00Z")
    Catalog(boto3.client("dynamodb"), "catalog").write(entry)
    return ObjectId(bucket, key).execution_id("test")


KINDS = {
    "inline": inline,
    "under an id of its producer's": chosen,
    "a claim check": claim_check,
    "too large for its item": large,
    "an object": document,
    "an upload": upload,
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_record_of_every_kind_is_stored_anew_under_its_key(
    pipeline: Pipeline, operator: Operator, correct: Callable[[], None], kind: Any
) -> None:
    key = kind(pipeline)
    before = pipeline.items[key]
    correct()

    plan = operator.reprocess()
    operator.deliver()

    (sent,) = plan.done.sent
    change = operator.changes(plan)[key]
    assert (change.what, dict(change.fields)) == ("changed", {"vat": ("(none)", 7)})
    assert list(pipeline.items) == [key]
    after = pipeline.items[key]
    assert after["stored_at"] > before["stored_at"]
    assert after["sent_timestamp"] == before["sent_timestamp"]
    assert after.get("original_data") == before.get("original_data")
    assert pipeline.dead_letters == []
    assert sent.execution_id == key


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_again_and_again_it_stays_the_one_item(
    pipeline: Pipeline, operator: Operator, kind: Any
) -> None:
    key = kind(pipeline)

    for _ in range(3):
        plan = operator.reprocess()
        operator.deliver()
        assert operator.changes(plan)[key].what == "unchanged"

    assert list(pipeline.items) == [key]


def test_a_message_that_is_delivered_twice_changes_nothing_the_second_time(
    pipeline: Pipeline, operator: Operator
) -> None:
    inline(pipeline)
    operator.reprocess()
    messages = pipeline.redeliver(pipeline.internal_queue_url)
    pipeline.process(sqs_event(*messages))
    once = pipeline.items

    response = pipeline.process(sqs_event(*messages))

    assert response["batchItemFailures"] == []
    assert pipeline.items == once


def test_a_file_is_worked_on_anew_row_by_row(
    pipeline: Pipeline, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = _object(pipeline, "input/rows.csv", "n\n1\n2\n")
    before = sum(call.stage == "csv_file" for call in pipeline.calls)
    sequencer = pipeline.items[key]["sequencer"]

    plan = operator.reprocess()
    operator.deliver()

    after = pipeline.items[key]
    assert after["sequencer"] > sequencer
    manifest = after["transformed_data"]["manifest"]["key"]
    assert after["sequencer"] in manifest
    assert sum(call.stage == "csv_file" for call in pipeline.calls) == 2 * before
    assert operator.changes(plan)[key].what == "unchanged"


def test_what_came_meanwhile_is_newer_and_stays(pipeline: Pipeline, operator: Operator) -> None:
    chosen(pipeline)
    plan = operator.reprocess()
    newer = sqs_message(standard(record_id="mine", n=2), "m-2")
    newer["attributes"]["SentTimestamp"] = str(1_772_354_400_000 + NEXT_DAY)
    pipeline.process(sqs_event(newer))
    stored = pipeline.items["mine"]

    operator.deliver()

    assert pipeline.items["mine"] == stored
    assert operator.changes(plan)["mine"].what == "newer"


def test_what_was_removed_meanwhile_stays_removed(pipeline: Pipeline, operator: Operator) -> None:
    inline(pipeline)
    plan = operator.reprocess()
    pipeline.table.delete_item(Key={"execution_id": "test-m-1"})

    operator.deliver()

    assert pipeline.items == {}
    assert operator.changes(plan)["test-m-1"].what == "removed"


def test_what_is_rejected_now_is_a_dead_letter_and_its_item_stays(
    pipeline: Pipeline, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline(pipeline)
    stored = pipeline.items
    plan = operator.reprocess()

    monkeypatch.setattr(transform.handler, "transform_document", _refuse)
    operator.deliver()

    change = operator.changes(plan)["test-m-1"]
    assert change.what == "dead letter"
    assert "n: no such number" in change.reason
    assert pipeline.items == stored


def test_a_dead_letter_of_an_earlier_run_is_none_of_a_later_one_s(
    pipeline: Pipeline, operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    inline(pipeline)
    earlier = operator.reprocess()
    with monkeypatch.context() as patch:
        patch.setattr(transform.handler, "transform_document", _refuse)
        operator.deliver()
    later = operator.reprocess()

    assert operator.changes(earlier)["test-m-1"].what == "dead letter"
    assert operator.changes(later)["test-m-1"].what == "waiting"
    operator.deliver()
    assert operator.changes(later)["test-m-1"].what == "unchanged"


def _refuse(_: Any) -> Any:
    from pipeline_core.contract import InvalidRecord

    raise InvalidRecord("ValidationError", ["n: no such number"])


def skipped(plan: Reprocess) -> Iterator[str]:
    assert plan.done.sent == []
    return (one.why for one in plan.done.skipped)


def test_an_object_that_is_gone_or_was_replaced_is_not_sent_and_it_says_why(
    pipeline: Pipeline, operator: Operator
) -> None:
    document(pipeline)
    pipeline.s3.delete_object(Bucket="input", Key="input/a.json")
    assert "input/a.json is not there any more" in next(skipped(operator.reprocess()))

    state = pipeline.put("input/a.json", standard(n=2))
    assert "its own event brings what is there now" in next(skipped(operator.reprocess()))

    operator.catalog.write(entry_of(state, "received", "2026-03-01T09:00:00Z"))
    assert "a newer state of input/a.json is received" in next(skipped(operator.reprocess()))
    assert pipeline.drain(pipeline.internal_queue_url) == []


def test_an_original_that_is_gone_is_not_sent_and_it_says_why(
    pipeline: Pipeline, operator: Operator
) -> None:
    claim_check(pipeline)
    pointer = pipeline.items["pointed"]["original_data_pointer"]
    pipeline.s3.delete_object(Bucket=pointer["bucket"], Key=pointer["key"])

    (why,) = skipped(operator.reprocess())

    assert f"its original s3://output/{pointer['key']} is gone" in why


def test_an_item_that_was_stored_anew_since_it_was_chosen_is_passed_over(
    pipeline: Pipeline, operator: Operator
) -> None:
    inline(pipeline)
    plan = replace(operator.reprocess("nobody"), still=lambda _: False)

    assert sum(plan.run(["test-m-1"])) == 1
    assert plan.done.gone == ["nobody", "test-m-1"]
    assert plan.done.sent == []


def test_what_nothing_is_known_of_in_time_is_told_as_waiting(
    pipeline: Pipeline, operator: Operator
) -> None:
    inline(pipeline)
    plan = operator.reprocess()

    assert operator.changes(plan)["test-m-1"].what == "waiting"
    assert not isinstance(plan.done.sent[0], Skipped)


def test_a_row_does_not_go_alone_its_file_does(pipeline: Pipeline, operator: Operator) -> None:
    key = ObjectId("input", "input/a.csv").row_execution_id("test", 7)
    pipeline.table.put_item(
        Item={
            "execution_id": key,
            "message_id": "m",
            "sent_timestamp": 1,
            "stored_at": "2026-03-01T00:00:00.000000Z",
            "object": "input/input/a.csv",
            "sequencer": "A",
            "row": 7,
            "original_data": {"a": "b"},
            "transformed_data": {"a": "b"},
        }
    )

    (skipped,) = operator.reprocess(key).done.skipped

    assert skipped == Skipped(
        key, "it is a row of input/a.csv: reprocess the file, whose rows go with it"
    )
