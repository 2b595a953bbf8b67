"""Rows a second and peak memory of CSV files of growing size, read in two ways."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clouds import ROOT
from benchmarks.csv_reading import BUCKET, KEY, OUTPUT, WAYS

MEGABYTE = 1_000_000
LEAST_SECONDS = 30
SECONDS_PER_MEGABYTE = 0.9
"""After that long a reading is given up."""

HEADER = "order_id,sku,quantity,unit_price,currency,ordered_at,note\r\n"
ROW = "A-{n:09d},tea-{s:03d},{q},{p}.50,{c},2026-03-01T09:{m:02d}:00+01:00,{note}\r\n"
NOTES = ("", "call before delivery", '"fragile, this side up"', '"two\r\nlines"')
CURRENCIES = ("EUR", "usd", "CHF")


@dataclass(frozen=True)
class Reading:
    """What reading one file in one way took; no rows if it did not end in memory or time."""

    way: str
    megabytes: int
    rows: int
    seconds: float
    peak_bytes: int

    @property
    def rows_per_second(self) -> float:
        """Rows that became results, a second."""
        return self.rows / self.seconds if self.seconds else 0.0


def readings(folder: Path, sizes: Sequence[int]) -> Iterator[Reading]:
    """Read a file of each size, in megabytes, in both ways."""
    for megabytes in sizes:
        source = folder / BUCKET / KEY
        source.parent.mkdir(parents=True, exist_ok=True)
        write_orders(source, megabytes * MEGABYTE)
        for way in WAYS:
            yield _read(way, folder, megabytes)
            shutil.rmtree(folder / OUTPUT, ignore_errors=True)
        source.unlink()


def write_orders(path: Path, size: int) -> None:
    """A CSV file of about ``size`` bytes: a quarter of its rows have quotes."""
    with path.open("w", newline="") as file:
        written = file.write(HEADER)
        number = 0
        while written < size:
            written += file.write(order(number))
            number += 1


def order(number: int) -> str:
    """One row; the same number, the same row."""
    return ROW.format(
        n=number,
        s=number % 500,
        q=1 + number % 9,
        p=number % 100,
        c=CURRENCIES[number % len(CURRENCIES)],
        m=number % 60,
        note=NOTES[number % 8] if number % 8 < len(NOTES) else "",
    )


def _read(way: str, folder: Path, megabytes: int) -> Reading:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    seconds = max(LEAST_SECONDS, megabytes * SECONDS_PER_MEGABYTE)
    try:
        run = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "benchmarks.csv_reading", way, str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Reading(way, megabytes, 0, seconds, 0)
    return Reading(way, megabytes, **json.loads(run.stdout))
