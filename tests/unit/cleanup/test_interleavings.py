"""Events that come late, twice or in any order: in the end all is in line with the bucket."""

from __future__ import annotations

from random import Random

from hypothesis import event, given
from hypothesis import strategies as st

from tests.unit.cleanup.world import World

OPERATIONS = ["create", "delete", "undo", "remove", "slow", "settle", *["deliver"] * 4]


@given(
    operations=st.lists(st.sampled_from(OPERATIONS), min_size=3, max_size=30),
    random=st.randoms(use_true_random=False),
)
def test_in_the_end_all_is_in_line_with_the_bucket(operations: list[str], random: Random) -> None:
    world = World()
    for operation in ["create", *operations]:
        carry_out(operation, world, random)
    event(f"exists: {world.versions.current is not None}")
    deliver_rest(world, random)
    world.slow = set()
    deliver_rest(world, random)

    assert_in_line(world)


def carry_out(operation: str, world: World, random: Random) -> None:
    """Do what ``operation`` says; to undo is to remove the newest version or delete marker."""
    match operation:
        case "create":
            world.create()
        case "delete":
            world.delete()
        case "undo":
            world.remove_version(-1)
        case "remove":
            world.remove_version(random.randrange(4))
        case "slow":
            world.slow = {name for name in world.receivers if random.random() < 0.4}
        case "settle":
            world.deliver_all()
        case "deliver":
            world.deliver(random.randrange(8), again=random.random() < 0.3)


def deliver_rest(world: World, random: Random) -> None:
    """Deliver everything at least once, and some messages more often."""
    repeated = 0
    while world.deliverable:
        again = repeated < 20 and random.random() < 0.3
        repeated += again
        world.deliver(random.randrange(8), again=again)


def assert_in_line(world: World) -> None:
    entry, item, results = world.entry, world.item, world.s3.output
    if world.versions.current is None:
        assert entry is None or entry["state"] == "deleted"
        assert item is None
        assert results == {}
    else:
        assert entry is not None
        assert item is not None
        assert (entry["state"], entry.get("version_id")) == ("done", world.versions.current)
        assert item["version_id"]["S"] == world.versions.current
        assert item["sequencer"]["S"] == entry["sequencer"]
        (key,) = results
        assert f"/{entry['sequencer']}/" in key
        assert results[key] == world.versions.current
        assert (entry["sequencer"], "done") in world.told
    assert len(world.told) == len(set(world.told))
