from __future__ import annotations

import json
from typing import Any

import pytest

from catalog.handler import enter
from pipeline_core.catalog import Catalog
from pipeline_core.objects import ObjectId, ObjectState
from tests.events import s3_event, sns_envelope
from tests.unit.cleanup.fake_aws import FakeDynamoDB

NOW = "2026-03-02T00:00:00.000000Z"

STATE: ObjectState = {
    "bucket": "in",
    "key": "input/a b.csv",
    "version_id": "v",
    "etag": "e",
    "size": 7,
    "sequencer": "A" * 32,
}


@pytest.fixture
def catalog() -> Catalog:
    client: Any = FakeDynamoDB()
    return Catalog(client, "catalog")


@pytest.mark.parametrize("wrap", [str, sns_envelope])
def test_a_created_object_is_entered_as_received(catalog: Catalog, wrap: Any) -> None:
    assert enter(wrap(json.dumps(s3_event(STATE))), catalog, NOW) == 1

    assert catalog.get(ObjectId.of(STATE)) == {
        **STATE,
        "object": "in/input/a b.csv",
        "state": "received",
        "state_rank": 0,
        "received_at": "2026-03-01T08:00:00.000Z",
        "updated_at": "2026-03-01T08:00:00.000Z",
    }


def test_a_repeated_event_changes_nothing(catalog: Catalog) -> None:
    body = json.dumps(s3_event(STATE))
    enter(body, catalog, NOW)

    assert enter(body, catalog, "2027-01-01T00:00:00Z") == 0


def test_an_event_without_a_time_is_of_now(catalog: Catalog) -> None:
    event = s3_event(STATE)
    del event["Records"][0]["eventTime"]

    enter(json.dumps(event), catalog, NOW)

    entry = catalog.get(ObjectId.of(STATE))
    assert entry is not None
    assert entry["received_at"] == NOW


TEST_EVENT = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"})


def test_the_test_event_enters_nothing(catalog: Catalog) -> None:
    assert enter(TEST_EVENT, catalog, NOW) == 0


def test_another_event_is_refused(catalog: Catalog) -> None:
    body = json.dumps(s3_event(STATE, "ObjectRemoved:Delete"))

    with pytest.raises(ValueError, match="ObjectRemoved:Delete'; only ObjectCreated belongs"):
        enter(body, catalog, NOW)
