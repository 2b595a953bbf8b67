"""Both ways of reading make the same of a file, and the file is what it says."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from benchmarks import csv_files
from benchmarks.csv_files import BUCKET, KEY, OUTPUT, FileStore, as_a_whole, by_ranges, write_orders

SIZE = 20_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    source = tmp_path / BUCKET / KEY
    source.parent.mkdir(parents=True)
    write_orders(source, SIZE)
    return tmp_path


def test_the_file_has_its_size_and_rows_of_several_lines(root: Path) -> None:
    source = root / BUCKET / KEY
    assert SIZE <= source.stat().st_size < SIZE + 200
    with source.open(newline="") as file:
        assert any("\n" in row["note"] for row in csv.DictReader(file))


def test_both_ways_make_the_same_records(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_files, "RANGE_BYTES", 4096)
    size = (root / BUCKET / KEY).stat().st_size
    assert by_ranges(FileStore(root), size) == as_a_whole(FileStore(root), size) > 0
    whole = records([root / OUTPUT / "whole.jsonl"])
    parts = sorted((root / OUTPUT / "results").rglob("results/*.jsonl"))
    assert len(parts) > 1
    assert [r["record"]["order_id"] for r in records(parts)] == [
        r["record"]["order_id"] for r in whole
    ]


def records(paths: list[Path]) -> list[dict[str, dict[str, str]]]:
    return [json.loads(line) for path in paths for line in path.read_text().splitlines()]
