"""Reads one CSV file in one of two ways, in a process of its own so that its memory can be told.

``ranges`` is the csv_file function: plan, then range after range, as one warm execution environment
works on them. ``whole`` is the single function that one writes first: read the object, go through
it with `csv.DictReader`, validate and transform by the same rules, put all results as one object.
"""

from __future__ import annotations

import csv
import io
import json
import resource
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks.file_store import FileStore
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

RANGE_BYTES = 16 * 1024 * 1024
"""RangeSize's default in the template."""

LARGEST_FUNCTION = 10_240 * 1024 * 1024
"""https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


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


def peak_bytes() -> int:
    """The most memory that this process has had."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage counts what the parent had when it forked, too
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


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
