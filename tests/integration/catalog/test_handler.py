from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from typing import Any

import boto3
import pytest

import catalog.handler
from pipeline_core.catalog import Catalog
from pipeline_core.objects import ObjectId, ObjectState
from tests.events import s3_event, sns_envelope
from tests.integration.batches import deliver


@pytest.fixture
def entries(pipeline: Any) -> Iterator[Catalog]:
    catalog.handler.object_catalog.cache_clear()
    yield Catalog(boto3.client("dynamodb"), "catalog")
    catalog.handler.object_catalog.cache_clear()


TEST_EVENT = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"}'


def state(key: str) -> ObjectState:
    return {"bucket": "in", "key": key, "sequencer": "A" * 32}


def body(key: str) -> str:
    return json.dumps(s3_event(state(key)))


def test_a_message_that_is_no_event_fails_alone_and_the_log_says_why(
    entries: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = StringIO()
    monkeypatch.setattr(catalog.handler.logger.registered_handler, "stream", log)

    failed = deliver(
        catalog.handler.handler,
        body("input/a"),
        "nope",
        sns_envelope(body("input/b c")),
        TEST_EVENT,
    )

    assert failed == [1]
    (warning,) = [line for line in map(json.loads, log.getvalue().splitlines()) if is_warning(line)]
    assert warning["message_id"] == "m-1"
    assert "not JSON" in warning["exception"]
    for key in ("input/a", "input/b c"):
        entry = entries.get(ObjectId("in", key))
        assert entry is not None
        assert entry["state"] == "received"


def is_warning(line: dict[str, Any]) -> bool:
    return bool(line["level"] == "WARNING")


def test_when_all_messages_fail_all_come_again(entries: Catalog) -> None:
    assert deliver(catalog.handler.handler, "1", "2") == [0, 1]


def test_a_table_that_is_gone_loses_no_message(entries: Catalog) -> None:
    boto3.client("dynamodb").delete_table(TableName="catalog")

    assert deliver(catalog.handler.handler, body("input/a")) == [0]
