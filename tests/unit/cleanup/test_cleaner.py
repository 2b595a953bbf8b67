from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from cleanup.handler import clean_up
from pipeline_core import events
from pipeline_core.events import EventName
from pipeline_core.objects import ObjectState
from tests.unit.cleanup.fake_aws import client_error
from tests.unit.cleanup.test_interleavings import assert_in_line
from tests.unit.cleanup.world import EXECUTION_ID, NOW, OBJECT, World, processing_event


@pytest.fixture
def world() -> World:
    return World()


def processed(world: World) -> ObjectState:
    """A state that was created and processed, with all that follows from it."""
    state = world.create()
    world.deliver_all()
    assert_in_line(world)
    return state


def test_of_a_removed_object_only_a_tombstone_is_left(world: World) -> None:
    processed(world)

    world.delete()
    world.deliver_all()

    assert_in_line(world)
    assert world.entry is not None
    assert world.entry["state"] == "deleted"
    assert world.entry["expires_at"] == 1774915200  # 30 days after NOW


def test_a_removal_that_comes_twice_changes_nothing(world: World) -> None:
    processed(world)
    world.delete()
    world.deliver(0, again=True)
    before = world.entry

    world.deliver_all()

    assert world.entry == before
    assert_in_line(world)


def test_a_removal_goes_on_where_it_was_interrupted(world: World) -> None:
    processed(world)
    leftovers = dict(world.s3.output)
    world.delete()
    world.deliver(0, again=True)
    world.s3.output |= leftovers

    world.deliver_all()

    assert_in_line(world)


def test_removing_an_old_version_has_nothing_processed_again(world: World) -> None:
    processed(world)
    processed(world)
    before = world.entry, world.item

    world.remove_version(0)
    world.deliver(0)

    assert world.pending == []
    assert (world.entry, world.item) == before


def test_an_object_comes_back_when_its_delete_marker_is_removed(world: World) -> None:
    processed(world)
    world.delete()
    world.deliver_all()

    world.remove_version(-1)
    world.deliver(0)

    assert [receiver for receiver, _ in world.pending] == ["process"]
    assert world.entry is not None
    assert world.entry["state"] == "received"
    world.deliver_all()
    assert_in_line(world)


def test_a_repeated_removal_does_not_have_a_version_processed_twice(world: World) -> None:
    processed(world)
    world.create()
    world.deliver_all()
    world.remove_version(-1)

    world.deliver(0, again=True)
    world.deliver(0, again=True)

    assert [receiver for receiver, _ in world.pending] == ["cleanup", "process"]


def test_an_object_brought_back_while_it_is_being_buried_is_processed(world: World) -> None:
    processed(world)
    world.delete()

    def bring_back() -> None:
        world.dynamodb.before_transaction = lambda: None
        world.remove_version(-1)
        world.deliver(-1)  # finds the catalog as it was before the removal: nothing to do
        assert world.pending == []

    world.dynamodb.before_transaction = bring_back
    world.deliver_all()

    assert_in_line(world)


def test_a_removed_version_that_was_stored_before_the_catalog_heard_of_it_is_replaced(
    world: World,
) -> None:
    processed(world)
    world.slow = {"catalog", "notify"}
    world.create()
    world.deliver_all()
    world.remove_version(-1)
    world.deliver_all()

    world.slow = set()
    world.deliver_all()

    assert_in_line(world)


def test_a_removed_version_that_is_stored_only_after_its_removal_is_replaced(world: World) -> None:
    processed(world)
    world.slow = {"catalog", "notify", "cleanup"}
    world.create()
    world.deliver_all()
    world.remove_version(-1)
    world.slow = {"catalog", "notify"}
    world.deliver(-1)  # the removal, before it is known that there was anything to remove
    world.slow = set()

    world.deliver_all()

    assert_in_line(world)


def test_a_version_removed_before_it_was_processed_does_not_stay_in_the_catalog(
    world: World,
) -> None:
    processed(world)
    world.create()
    world.remove_version(-1)
    world.deliver(-1)
    world.deliver(1)  # finds nothing to process
    world.deliver(-1)

    world.deliver_all()

    assert_in_line(world)


def test_a_version_that_the_catalog_holds_as_deleted_is_processed(world: World) -> None:
    first = processed(world)
    world.delete()
    world.deliver_all()
    assert world.entry is not None
    world.dynamodb.tables["catalog"][OBJECT.path]["version_id"] = {"S": first["version_id"]}

    world.remove_version(-1)
    world.deliver_all()

    assert_in_line(world)


def test_results_of_an_earlier_state_go_when_a_later_one_is_done(world: World) -> None:
    processed(world)
    processed(world)

    assert len(world.s3.output) == 1


def test_results_of_an_earlier_state_stay_while_its_item_does(world: World) -> None:
    first = processed(world)
    world.create()
    world.slow = {"process"}
    world.deliver_all()
    kept = dict(world.s3.output)

    body = events.dump(processing_event("done", first))
    clean_up(body, world.cleaner, NOW)

    assert world.s3.output == kept != {}


@pytest.mark.parametrize("name", ["failed", "superseded"])
def test_what_a_removal_left_behind_goes_though_the_object_that_came_back_is_never_done(
    world: World, name: EventName
) -> None:
    processed(world)
    leftovers = dict(world.s3.output)
    world.delete()
    world.deliver_all()
    world.s3.output |= leftovers
    state = world.create()
    world.deliver_all("catalog")

    clean_up(events.dump(processing_event(name, state)), world.cleaner, NOW)

    assert world.s3.output == {}


def test_an_execution_that_writes_results_too_late_has_them_removed(world: World) -> None:
    world.create()
    late = world.pending[1]
    world.deliver_all()
    world.slow = {"notify"}
    world.create()
    world.deliver_all()
    world.pending.append(late)

    world.deliver_all()

    world.slow = set()
    world.deliver_all()
    assert_in_line(world)


def test_an_execution_that_writes_results_of_a_removed_object_has_them_removed(
    world: World,
) -> None:
    world.create()
    late = world.pending[1]
    world.deliver_all()
    world.delete()
    world.deliver_all()

    world.pending.append(late)
    world.deliver_all()

    assert_in_line(world)


def test_an_item_of_a_later_state_stays_and_the_removal_is_entered(world: World) -> None:
    processed(world)
    world.delete()
    later = {"execution_id": {"S": EXECUTION_ID}, "sequencer": {"S": "F" * 32}}
    world.dynamodb.tables["items"][EXECUTION_ID] = later

    world.deliver_all()

    assert world.item == later
    assert world.entry is not None
    assert world.entry["state"] == "deleted"
    assert world.s3.output == {}


def test_a_removal_changes_nothing_where_a_later_state_is_known(world: World) -> None:
    processed(world)
    world.delete()
    removal = world.pending.pop()
    processed(world)
    world.delete()
    world.pending.clear()  # the second removal is on its way
    before = world.entry, world.item, dict(world.s3.output)

    world.pending.append(removal)
    world.deliver_all()

    assert (world.entry, world.item, world.s3.output) == before


def test_a_transaction_cancelled_for_another_reason_is_an_error(world: World) -> None:
    processed(world)
    world.delete()

    def conflict() -> None:
        reasons = [{"Code": "None"}, {"Code": "TransactionConflict"}]
        raise client_error(
            "TransactionCanceledException", "TransactWriteItems", CancellationReasons=reasons
        )

    world.dynamodb.before_transaction = conflict

    with pytest.raises(ClientError, match="TransactionCanceledException"):
        world.deliver_all()
    assert world.s3.output != {}


def test_an_object_without_versions_is_left_to_its_own_event(world: World) -> None:
    world.s3.versioned = False
    world.create()
    world.delete()
    world.versions.remove(-1)
    world.pending = [world.pending[-1]]

    world.deliver_all()

    assert (world.entry, world.pending) == (None, [])


def test_a_state_without_a_version_is_not_looked_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: object) -> None:
        raise client_error("403", "HeadObject")

    monkeypatch.setattr(world.s3, "head_object", refuse)
    state: ObjectState = {"bucket": "payloads", "key": "messages/a.json", "sequencer": "A" * 32}

    for name in ("done", "superseded"):
        body = events.dump(processing_event(name, state))
        clean_up(body, world.cleaner, NOW)

    assert world.pending == []


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("nope", "not JSON"),
        ("{}", "Records is missing"),
        ('{"event": "gone"}', "not a processing event: event is 'gone'"),
    ],
)
def test_what_is_no_event_is_refused(world: World, body: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        clean_up(body, world.cleaner, NOW)


def test_a_creation_is_refused(world: World) -> None:
    world.create()

    with pytest.raises(ValueError, match="ObjectCreated:Put'; only ObjectRemoved belongs"):
        clean_up(world.pending[0][1], world.cleaner, NOW)


def test_an_event_of_work_that_goes_on_changes_nothing(world: World) -> None:
    state = world.create()
    body = events.dump(processing_event("processing", state))

    clean_up(body, world.cleaner, NOW)

    assert world.catalog.get(OBJECT) is None
