"""CSV files: the features F1 to F6. Ranges are small here, and few an execution."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from localcloud import supervisor
from tests.e2e.alarms import alarms_of
from tests.e2e.conftest import STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.objects import Objects, csv_of, executions_of, range_starts
from tests.e2e.test_doors import listener


@pytest.fixture(scope="module")
def objects(stack: Stack) -> Objects:
    return Objects(stack)


def people(count: int) -> str:
    """A CSV of so many people, every 100th with a field too many."""
    rows = [
        [str(n), f"name {n}", "x" * 40, *(["?"] if n % 100 == 0 else [])]
        for n in range(1, count + 1)
    ]
    return csv_of([["id", "name", "note"], *rows])


def test_f1_rows_are_results_and_wrong_rows_rejects_with_line_and_reason(objects: Objects) -> None:
    objects.put("input/f1.csv", people(1000))

    entry = objects.wait_for_state("input/f1.csv", "done")

    assert entry["counts"] == {"rows": 1000, "results": 990, "rejects": 10}
    results, rejects = objects.rows("input/f1.csv"), list(objects.rows("input/f1.csv", "rejects"))
    assert [row["row"] for row in results] == [n for n in range(1, 1001) if n % 100]
    assert [row["line"] for row in rejects] == [n + 1 for n in range(100, 1001, 100)]
    assert "4 fields" in rejects[0]["reason"]["message"]


def test_f2_completion_is_announced_and_updates_catalog_and_tells_operators(
    objects: Objects,
) -> None:
    told = listener(objects.stack)
    objects.put("input/f2.csv", people(10))

    message = wait_for(lambda: next((text for text in told() if "f2.csv" in text), None))

    assert "10" in message
    objects.wait_for_state("input/f2.csv", "done")


def test_f3_a_worker_killed_halfway_repeats_its_ranges_and_no_other(
    stack: Stack, objects: Objects
) -> None:
    key, begun = "input/f3.csv", datetime.now(UTC)
    objects.put(key, people(20_000))
    wait_for(lambda: len(objects.derived(key)) >= 8)

    killed = supervisor.kill(stack.cloud.settings, f"{STACK}-csv-file")

    entry = objects.wait_for_state(key, "done")
    assert entry["counts"] == {"rows": 20_000, "results": 19_800, "rejects": 200}
    starts = range_starts(executions_of(stack, key, begun))
    parts = objects.manifest(key)["parts"]
    assert len(starts) == len(parts)
    assert sum(starts.values()) <= len(parts) + len(killed)


def test_f4_every_dead_letter_queue_and_every_function_has_an_alarm(stack: Stack) -> None:
    watched = {
        (alarm["MetricName"], dimension["Value"])
        for alarm in alarms_of(stack)
        for dimension in alarm["Dimensions"]
    }

    for queue in ("dead-letters", "catalog-dead-letters", "cleanup-dead-letters"):
        assert ("ApproximateNumberOfMessagesVisible", f"{STACK}-{queue}") in watched
    for function in ("validate", "transform", "store", "csv-file", "catalog", "cleanup", "notify"):
        assert ("Errors", f"{STACK}-{function}") in watched


def test_f5_a_file_too_long_for_one_execution_goes_on_in_the_next(
    stack: Stack, objects: Objects
) -> None:
    key, begun = "input/f5.csv", datetime.now(UTC)
    objects.put(key, people(10_000))

    entry = objects.wait_for_state(key, "done")

    assert entry["counts"] == {"rows": 10_000, "results": 9_900, "rejects": 100}
    assert len(objects.manifest(key)["parts"]) > 4
    histories = executions_of(stack, key, begun)
    assert sum(bool(range_starts([events])) for events in histories) > 1


def notes(count: int, note: str) -> str:
    """A CSV of so many rows, every 100th with a field too many, in some ten ranges."""
    rows = [[str(n), note * 60, *(["?"] if n % 100 == 0 else [])] for n in range(1, count + 1)]
    return csv_of([["id", "note"], *rows])


def test_f7_rows_are_items_though_a_worker_is_killed_and_go_with_what_they_came_from(
    stack: Stack, objects: Objects
) -> None:
    key, as_items = "input/f7.csv", {"rows": "items"}
    objects.put(key, notes(1_500, "first "), Metadata=as_items)
    wait_for(lambda: len(objects.row_items(key)) >= 250)

    supervisor.kill(stack.cloud.settings, f"{STACK}-csv-file")
    supervisor.kill(stack.cloud.settings, f"{STACK}-store")

    entry = objects.wait_for_state(key, "done")
    assert entry["counts"] == {"rows": 1_500, "results": 1_485, "rejects": 15, "items": 1_485}
    assert sorted(objects.row_items(key)) == [n for n in range(1, 1_501) if n % 100]

    objects.put(key, notes(500, "second "), Metadata=as_items)
    objects.wait_for_later(key, entry["sequencer"])
    expected = {n: "second " * 60 for n in range(1, 501) if n % 100}
    wait_for(lambda: objects.row_items(key) == expected)

    objects.remove(key)
    wait_for(lambda: not objects.row_items(key) and not objects.derived(key))
    assert objects.item(key) is None


def test_f8_a_file_says_in_which_encoding_it_is_and_what_its_commas_are(objects: Objects) -> None:
    text = (
        "order_id;sku;quantity;unit_price;currency;ordered_at;note\n"
        "a-1;tea;3;12,50;EUR;2026-03-01T09:30:00Z;Zürich, 5 €\n"
    )
    key, metadata = "input/order/f8.csv", {"encoding": "cp1252", "decimal": "comma"}
    objects.put(key, text.encode("cp1252"), Metadata=metadata)

    assert objects.wait_for_state(key, "done")["counts"]["results"] == 1

    (result,) = objects.rows(key)
    assert (result["record"]["unit_price"], result["record"]["note"]) == (12.5, "Zürich, 5 €")


HEADER = ["id", "text"]
ROWS = [
    [str(n), text] for n, text in enumerate(['a "b" c', "line\nbreak", "x, y", "", "é 数"] * 40)
]
FILES = {
    "quoted newlines": csv_of([HEADER, *ROWS]),
    "CRLF": csv_of([HEADER, *ROWS], lineterminator="\r\n"),
    "LF": csv_of([HEADER, *ROWS], lineterminator="\n"),
    "a BOM": "\ufeff" + csv_of([HEADER, *ROWS]),
    "no last newline": csv_of([HEADER, *ROWS]).rstrip("\r\n"),
    "semicolons": csv_of([HEADER, *ROWS], delimiter=";"),
    "nothing": "",
    "a header only": csv_of([HEADER]),
}


@pytest.mark.parametrize("case", FILES)
def test_f6_splitting_gives_what_one_reading_gives(objects: Objects, case: str) -> None:
    key = f"input/f6 {case}.csv"
    text = FILES[case]
    objects.put(key, text.encode())

    objects.wait_for_state(key, "done")

    delimiter = ";" if case == "semicolons" else ","
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff"), newline=""), delimiter=delimiter)
    expected = [row for row in reader if row][1:]
    assert [
        [row["record"]["id"], row["record"].get("text", "")] for row in objects.rows(key)
    ] == expected
