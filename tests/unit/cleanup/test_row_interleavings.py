"""Rows as items, in whatever order ranges, states and removals come, are repeated or cut short."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any, NamedTuple

from hypothesis import event, given
from hypothesis import strategies as st

from pipeline_core import objects
from pipeline_core.contract import StageRecord
from pipeline_core.objects import ObjectState, results_folder
from store.table import Settings, Table
from tests.unit.cleanup.test_interleavings import OPERATIONS, carry_out, deliver_rest
from tests.unit.cleanup.world import NOW, OBJECT, World

RANGES = 2
BLOCK = 2


class FileRow(NamedTuple):
    """A row of a version: its number, and the id that it gives itself, if any."""

    number: int
    record_id: str

    @property
    def key(self) -> str:
        return self.record_id or OBJECT.row_execution_id("dev", self.number)


def rows_of(version_id: str) -> list[FileRow]:
    """The accepted rows of a version: always the same, and of each version others."""
    random = Random(version_id)
    numbers = [n for n in range(1, random.randrange(9)) if random.random() < 0.8]
    return [FileRow(n, random.choice(["", "", "a", "b"])) for n in numbers]


class RowWorld(World):
    """The pipeline of files whose rows are items.

    A range that was read names its items first and then has them stored, block by block, in
    messages of their own: so each may come late, twice, or after the range was begun anew.
    """

    def __init__(self) -> None:
        super().__init__()
        client: Any = self.dynamodb
        self.table = Table(client, Settings("items", "catalog"), sleep=lambda _: None)
        self.receivers |= {"range": self._range, "rows": self._rows}
        self.stored: dict[str, set[int]] = {}

    @property
    def rows(self) -> dict[str, tuple[int, str]]:
        """Number and state of each row's item, by its key."""
        found = {k: i for k, i in self.dynamodb.tables["items"].items() if "row" in i}
        return {k: (int(i["row"]["N"]), i["sequencer"]["S"]) for k, i in found.items()}

    def _process(self, body: str) -> None:
        (found,) = objects.parse_events(body)
        if found.state["version_id"] != self.versions.current:
            return self._publish("superseded", found.state)
        for index in range(RANGES):
            self._send("range", found.state, index)
        return None

    def _send(self, receiver: str, state: ObjectState, index: int, start: int = 0) -> None:
        self.pending.append((receiver, json.dumps([state, index, start])))

    def _range(self, body: str) -> None:
        state, index, _ = json.loads(body)
        if state["version_id"] != self.versions.current:
            return self._publish("superseded", state)
        log = f"{results_folder(state)}items/{index}.jsonl"
        if log not in self.s3.output:
            lines = [json.dumps({"execution_id": row.key}) for row in self._in(state, index)]
            self.s3.output[log] = "\n".join(lines)
        return self._send("rows", state, index)

    def _in(self, state: ObjectState, index: int) -> Sequence[FileRow]:
        return rows_of(state["version_id"])[index::RANGES]

    def _rows(self, body: str) -> None:
        state, index, start = json.loads(body)
        rows = self._in(state, index)
        block = [_record(state, row) for row in rows[start : start + BLOCK]]
        results = self.table.store(block, stored_at=NOW, seconds=1)
        if any(result["outcome"] == "superseded" for result in results):
            return self._publish("superseded", state)
        assert all(result["outcome"] == "ok" for result in results)
        if start + BLOCK < len(rows):
            return self._send("rows", state, index, start + BLOCK)
        ended = self.stored.setdefault(state["sequencer"], set())
        ended.add(index)
        if len(ended) == RANGES:
            self.pending.append(("store", json.dumps(objects.created_event(state, NOW))))
        return None


def _record(state: ObjectState, row: FileRow) -> StageRecord:
    document = json.dumps({"data_source": "x", "processing_type": "standard"})
    return {
        "id": f"row-{row.number}",
        "body": "{}",
        "execution_id": row.key,
        "message_id": "m",
        "sent_timestamp": 1,
        "by_producer": bool(row.record_id),
        "row": {
            "bucket": state["bucket"],
            "key": state["key"],
            "sequencer": state["sequencer"],
            "number": row.number,
        },
        "transformed": document,
        "processed_at": NOW,
    }


@given(
    operations=st.lists(st.sampled_from(OPERATIONS), min_size=3, max_size=30),
    random=st.randoms(use_true_random=False),
)
def test_in_the_end_the_table_is_what_one_reading_of_the_newest_state_gives(
    operations: list[str], random: Random
) -> None:
    world = RowWorld()
    for operation in ["create", *operations]:
        carry_out(operation, world, random)
        assert len(world.rows) == len(set(world.rows.values())), "a row has two items"
    deliver_rest(world, random)
    world.slow = set()
    deliver_rest(world, random)
    event(f"exists: {world.versions.current is not None}")

    assert_in_line(world)


def assert_in_line(world: RowWorld) -> None:
    current = world.versions.current
    if current is None:
        assert world.rows == {}
        assert world.item is None
        assert not [key for key in world.s3.output if "/items/" in key]
        return
    assert world.entry is not None
    sequencer = world.entry["sequencer"]
    # Of two rows with one id the later one counts.
    assert world.rows == {row.key: (row.number, sequencer) for row in rows_of(current)}
    logs = [key for key in world.s3.output if "/items/" in key]
    assert all(f"/{sequencer}/" in key for key in logs)


def test_between_two_states_no_row_is_missing() -> None:
    world = RowWorld()
    world.create()
    world.deliver_all()
    before = set(world.rows)
    world.create()
    world.slow = {"cleanup"}
    world.deliver_all()

    assert before <= set(world.rows)
