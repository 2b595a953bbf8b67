"""That DynamoDB understands the catalog's conditions as they are meant."""

from __future__ import annotations

from itertools import product
from typing import Any, get_args

import boto3
import pytest

from pipeline_core.catalog import Catalog, CatalogEntry, State, entry_of, supersedes
from pipeline_core.objects import ObjectId, ObjectState

STATES: tuple[State, ...] = get_args(State)
OBJECT = ObjectId("in", "input/a.csv")

pytestmark = pytest.mark.usefixtures("pipeline")


@pytest.fixture
def catalog(pipeline: Any) -> Catalog:
    return Catalog(boto3.client("dynamodb"), "catalog")


def entry(state: State, sequencer: str, **details: Any) -> CatalogEntry:
    of: ObjectState = {"bucket": "in", "key": "input/a.csv", "sequencer": sequencer}
    return entry_of(of, state, "2026-03-01T00:00:00Z", **details)


def test_an_object_that_nobody_told_of_has_no_entry(catalog: Catalog) -> None:
    assert catalog.get(OBJECT) is None


def test_an_entry_comes_back_as_it_was_written(catalog: Catalog) -> None:
    written = entry(
        "done",
        "A",
        received_at="2026-03-01T00:00:00Z",
        execution_id="dev-1",
        counts={"rows": 10**12, "results": 0, "rejects": 1},
        manifest={"bucket": "out", "key": "k", "size": 3},
        reason={"type": "T", "message": "m", "errors": ["a", ""]},
        expires_at=1774915200,
    )

    assert catalog.write(written)
    assert catalog.get(OBJECT) == written


@pytest.mark.parametrize("new", STATES)
def test_the_first_entry_is_written(catalog: Catalog, new: State) -> None:
    assert supersedes(entry(new, "A"), None)
    assert catalog.write(entry(new, "A"))


def test_only_a_later_state_or_the_same_further_on_is_written(catalog: Catalog) -> None:
    for index, (old, new, sequencer) in enumerate(product(STATES, STATES, "ABC")):
        known: Any = {**entry(old, "B"), "object": str(index)}
        late: Any = {**entry(new, sequencer), "object": str(index)}
        catalog.write(known)

        expected = sequencer == "C" or (sequencer == "B" and STATES.index(new) > STATES.index(old))
        assert supersedes(late, known) is expected
        assert catalog.write(late) is expected


def test_a_later_state_leaves_nothing_of_the_one_before(catalog: Catalog) -> None:
    catalog.write(entry("failed", "A", reason={"type": "T", "message": "m"}, execution_id="x"))

    catalog.write(entry("received", "B"))

    assert catalog.get(OBJECT) == entry("received", "B")


def test_the_same_state_keeps_when_it_was_received_and_loses_why_it_failed(
    catalog: Catalog,
) -> None:
    catalog.write(entry("received", "A", received_at="2026-02-28T00:00:00Z"))
    catalog.write(entry("failed", "A", reason={"type": "T", "message": "m"}))
    counts: Any = {"rows": 1, "results": 1, "rejects": 0}

    catalog.write(entry("done", "A", counts=counts))

    assert catalog.get(OBJECT) == entry(
        "done", "A", received_at="2026-02-28T00:00:00Z", counts=counts
    )


def test_another_error_of_the_table_is_raised(catalog: Catalog) -> None:
    client = boto3.client("dynamodb")
    client.delete_table(TableName="catalog")

    with pytest.raises(client.exceptions.ResourceNotFoundException):
        catalog.write(entry("received", "A"))
