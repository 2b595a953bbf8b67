"""Reads content range by range, as the function does, and in one pass, as it must come out."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from csv_file.planning import RowStarts, cut, described, syntax_of
from csv_file.rows import rows_of
from csv_file.source import HEAD_BYTES, Head
from pipeline_core.files import Cursor, File, Format, Range

BEGINNING: Cursor = {"offset": 0, "row": 1, "line": 1}


class Read(NamedTuple):
    """A row: number, line, fields."""

    number: int
    line: int
    fields: list[str]


def a_file(content: bytes, delimiter: str = ",", format: Format = "csv") -> File:  # noqa: A002 - as in File
    return {
        "bucket": "input",
        "key": f"input/rows.{format}",
        "etag": "e",
        "size": len(content),
        "sequencer": "0",
        "format": format,
        "delimiter": delimiter,
        "header": [],
        "processing_type": "standard",
        "data_source": "rows.csv",
    }


def a_head(content: bytes, key: str = "input/rows.csv", **metadata: str) -> Head:
    return Head(
        {"bucket": "input", "key": key, "etag": "e", "size": len(content), "sequencer": "0"},
        {name.replace("_", "-"): value for name, value in metadata.items()},
        content[:HEAD_BYTES],
        whole=len(content) <= HEAD_BYTES,
    )


def in_blocks(content: bytes, block_bytes: int) -> Iterator[bytes]:
    for start in range(0, len(content), block_bytes):
        yield content[start : start + block_bytes]


def planned(
    content: bytes,
    file: File,
    range_bytes: int,
    *,
    max_ranges: int = 1_000_000,
    block_bytes: int = 1_000_000,
    at: Cursor = BEGINNING,
) -> list[Range]:
    """The ranges of all plans, each of ``max_ranges``, the next from where the last one ended."""
    ranges: list[Range] = []
    start: Cursor | None = at
    while start is not None:
        rest = in_blocks(content[start["offset"] :], block_bytes)
        starts = RowStarts(rest, start, syntax_of(file))
        more, start = cut(starts, start["offset"], len(content), max_ranges, range_bytes)
        assert len(more) <= max_ranges
        assert start is None or more
        ranges += more
    return ranges


def by_ranges(
    content: bytes, file: File, ranges: list[Range], block_bytes: int = 1_000_000
) -> list[Read]:
    """The rows of each range, read on its own."""
    return [
        Read(row.number, row.line, row.fields)
        for work in ranges
        for row in rows_of(file, work, in_blocks(content[work["start"] : work["end"]], block_bytes))
    ]


def in_one_pass(content: bytes, delimiter: str = ",") -> list[Read]:
    """What ``csv.reader`` says, without rows in which nothing stands."""
    parsed = list(_parsed(content, delimiter))
    is_open = ends_in_quotes(content, delimiter)
    rows: list[Read] = []
    line = 1
    for index, (fields, end) in enumerate(parsed, start=1):
        if not is_empty(fields) or (is_open and index == len(parsed)):
            rows.append(Read(len(rows) + 1, line, fields))
        line = end + 1
    return rows


def _parsed(content: bytes, delimiter: str) -> Iterator[tuple[list[str], int]]:
    """The fields of each row, and the line that it ends in."""
    text = io.TextIOWrapper(io.BytesIO(content), "utf-8", newline="")
    reader = csv.reader(text, delimiter=delimiter)
    for fields in reader:
        yield fields, reader.line_num


def is_empty(fields: list[str]) -> bool:
    """Whether it is no row, unless its last quote is not closed."""
    first, *others = fields or [""]
    if first and not others and not first.strip("\x1a"):
        return True
    cells = [first.lstrip("\ufeff"), *others]
    return not any(cell.strip(" \t") for cell in cells)


def ends_in_quotes(content: bytes, delimiter: str) -> bool:
    """Whether a quote is still open at the end: then another line becomes part of its field."""
    *_, (last, _) = _parsed(content + b"\nNEXT", delimiter)
    return last != ["NEXT"]


def all_rows(content: bytes, range_bytes: int, **metadata: str) -> list[dict[str, str]]:
    """The rows of a file with a header, by column, read range by range."""
    file, first = described(a_head(content, **metadata))
    ranges = planned(content, file, range_bytes, at=first)
    rows = by_ranges(content, file, ranges)
    return [dict(zip(file["header"], row.fields, strict=True)) for row in rows]
