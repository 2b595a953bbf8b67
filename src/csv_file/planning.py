"""Plans a file: what it is, how to read it, and ranges that start where a row starts."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import TYPE_CHECKING, cast

from csv_file.dialect import dialect_of
from csv_file.source import Head, blocks, read_head
from csv_file.syntax import MAX_ROW_BYTES, InvalidFile, Syntax, csv_syntax, json_syntax
from pipeline_core.files import (
    CHOICES,
    METADATA,
    Cursor,
    DecimalMark,
    EmptyCells,
    Encoding,
    File,
    Plan,
    Range,
    Rows,
)
from pipeline_core.objects import ObjectState
from validate.rules import processing_types

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


# What a file is: its dialect, and the processing type and source of its rows.

DEFAULT_TYPE = "standard"


def described(head: Head, rows: Rows = "results") -> tuple[File, Cursor]:
    """The file that begins with ``head``, and where its first row may start.

    Its rows become ``rows``, unless its metadata say otherwise.

    Raises:
        InvalidFile: the file is rejected as a whole.
    """
    given = head.metadata
    metadata = {name: _decoded(name, given[name]) for name in METADATA if name in given}
    chosen = {name: _chosen(name, metadata) for name in CHOICES}
    encoding = cast("Encoding", chosen["encoding"])
    dialect = dialect_of(replace(head, metadata=metadata), encoding)
    file: File = {
        **head.state,
        "format": dialect.format,
        "delimiter": dialect.delimiter,
        "header": dialect.header,
        "processing_type": _processing_type(head.state["key"], metadata),
        "data_source": metadata.get("data-source") or head.state["key"].rsplit("/", 1)[-1],
        "empty_cells": cast("EmptyCells", chosen["empty-cells"]),
        "decimal": cast("DecimalMark", chosen["decimal"]),
        "encoding": encoding,
        "rows": cast("Rows", metadata.get("rows") or rows),
        "sent_timestamp": head.put_at,
    }
    return file, dialect.first


def syntax_of(file: File) -> Syntax:
    """Where the file's rows and lines end, in its own bytes."""
    encoding = file.get("encoding", "utf-8")
    if file["format"] == "csv":
        return csv_syntax(file["delimiter"], encoding)
    return json_syntax(encoding)


def _decoded(name: str, value: str) -> str:
    """The value as text: S3 gives what is not ASCII as RFC 2047 has it, ``=?UTF-8?B?...?=``.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, binascii.Error, LookupError, UnicodeError):
        problem = f"the metadata {name[:100]!r} is {value[:100]!r}, which is not as RFC 2047 has it"
        raise InvalidFile(
            "InvalidMetadata", [f"{problem}; write it as =?UTF-8?B?<base64>?="]
        ) from None


def _chosen(name: str, metadata: Mapping[str, str]) -> str:
    """The value of the metadata ``name``, or the first of those that it may have."""
    value = metadata.get(name) or CHOICES[name][0]
    if value in CHOICES[name]:
        return value
    names = ", ".join(CHOICES[name])
    raise InvalidFile(
        "InvalidMetadata", [f"the metadata {name!r} is {value[:100]!r}; it must be one of: {names}"]
    )


def _processing_type(key: str, metadata: Mapping[str, str]) -> str:
    """The type in the metadata, else that of the folder below the door, else the default."""
    name = metadata.get("processing-type")
    if not name:
        folders = key.split("/")[1:-1]
        return folders[0] if folders and folders[0] in processing_types() else DEFAULT_TYPE
    if name not in processing_types():
        known = ", ".join(processing_types())
        raise InvalidFile(
            "UnknownProcessingType",
            [f"the metadata 'processing-type' is {name[:100]!r}; it must be one of: {known}"],
        )
    return name


# Finds where rows start, in one pass over a file, and cuts it there into ranges.

ITEMS_RANGE_BYTES = 64 * 1024
"""The most that a range has where rows become items. To write those takes far longer, so an
invocation has time for less, and after a crash repeats less."""


def plan_file(
    client: S3Client,
    state: ObjectState,
    start: Cursor | None,
    max_ranges: int,
    range_bytes: int,
    rows: Rows = "results",
) -> Plan:
    """What the file is, and its ranges from ``start`` on: at most so many, of about so many bytes.

    Its rows become ``rows``, unless its metadata say otherwise.

    Raises:
        InvalidFile: the file is rejected as a whole.
        Gone: the object is not, or no longer, in ``state``.
    """
    file, first = described(read_head(client, state), rows)
    if file.get("rows") == "items":
        range_bytes = min(range_bytes, ITEMS_RANGE_BYTES)
    at = start or first
    if at["offset"] >= file["size"]:
        return {"file": file, "ranges": [], "next": None}
    with blocks(client, file, at["offset"]) as content:
        starts = RowStarts(content, at, syntax_of(file))
        ranges, following = cut(starts, at["offset"], file["size"], max_ranges, range_bytes)
    return {"file": file, "ranges": ranges, "next": following}


def cut(
    starts: RowStarts, offset: int, size: int, max_ranges: int, range_bytes: int
) -> tuple[list[Range], Cursor | None]:
    """Ranges of whole rows from ``offset`` on, and where the row after them starts, if any.

    A range has ``range_bytes`` and the rest of the row that they end in; the last one less.
    """
    ranges: list[Range] = []
    start = starts.first_from(offset)
    while start is not None and len(ranges) < max_ranges:
        following = starts.first_from(start["offset"] + max(range_bytes, 1))
        end = following["offset"] if following else size
        ranges.append(
            {"start": start["offset"], "end": end, "row": start["row"], "line": start["line"]}
        )
        start = following
    return ranges, start


class RowStarts:
    """Where rows start, in one pass forward over ``content`` from a row's start on.

    ``content`` comes in blocks of at most `MAX_ROW_BYTES`. What is kept of it is one block and the
    row that it ends in, never more than two of `MAX_ROW_BYTES`.
    """

    def __init__(self, content: Iterator[bytes], at: Cursor, syntax: Syntax) -> None:
        self._content = content
        self._syntax = syntax
        self._buffer = b""
        self._buffer_offset = at["offset"]
        self._position = 0  # in the buffer: all before it has been passed
        self._whole = 0  # in the buffer: lines are whole up to here
        self._plain = False  # each line in the buffer is a row or none
        self._ended = False
        self._row = at["row"]
        self._line = at["line"]

    def first_from(self, offset: int) -> Cursor | None:
        """The first row that starts at ``offset`` or beyond; None if there is none.

        Raises:
            InvalidFile: a row before it is too large.
        """
        while self._find_row():
            if self._here >= offset:
                return {"offset": self._here, "row": self._row, "line": self._line}
            if not self._pass_rows(offset):
                self._load()
        return None

    @property
    def _here(self) -> int:
        return self._buffer_offset + self._position

    def _find_row(self) -> bool:
        """Go to the next row, over lines that are none; False if there is none."""
        while True:
            while self._position < self._whole:
                empty = self._syntax.empty.match(self._buffer, self._position, self._whole)
                if not empty:
                    return True
                self._advance(empty.end())
            if self._ended:
                return False
            self._load()

    def _pass_rows(self, offset: int) -> bool:
        """Go over rows that start before ``offset``; False if not one is whole yet."""
        self._refuse_large()
        target = offset - self._buffer_offset
        end, rows = self._plain_rows(target) if self._plain else self._rows(target)
        self._advance(end)
        self._row += rows
        return rows > 0

    def _rows(self, target: int) -> tuple[int, int]:
        """Where the first row ends that ends at ``target`` or beyond, and rows up to there."""
        end, rows = self._position, 0
        for row in self._syntax.row.finditer(self._buffer, self._position, self._whole):
            if row.lastindex:  # a quote is not closed: the row goes on, or to the file's end
                return (self._whole, rows + 1) if self._ended else (end, rows)
            end = row.end()
            rows += not self._is_empty(row)
            if end >= target:
                break
        return end, rows

    def _is_empty(self, row: re.Match[bytes]) -> bool:
        start, end = row.span()
        if self._buffer[start] not in self._syntax.blank:  # of most rows this tells, and fast
            return False
        return self._syntax.empty.fullmatch(self._buffer, start, end) is not None

    def _plain_rows(self, target: int) -> tuple[int, int]:
        """As `_rows` does, but faster, where no quote makes a row of several lines."""
        search_from = min(max(target - 1, self._position), self._whole)
        found = self._syntax.line_end.search(self._buffer, search_from, self._whole)
        end = found.end() if found else self._whole
        lines = self._syntax.split_lines(self._buffer[self._position : end])
        blank = [line for line in lines if not line.strip(self._syntax.blank)]
        return end, len(lines) - sum(bool(self._syntax.empty.fullmatch(line)) for line in blank)

    def _advance(self, position: int) -> None:
        self._line += self._syntax.count_lines(self._buffer[self._position : position])
        self._position = position

    def _load(self) -> None:
        """Read another block after what has not been passed: part of a row, or nothing."""
        self._buffer = self._buffer[self._position :]
        self._buffer_offset += self._position
        self._position = 0
        self._whole = len(self._buffer)
        if self._whole > MAX_ROW_BYTES + len("\r"):  # that of a line break not read yet
            raise self._too_large()
        block = next(self._content, None)
        if block is None:
            self._ended = True
            return
        self._buffer += block
        self._whole = self._syntax.whole_lines(self._buffer)
        self._plain = not (self._syntax.quotes and b'"' in self._buffer)

    def _refuse_large(self) -> None:
        """Only the first row of the buffer can be too large: it alone began before the block."""
        if self._whole - self._position <= MAX_ROW_BYTES:
            return
        row = self._syntax.row.match(self._buffer, self._position, self._whole)
        if row and len(row.group().rstrip(b"\r\n")) > MAX_ROW_BYTES:
            raise self._too_large()

    def _too_large(self) -> InvalidFile:
        where = f"row {self._row} in line {self._line}"
        problem = f"{where} has more than {MAX_ROW_BYTES:,} bytes, the most a row may have"
        return InvalidFile("RowTooLarge", [f"{problem}; probably {self._cause()}"])

    def _cause(self) -> str:
        row = self._syntax.row.match(self._buffer, self._position, self._whole)
        if row and row.lastindex:
            before = self._buffer[self._position : row.start(1)]
            line = self._line + self._syntax.count_lines(before)
            return f"the quote that opens in line {line} is never closed"
        if row and self._syntax.count_lines(row.group().rstrip(b"\r\n")):
            return "a quote in it is missing"
        return "a line break in it is missing"
