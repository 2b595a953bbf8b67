"""That DynamoDB and S3 understand what the cleanup function asks of them as it is meant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.s3.models import s3_backends

from cleanup.cleaner import Items, NotDeleted, Results
from pipeline_core.catalog import Catalog, CatalogEntry, entry_of
from pipeline_core.objects import ObjectId, ObjectState
from tests.integration.conftest import ACCOUNT, Pipeline

OBJECT = ObjectId("input", "input/a.csv")
EARLIER, REMOVAL, LATER = ("A" * 32, "B" * 32, "C" * 32)


def entry(name: Any, sequencer: str) -> CatalogEntry:
    state: ObjectState = {"bucket": "input", "key": "input/a.csv", "sequencer": sequencer}
    return entry_of(state, name, "2026-03-01T00:00:00Z")


@pytest.fixture
def catalog(pipeline: Pipeline) -> Catalog:
    return Catalog(boto3.client("dynamodb"), "catalog")


@pytest.fixture
def items(pipeline: Pipeline) -> Items:
    return Items(boto3.client("dynamodb"), "table", "test")


def put_item(pipeline: Pipeline, **attributes: str) -> None:
    pipeline.table.put_item(Item={"execution_id": OBJECT.execution_id("test"), **attributes})


NOTHING: dict[str, str] | None = None


@pytest.mark.parametrize(
    ("known", "item", "buried", "left"),
    [
        (None, NOTHING, True, NOTHING),
        (None, {"sequencer": EARLIER}, True, NOTHING),
        (("done", EARLIER), {"sequencer": EARLIER}, True, NOTHING),
        (("deleted", REMOVAL), NOTHING, True, NOTHING),
        (("deleted", REMOVAL), {"sequencer": EARLIER}, True, NOTHING),
        (("received", LATER), NOTHING, False, NOTHING),
        (("received", LATER), {"sequencer": EARLIER}, False, {"sequencer": EARLIER}),
        (("done", LATER), {"sequencer": LATER}, False, {"sequencer": LATER}),
        (("done", EARLIER), {"sequencer": LATER}, True, {"sequencer": LATER}),
        (("done", EARLIER), {"sequencer": REMOVAL}, True, {"sequencer": REMOVAL}),
        (("done", EARLIER), {"by": "a producer"}, True, {"by": "a producer"}),
        (("deleted", LATER), {"by": "a producer"}, False, {"by": "a producer"}),
    ],
)
def test_a_burial_leaves_what_is_later(
    pipeline: Pipeline,
    catalog: Catalog,
    items: Items,
    known: tuple[str, str] | None,
    item: dict[str, str] | None,
    buried: bool,
    left: dict[str, str] | None,
) -> None:
    if known is not None:
        catalog.write(entry(*known))
    if item is not None:
        put_item(pipeline, **item)

    assert items.bury(catalog, entry("deleted", REMOVAL)) is buried

    found = pipeline.items.get(OBJECT.execution_id("test"))
    assert found == (left and {"execution_id": OBJECT.execution_id("test"), **left})
    now = catalog.get(OBJECT)
    assert now is not None
    assert (now["sequencer"] == REMOVAL) is buried


def test_a_burial_leaves_nothing_of_the_entry_before(catalog: Catalog, items: Items) -> None:
    reason: Any = {"type": "T", "message": "m"}
    catalog.write(entry("failed", EARLIER) | {"reason": reason})

    items.bury(catalog, entry("deleted", REMOVAL))

    assert catalog.get(OBJECT) == entry("deleted", REMOVAL)


def test_another_error_is_raised(catalog: Catalog, items: Items) -> None:
    boto3.client("dynamodb").delete_table(TableName="table")

    with pytest.raises(ClientError, match="ResourceNotFound"):
        items.bury(catalog, entry("deleted", REMOVAL))
    assert catalog.get(OBJECT) is None


def test_an_item_says_of_which_state_it_is(pipeline: Pipeline, items: Items) -> None:
    assert items.sequencer(OBJECT) is None
    put_item(pipeline, by="a producer")
    assert items.sequencer(OBJECT) is None
    put_item(pipeline, sequencer=EARLIER)
    assert items.sequencer(OBJECT) == EARLIER


def keys_below(pipeline: Pipeline, prefix: str) -> list[str]:
    found = pipeline.s3.list_objects_v2(Bucket="output", Prefix=prefix)
    return [each["Key"] for each in found.get("Contents", [])]


def test_only_results_of_earlier_states_are_removed(pipeline: Pipeline) -> None:
    prefix = OBJECT.results_prefix
    another = ObjectId("input", "input/b.csv").results_prefix
    kept = [
        f"{another}{EARLIER}/manifest.json",
        f"{prefix}0-note",
        f"{prefix}0/x",
        f"{prefix}{LATER}/results/0.jsonl",
        f"{prefix}{REMOVAL}/manifest.json",
    ]
    for key in [*kept, f"{prefix}{EARLIER}/manifest.json", f"{prefix}{EARLIER}/results/0.jsonl"]:
        pipeline.s3.put_object(Bucket="output", Key=key, Body=b"")

    results = Results(pipeline.s3, "output")

    assert results.remove_before(OBJECT, REMOVAL, no_items) == 2
    assert sorted(keys_below(pipeline, "results/")) == sorted(kept)
    assert results.remove_before(OBJECT, REMOVAL, no_items) == 0


def no_items(keys: Iterator[str]) -> None:
    raise AssertionError(f"no results here name items: {keys}")


def test_more_results_than_one_request_takes_are_removed(pipeline: Pipeline) -> None:
    for number in range(1001):
        key = f"{OBJECT.results_prefix}{EARLIER}/results/{number:015}.jsonl"
        s3_backends[ACCOUNT]["aws"].put_object("output", key, b"")

    assert Results(pipeline.s3, "output").remove_before(OBJECT, REMOVAL, no_items) == 1001
    assert keys_below(pipeline, OBJECT.results_prefix) == []


def test_a_result_that_s3_does_not_delete_is_named(
    pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = f"{OBJECT.results_prefix}{EARLIER}/manifest.json"
    pipeline.s3.put_object(Bucket="output", Key=key, Body=b"")
    error = {"Key": key, "Code": "InternalError", "Message": "try again"}
    monkeypatch.setattr(pipeline.s3, "delete_objects", lambda **_: {"Errors": [error]})

    with pytest.raises(NotDeleted, match=f"1 results in output are left, such as {key}: InternalE"):
        Results(pipeline.s3, "output").remove_before(OBJECT, REMOVAL, no_items)
