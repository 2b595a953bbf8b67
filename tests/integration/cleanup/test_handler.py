from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

import cleanup.handler
from cleanup.cleaner import Objects
from pipeline_core import messages
from pipeline_core.catalog import Catalog, CatalogEntry, State, entry_of
from pipeline_core.events import dump
from pipeline_core.objects import (
    ObjectId,
    ObjectState,
    normalized_sequencer,
    parse_events,
    results_folder,
)
from tests.events import s3_event, sns_envelope
from tests.integration.batches import deliver
from tests.integration.conftest import Pipeline
from tests.unit.notify.events import DONE

KEY = "input/a b.csv"
OBJECT = ObjectId("input", KEY)
NOW = "2026-03-01T00:00:00Z"


class Cleanup:
    """The cleanup function, and what it works on."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self.catalog = Catalog(boto3.client("dynamodb"), "catalog")

    def deliver(self, *bodies: str) -> list[int]:
        """Deliver a batch; which of it failed."""
        return deliver(cleanup.handler.handler, *bodies)

    def processed(self, state: ObjectState, name: State = "done") -> None:
        """Have entry, item and results of ``state``."""
        self.catalog.write(entry_of(state, name, NOW))
        item = {"execution_id": OBJECT.execution_id("test"), "sequencer": state["sequencer"]}
        self.pipeline.table.put_item(Item=item)
        key = f"{results_folder(state)}manifest.json"
        self.pipeline.s3.put_object(Bucket="output", Key=key, Body=b"")

    @property
    def entry(self) -> CatalogEntry:
        """The object's entry in the catalog."""
        entry = self.catalog.get(OBJECT)
        assert entry is not None
        return entry

    @property
    def results(self) -> list[str]:
        """The folders of the object's results."""
        found = self.pipeline.s3.list_objects_v2(Bucket="output", Prefix=OBJECT.results_prefix)
        return [each["Key"].split("/")[2] for each in found.get("Contents", [])]


@pytest.fixture
def function(pipeline: Pipeline) -> Iterator[Cleanup]:
    cleanup.handler.cleaner.cache_clear()
    yield Cleanup(pipeline)
    cleanup.handler.cleaner.cache_clear()


TEST_EVENT = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"}'


def removal(name: str, version_id: str, number: int) -> str:
    state: ObjectState = {
        "bucket": "input",
        "key": KEY,
        "version_id": version_id,
        "sequencer": normalized_sequencer(f"{number:016X}"),
    }
    return json.dumps(s3_event(state, f"ObjectRemoved:{name}"))


def test_with_an_object_go_its_item_and_its_results(function: Cleanup) -> None:
    s3 = function.pipeline.s3
    function.processed(function.pipeline.put(KEY, "x"))
    marker = s3.delete_object(Bucket="input", Key=KEY)["VersionId"]

    body = removal("DeleteMarkerCreated", marker, 100)
    assert function.deliver(sns_envelope(body), body) == []

    assert function.entry["state"] == "deleted"
    assert function.entry["sequencer"] == normalized_sequencer(f"{100:016X}")
    assert function.pipeline.items == {}
    assert function.results == []


def test_an_object_whose_delete_marker_is_removed_is_processed_again(function: Cleanup) -> None:
    s3 = function.pipeline.s3
    state = function.pipeline.put(KEY, "x")
    function.processed(state)
    marker = s3.delete_object(Bucket="input", Key=KEY)["VersionId"]
    function.deliver(removal("DeleteMarkerCreated", marker, 100))
    s3.delete_object(Bucket="input", Key=KEY, VersionId=marker)

    assert function.deliver(removal("Delete", marker, 101)) == []

    (message,) = function.pipeline.drain(function.pipeline.internal_queue_url)
    (event,) = parse_events(message["body"])
    assert event.is_creation
    assert json.loads(message[messages.ATTRIBUTE]) == {"door": "objects"}
    sent = dict(event.state)
    assert sent.pop("sequencer") == f"{101:016X}{'0' * 15}1"
    assert sent == {name: state[name] for name in state if name != "sequencer"}  # type: ignore[literal-required]  # its own keys
    assert function.entry["state"] == "received"


def test_removing_an_old_version_changes_nothing(function: Cleanup) -> None:
    old = function.pipeline.put(KEY, "old")
    function.processed(function.pipeline.put(KEY, "new"))
    before = function.entry, function.pipeline.items, function.results
    function.pipeline.s3.delete_object(Bucket="input", Key=KEY, VersionId=old["version_id"])

    assert function.deliver(removal("Delete", old["version_id"], 100)) == []

    assert function.pipeline.drain(function.pipeline.internal_queue_url) == []
    assert (function.entry, function.pipeline.items, function.results) == before


def test_results_of_earlier_states_go_when_an_object_is_done(function: Cleanup) -> None:
    function.processed(function.pipeline.put(KEY, "old"))
    new = function.pipeline.put(KEY, "new")
    function.processed(new)

    assert function.deliver(dump({**DONE, "object": new})) == []

    assert function.results == [new["sequencer"]]


def test_a_late_event_of_an_earlier_state_leaves_the_later_ones_results(function: Cleanup) -> None:
    old = function.pipeline.put(KEY, "old")
    new = function.pipeline.put(KEY, "new")
    function.processed(new)
    function.pipeline.s3.put_object(
        Bucket="output", Key=f"{results_folder(old)}manifest.json", Body=b""
    )

    assert function.deliver(dump({**DONE, "object": old})) == []

    assert function.results == [new["sequencer"]]
    assert function.pipeline.drain(function.pipeline.internal_queue_url) == []


def test_results_that_are_not_deleted_bring_the_message_back(
    function: Cleanup, monkeypatch: pytest.MonkeyPatch
) -> None:
    function.processed(function.pipeline.put(KEY, "x"))
    marker = function.pipeline.s3.delete_object(Bucket="input", Key=KEY)["VersionId"]
    body = removal("DeleteMarkerCreated", marker, 100)
    s3 = cleanup.handler.cleaner().results.client
    with monkeypatch.context() as patch:
        patch.setattr(s3, "delete_objects", lambda **_: {"Errors": [{"Code": "SlowDown"}]})
        assert function.deliver(body) == [0]
    assert function.entry["state"] == "deleted"
    assert function.results != []

    assert function.deliver(body) == []
    assert function.results == []


def test_what_is_no_event_fails_alone(function: Cleanup) -> None:
    state = function.pipeline.put(KEY, "x")

    failed = function.deliver("nope", dump({**DONE, "object": state}), TEST_EVENT)

    assert failed == [0]


def test_a_bucket_that_does_not_say_brings_the_message_back(
    function: Cleanup, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = function.pipeline.put(KEY, "x")
    function.processed(state)

    def forbidden(**_: Any) -> None:
        raise boto3.client("s3").exceptions.ClientError({"Error": {"Code": "403"}}, "HeadObject")

    monkeypatch.setattr(cleanup.handler.cleaner().objects.client, "head_object", forbidden)

    assert function.deliver(removal("Delete", "v", 100)) == [0]
    assert function.entry["state"] == "done"


def test_only_an_object_in_a_versioned_bucket_has_a_version(function: Cleanup) -> None:
    pipeline = function.pipeline
    state = pipeline.put(KEY, "x")
    pipeline.put("messages/a.json", "{}", bucket="payloads")
    objects = Objects(pipeline.s3)

    current = objects.current(OBJECT)
    without = objects.current(ObjectId("payloads", "messages/a.json"))

    assert current == {name: state[name] for name in state if name != "sequencer"}  # type: ignore[literal-required]  # its own keys
    assert without is not None
    assert "version_id" not in without
    assert objects.current(ObjectId("input", "input/none")) is None
