"""Memory while a file is planned and worked on: the same whatever its size."""

from __future__ import annotations

import io
import re
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from csv_file.parts import process_range
from csv_file.planning import plan_file
from pipeline_core.files import Cursor
from pipeline_core.objects import ObjectState

HEADER = b"id,text,more\n"
ROW = b'12345,"some ""text"",\nover two lines",' + b"x" * 985 + b"\n"


class Body(io.RawIOBase):
    """The bytes of a span of the file, made as they are read."""

    def __init__(self, start: int, end: int) -> None:
        self.position, self.end = start, end

    def read(self, size: int = -1) -> bytes:
        end = self.end if size < 0 else min(self.position + size, self.end)
        start, self.position = self.position, end
        first, last = (max(at - len(HEADER), 0) // len(ROW) for at in (start, end))
        rows = ROW * (last - first + 1)
        head = HEADER if first == 0 else b""
        offset = 0 if first == 0 else len(HEADER) + first * len(ROW)
        return (head + rows)[start - offset : end - offset]

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        while block := self.read(size):
            yield block


class GeneratedS3:
    """S3 with one object of ``rows`` rows, that keeps nothing of what is put."""

    def __init__(self, rows: int) -> None:
        self.size = len(HEADER) + rows * len(ROW)
        self.results = 0

    def get_object(self, **request: Any) -> dict[str, Any]:
        start, end = re.fullmatch(r"bytes=(\d+)-(\d*)", request.get("Range", "bytes=0-")).groups()  # type: ignore[union-attr]  # it matches
        body = Body(int(start), int(end) + 1 if end else self.size)
        found = {"ETag": '"e"', "ContentLength": body.end, "Metadata": {}}
        return {"Body": body, "LastModified": datetime.now(UTC), **found}

    def head_object(self, **_: Any) -> None:
        raise ClientError({"Error": {"Code": "404", "Message": ""}}, "HeadObject")

    def put_object(self, **request: Any) -> None:
        for block in iter(lambda: request["Body"].read(65536), b""):
            self.results += block.count(b"\n")


def work_through(rows: int) -> None:
    s3: Any = GeneratedS3(rows)
    state: ObjectState = {"bucket": "input", "key": "input/a.csv", "sequencer": "0"}
    at: Cursor | None = None
    while True:
        plan = plan_file(s3, state, at, max_ranges=2, range_bytes=500_000)
        for work in plan["ranges"]:
            process_range(s3, "output", plan["file"], work)
        if (at := plan["next"]) is None:
            break
    assert s3.results == rows


def peak(rows: int) -> int:
    """Bytes of memory, at most, for a file of about ``rows`` kilobytes."""
    tracemalloc.start()
    try:
        work_through(rows)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.timeout(120)
def test_ten_times_the_file_takes_no_more_memory() -> None:
    work_through(10)  # imports, caches

    small, large = peak(2_000), peak(20_000)

    assert large < small + 256 * 1024
