"""A file of many rows as items: killed halfway, replaced by a shorter one, removed; each counted.

LARGE_FILE_ROWS says how many rows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcloud import supervisor
from localcloud.deploy import deploy
from localcloud.settings import free_settings
from pipeline_core.objects import ObjectId
from pipeline_core.sizes import batches
from tests.chaos.test_large_file import upload
from tests.e2e.conftest import ROOT, Stack
from tests.e2e.localcloud.support import Cloud, running, wait_for
from tests.e2e.objects import Objects, executions_of, range_starts

ROWS = 20_000
STACK = "row-items"
KEY = "input/order/orders.csv"
PARAMETERS = {
    "Environment": "test",
    "LogLevel": "WARNING",
    "ExecutionTimeout": "900",
    "FilesTimeout": "300",
    "StageTimeout": "60",
    "RangeConcurrency": "2",
    "FileRows": "items",
}
SECONDS_A_ROW = 0.05
"""Beside other work on a small machine; there is no hurry."""

LEAST_SECONDS = 900.0
SHORTER = 4
"""So many times shorter is the file that replaces it."""

WRONG_EVERY = 97
MOST_KEYS = 100
"""Of a BatchGetItem."""

HEADER = "order_id,sku,quantity,unit_price,currency,ordered_at\n"


@pytest.fixture
def objects(tmp_path: Path) -> Iterator[Objects]:
    """The pipeline on a local cloud of its own."""
    settings = free_settings(tmp_path / "cloud")
    with running(settings):
        outputs = deploy(
            settings, template=ROOT / "template.yaml", stack_name=STACK, parameters=PARAMETERS
        )
        yield Objects(Stack(Cloud(settings, outputs), outputs))


def test_items_are_what_one_reading_gives_whatever_is_killed_replaced_and_removed(
    objects: Objects, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = int(os.environ.get("LARGE_FILE_ROWS") or ROWS)
    seconds = max(LEAST_SECONDS, rows * SECONDS_A_ROW)

    def told(what: str, count: int, since: float) -> None:
        took = time.monotonic() - since
        with capsys.disabled():
            print(f"\n{what}: {count:,} items, {took:.0f} s, {count / took:,.0f} a second")

    long = write(tmp_path / "long.csv", rows, quantity=3)
    short = write(tmp_path / "short.csv", rows // SHORTER, quantity=5)

    started = time.monotonic()
    upload(objects, long, KEY)
    killed = kill_at_work(objects, rows, seconds)
    entry = objects.wait_for_state(KEY, "done", seconds=seconds)
    told("stored, killed half-way", len(accepted(rows)), started)
    assert entry["counts"]["items"] == len(accepted(rows))
    assert items(objects, rows) == expected(rows, 3)
    assert stored(objects) == len(accepted(rows)) + 1
    starts = range_starts(executions_of(objects.stack, KEY))
    assert 1 <= starts.total() - len(starts) <= killed

    started = time.monotonic()
    upload(objects, short, KEY)
    sequencer = entry["sequencer"]
    wait_for(lambda: done_after(objects, sequencer), seconds)
    told("replaced by a shorter one", len(accepted(rows // SHORTER)), started)
    assert items(objects, rows // SHORTER) == expected(rows // SHORTER, 5)
    started = time.monotonic()
    wait_for(lambda: stored(objects) == len(accepted(rows // SHORTER)) + 1, seconds)
    told("of the longer one removed", len(accepted(rows)) - len(accepted(rows // SHORTER)), started)

    assert items(objects, rows // SHORTER) == expected(rows // SHORTER, 5)

    started = time.monotonic()
    objects.remove(KEY)
    wait_for(lambda: not stored(objects) and not objects.derived(KEY), seconds)
    told("removed with the object", len(accepted(rows // SHORTER)), started)


def write(path: Path, rows: int, quantity: int) -> Path:
    """Write a file of so many orders, some of them wrong."""
    with path.open("w", encoding="utf-8") as file:
        file.write(HEADER)
        for number in range(1, rows + 1):
            of_it = "none" if number % WRONG_EVERY == 0 else quantity
            file.write(f"A-{number:09d},tea,{of_it},12.50,EUR,2026-03-01T09:30:00+01:00\n")
    return path


def accepted(rows: int) -> list[int]:
    """The rows that are right."""
    return [number for number in range(1, rows + 1) if number % WRONG_EVERY]


def expected(rows: int, quantity: int) -> dict[int, int]:
    """The quantity of each row's item, by its number: what one reading of the file gives."""
    return dict.fromkeys(accepted(rows), quantity)


def items(objects: Objects, rows: int) -> dict[int, int]:
    """The quantity that each row's item has, by the row's number, of so many rows.

    They are asked for by their keys: to read a table of a million page by page would be the load.
    """
    client = objects.stack.client("dynamodb")
    found: dict[int, int] = {}
    table = objects.stack.outputs["ProcessedDataTable"]
    for batch in batches(accepted(rows), lambda _: 1, max_bytes=MOST_KEYS):
        asked: Any = {
            table: {
                "Keys": [{"execution_id": {"S": key_of(objects, number)}} for number in batch],
                "ProjectionExpression": "#row, transformed_data.quantity",
                "ExpressionAttributeNames": {"#row": "row"},
            }
        }
        while asked:
            answer = client.batch_get_item(RequestItems=asked)
            for item in answer["Responses"][table]:
                quantity = item["transformed_data"]["M"]["quantity"]["N"]
                found[int(item["row"]["N"])] = int(quantity)
            asked = answer["UnprocessedKeys"]
    return found


def key_of(objects: Objects, number: int) -> str:
    """The key of the item that this row becomes."""
    place = ObjectId(objects.stack.outputs["InputBucketName"], KEY)
    return place.row_execution_id(PARAMETERS["Environment"], number)


def kill_at_work(objects: Objects, rows: int, seconds: float) -> int:
    """Kill workers once a third is stored, until a range has to be repeated; how many were."""
    wait_for(lambda: stored(objects) >= rows / 3, seconds)
    settings, killed = objects.stack.cloud.settings, 0

    def repeated() -> bool:
        starts = range_starts(executions_of(objects.stack, KEY))
        return starts.total() > len(starts)

    while not repeated():
        assert stored(objects) < len(accepted(rows)), "all was stored before a range was hit"
        for name in ("csv-file", "store"):
            killed += len(supervisor.kill(settings, f"{STACK}-{name}"))
        time.sleep(2)  # its invoke fails at once, and a second later its range is begun again
    return killed


def stored(objects: Objects) -> int:
    """How many items there are, the file's own included."""
    table: Any = objects.stack.client("dynamodb").describe_table(
        TableName=objects.stack.outputs["ProcessedDataTable"]
    )
    return int(table["Table"]["ItemCount"])


def done_after(objects: Objects, sequencer: str) -> bool:
    """Whether a state after that one is done."""
    entry = objects.entry(KEY) or {}
    return bool(entry.get("state") == "done" and entry["sequencer"] > sequencer)
