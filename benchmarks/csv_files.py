"""Rows a second and peak memory of CSV files of growing size, read in two ways.

``ranges`` is the csv_file function: plan, then range after range, as one warm execution environment
works on them. ``whole`` is the single function that one writes first: read the object, go through
it with `csv.DictReader`, validate and transform by the same rules, put all results as one object.
Each reading is a process of its own, so that its memory can be told: it runs this module, which
therefore imports neither boto3 nor the local cloud.
"""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError

from benchmarks.memory import peak_bytes
from csv_file.documents import json_text
from csv_file.parts import process_range
from csv_file.planning import plan_file
from transform.processing_types import transform_document
from validate.rules import is_valid

RANGES = "ranges"
WHOLE = "whole"
WAYS = (RANGES, WHOLE)

BUCKET = "input"
KEY = "input/order/orders.csv"
OUTPUT = "output"
ETAG = '"benchmark"'

RANGE_BYTES = 16 * 1024 * 1024
"""RangeSize's default in the template."""

LARGEST_FUNCTION = 10_240 * 1024 * 1024
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""

MEGABYTE = 1_000_000
LEAST_SECONDS = 30
SECONDS_PER_MEGABYTE = 1.5
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

    def as_json(self) -> dict[str, Any]:
        """As a JSON document, with the rows that became results a second."""
        return asdict(self) | {"rows_per_second": self.rows / self.seconds}


def readings(folder: Path, sizes: Sequence[int]) -> Iterator[Reading]:
    """Read a file of each size, in megabytes, in both ways; ``folder`` is gone afterwards."""
    source = folder / BUCKET / KEY
    try:
        for megabytes in sizes:
            source.parent.mkdir(parents=True, exist_ok=True)
            write_orders(source, megabytes * MEGABYTE)
            for way in WAYS:
                yield _read(way, folder, megabytes)
                shutil.rmtree(folder / OUTPUT, ignore_errors=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_orders(path: Path, size: int) -> None:
    """A CSV file of about ``size`` bytes: a quarter of its rows have quotes."""
    with path.open("w", newline="") as file:
        written = file.write(HEADER)
        number = 0
        while written < size:
            written += file.write(order(number))
            number += 1


def order(number: int) -> str:
    """The row with this number, from 0."""
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
    root = Path(__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    seconds = max(LEAST_SECONDS, megabytes * SECONDS_PER_MEGABYTE)
    try:
        run = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "benchmarks.csv_files", way, str(folder)],
            env=environment,
            stdout=subprocess.PIPE,
            check=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return Reading(way, megabytes, 0, seconds, 0)
    return Reading(way, megabytes, **json.loads(run.stdout))


class FileStore:
    """S3 with a folder beneath it: as much of its client as the csv_file function uses.

    Objects are files; a bucket is a folder below ``root``.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def get_object(self, **arguments: str) -> dict[str, Any]:
        """The object, or the Range of it that is asked for."""
        path = self._path(arguments)
        first, last = 0, path.stat().st_size - 1
        if span := arguments.get("Range"):
            start, end = span.removeprefix("bytes=").split("-")
            first, last = int(start), min(int(end or last), last)
        content = path.open("rb")
        content.seek(first)
        length = last - first + 1
        body = _Body(content, length)
        put_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        found = {"ContentLength": length, "ETag": ETAG, "Metadata": {}, "LastModified": put_at}
        return {"Body": body, **found}

    def head_object(self, **arguments: str) -> dict[str, Any]:
        """None of the results is there before it is written.

        Raises:
            ClientError: always.
        """
        raise ClientError({"Error": {"Code": "404", "Message": arguments["Key"]}}, "HeadObject")

    def put_object(self, Body: bytes | IO[bytes], **arguments: Any) -> Mapping[str, str]:  # noqa: N803 - boto3's
        """Write the object."""
        path = self._path(arguments)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = io.BytesIO(Body) if isinstance(Body, bytes) else Body
        with path.open("wb") as target:
            shutil.copyfileobj(source, target)
        return {"ETag": ETAG}

    def _path(self, arguments: Mapping[str, str]) -> Path:
        return self._root / arguments["Bucket"] / arguments["Key"]


@dataclass
class _Body:
    """What GetObject answers with: up to ``left`` bytes of a file, from where it stands."""

    content: IO[bytes]
    left: int

    def read(self, size: int | None = None) -> bytes:
        block = self.content.read(self.left if size is None else min(size, self.left))
        self.left -= len(block)
        return block

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        return iter(lambda: self.read(size), b"")

    def close(self) -> None:
        self.content.close()


def by_ranges(store: FileStore, size: int) -> int:
    """Rows that became results, range after range."""
    client: Any = store
    state: Any = {"bucket": BUCKET, "key": KEY, "size": size, "etag": "", "sequencer": "0"}
    plan = plan_file(client, state, None, 1000, RANGE_BYTES)
    parts = [process_range(client, OUTPUT, plan["file"], work) for work in plan["ranges"]]
    return sum(part["results"] for part in parts)


def as_a_whole(store: FileStore, _size: int) -> int:
    """Rows that became results, all of them in memory."""
    with closing(store.get_object(Bucket=BUCKET, Key=KEY)["Body"]) as content:
        text = content.read().decode()
    results = []
    for number, row in enumerate(csv.DictReader(io.StringIO(text, newline="")), start=1):
        document: dict[str, Any] = {name: cell for name, cell in row.items() if cell}
        document |= {"quantity": int(row["quantity"]), "data_source": "orders.csv"}
        document["processing_type"] = "order"
        if is_valid("order", document):
            results.append({"row": number, "record": transform_document(document)})
    lines = "".join(f"{json_text(result)}\n" for result in results)
    store.put_object(lines.encode(), Bucket=OUTPUT, Key="whole.jsonl")
    return len(results)


def main(arguments: Sequence[str]) -> None:
    """Read the file below a folder, in the way that is named; print what it took."""
    way, root = arguments
    resource.setrlimit(resource.RLIMIT_AS, (LARGEST_FUNCTION, LARGEST_FUNCTION))
    store = FileStore(Path(root))
    size = (Path(root) / BUCKET / KEY).stat().st_size
    started = time.perf_counter()
    try:
        rows = {RANGES: by_ranges, WHOLE: as_a_whole}[way](store, size)
    except MemoryError:
        rows = 0
    seconds = time.perf_counter() - started
    print(json.dumps({"rows": rows, "seconds": seconds, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1:])
