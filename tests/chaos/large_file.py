"""A large CSV file, and what one reading of it says that must come out."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

HEADER = ["id", "name", "address", "note", "amount"]
_BAD_EVERY = 997
_BROKEN_LINE_EVERY = 211


def write(path: Path, size: int) -> None:
    """Write a CSV of at least ``size`` bytes: some fields hold newlines, some rows are bad."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        for number in itertools.count(1):
            writer.writerow(_row(number))
            if number % 1000 == 0 and file.tell() >= size:
                return


def differences(path: Path, results: Iterable[Any], rejects: Iterable[Any]) -> Iterator[str]:
    """Where results and rejects differ from one reading of the whole file, in order."""
    results, rejects = iter(results), iter(rejects)
    for row, expected in _one_reading(path):
        found = next(rejects if expected is None else results, None)
        if found is None or found["row"] != row:
            yield f"row {row} is missing: there is {found}"
            return
        if expected is not None and not expected.items() <= found["record"].items():
            yield f"row {row} is {found['record']}, not {expected}"
    for more in itertools.chain(results, rejects):
        yield f"one too many: {more}"


def _one_reading(path: Path) -> Iterator[tuple[int, dict[str, str] | None]]:
    """Each row's number and its fields that are not empty; None for a bad row."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.reader(file)
        header = next(rows)
        for number, row in enumerate(rows, start=1):
            bad = len(row) != len(header)
            fields = zip(header, row, strict=False)
            yield number, None if bad else {name: cell for name, cell in fields if cell}


def _row(number: int) -> list[str]:
    note = f'said: "no. {number}", and more, at some length, of what there is to say of it ' * 2
    if number % _BROKEN_LINE_EVERY == 0:
        note = note.replace(", and", ",\nand")
    row = [str(number), f"Zoë {number}", f"{number % 500} Some Street, Some Town", note, ""]
    return [*row, "too much"] if number % _BAD_EVERY == 0 else row
