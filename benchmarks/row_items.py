"""Rows a second of a file as results and as items: ``make bench-rows``, of BENCH_ROWS rows.

On a local cloud of its own, which shares the cores with the load: what is stored, replaced by a
file a quarter as long, and removed, each counted in the table.
"""

from __future__ import annotations

import os
import platform
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import boto3

from benchmarks.csv_files import HEADER, order
from localcloud.deploy import deploy
from localcloud.settings import Settings
from localcloud.supervisor import fresh
from pipeline_core.catalog import Catalog
from pipeline_core.objects import ObjectId

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "benchmarks" / "rows.md"
ROWS = 20_000
SHORTER = 4
FILE = 1
"""The item that the file has itself."""

KEY = "input/order/orders.csv"
PATIENCE = 4 * 3600.0
PARAMETERS = {"Environment": "bench", "LogLevel": "WARNING", "RangeConcurrency": "2"}


class WrongCount(Exception):
    """The table does not hold what the file has; there is nothing to measure then."""


@dataclass(frozen=True)
class Timing:
    """So many rows or items took so long."""

    what: str
    count: int
    seconds: float


@dataclass(frozen=True)
class Pipeline:
    """The deployed pipeline, as far as it is measured."""

    session: boto3.Session
    endpoint: str
    outputs: dict[str, str]

    def client(self, service: str) -> Any:
        """A client of the local cloud."""
        make: Any = self.session.client
        return make(service, endpoint_url=self.endpoint)

    def put(self, text: str, rows: str) -> str:
        """Put the file; the state that its catalog entry had before."""
        before = self._sequencer()
        self.client("s3").put_object(
            Bucket=self.outputs["InputBucketName"],
            Key=KEY,
            Body=text.encode(),
            Metadata={"rows": rows},
        )
        return before

    def is_done_after(self, sequencer: str) -> bool:
        """Whether a later state is done."""
        entry = self._entry()
        return bool(entry and entry["state"] == "done" and entry["sequencer"] > sequencer)

    def items(self) -> int:
        """How many items there are, that of the file itself included.

        The local cloud counts them; to read them all, again and again, would be the load.
        """
        name = self.outputs["ProcessedDataTable"]
        found = self.client("dynamodb").describe_table(TableName=name)
        return int(found["Table"]["ItemCount"])

    def has_items(self, count: int) -> bool:
        """Whether there are just so many."""
        return self.items() == count

    def _sequencer(self) -> str:
        entry = self._entry()
        return entry["sequencer"] if entry else ""

    def _entry(self) -> Any:
        catalog = Catalog(self.client("dynamodb"), self.outputs["ObjectCatalogTable"])
        return catalog.get(ObjectId(self.outputs["InputBucketName"], KEY))


def measured(pipeline: Pipeline, rows: int) -> Iterator[Timing]:
    """What each part takes.

    Raises:
        WrongCount: the table does not hold what it should.
    """
    short = rows // SHORTER
    for what, count, kind in (
        ("rows as results", rows, "results"),
        ("rows as items, stored", rows, "items"),
        ("replaced by a file a quarter as long", short, "items"),
    ):
        began = time.monotonic()
        before = pipeline.put(_orders(count), kind)
        _wait(partial(pipeline.is_done_after, before))
        yield Timing(what, count, time.monotonic() - began)
        if kind == "items" and pipeline.items() < count + FILE:
            raise WrongCount(f"{what}: {pipeline.items():,} items of {count:,} rows and the file")
    for what, left, gone in (
        ("items of the longer file, removed", short + FILE, rows - short),
        ("items removed with the object", 0, short),
    ):
        began = time.monotonic()
        if not left:
            bucket = pipeline.outputs["InputBucketName"]
            pipeline.client("s3").delete_object(Bucket=bucket, Key=KEY)
        _wait(partial(pipeline.has_items, left))
        yield Timing(what, gone, time.monotonic() - began)


def _orders(count: int) -> str:
    return HEADER + "".join(map(order, range(count)))


def _wait(reached: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > until:
            raise WrongCount(f"not reached within {PATIENCE:,.0f} s")
        time.sleep(0.5)


_HOW = (
    "Written by `make bench-rows` on {machine}, with the local cloud on the same cores, which had "
    "a load of {load:.1f} already when it began. One file of orders, two ranges at once."
)
_WHAT = (
    "All of it runs in one table of the local cloud, one transaction after the other, so AWS's own "
    "rates are not in these figures. What rows take there, "
    "[decision 20](../decisions/0020-rows-as-items.md) says."
)


def report(timings: Sequence[Timing], load: float) -> str:
    """The page of the figures."""
    rows = [
        f"| {one.what} | {one.count:,} | {one.seconds:.0f} | {one.count / one.seconds:,.0f} |"
        for one in timings
    ]
    machine = f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}"
    return "\n".join(
        [
            "# How long rows take as items",
            "",
            _HOW.format(machine=machine, load=load),
            "",
            "| | rows | seconds | a second |",
            "|---|---|---|---|",
            *rows,
            "",
            _WHAT,
            "",
        ]
    )


@contextmanager
def _deployed(folder: Path) -> Iterator[Pipeline]:
    with fresh(folder) as settings:
        outputs = deploy(
            settings,
            template=ROOT / "template.yaml",
            stack_name="bench-rows",
            parameters=PARAMETERS,
        )
        yield Pipeline(_session(settings), _environment(settings)["AWS_ENDPOINT_URL"], {**outputs})


def _environment(settings: Settings) -> dict[str, str]:
    return {**settings.client_environment()}


def _session(settings: Settings) -> boto3.Session:
    environment = _environment(settings)
    return boto3.Session(
        environment["AWS_ACCESS_KEY_ID"],
        environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    )


def main() -> int:
    """Measure, and write the page."""
    # What ends a process by default would leave the local cloud behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    rows, load = int(os.environ.get("BENCH_ROWS") or ROWS), os.getloadavg()[0]
    timings: list[Timing] = []
    with _deployed(ROOT / ".bench" / "rows") as pipeline:
        for timing in measured(pipeline, rows):
            print(f"{timing.what}: {timing.count:,} in {timing.seconds:.0f} s", flush=True)
            timings.append(timing)
    OUT.write_text(report(timings, load))
    return 0


if __name__ == "__main__":
    sys.exit(main())
