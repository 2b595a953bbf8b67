"""Files of many rows: what travels between the durable function and csv_file, as JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, NotRequired, TypedDict, get_args

from pipeline_core.objects import ObjectState

Format = Literal["csv", "jsonl"]

EmptyCells = Literal["absent", "empty"]

DecimalMark = Literal["point", "comma"]

Encoding = Literal["utf-8", "cp1250", "cp1251", "cp1252", "iso-8859-1", "iso-8859-2", "iso-8859-15"]
"""All have ASCII where UTF-8 has it, and but for UTF-8 a byte for each character: so rows end at
the same bytes in all of them."""

Rows = Literal["results", "items"]
"""What rows become: lines in the file's results, or items of the table as well."""


class Cursor(TypedDict):
    """Where a row starts: bytes from the beginning, its number and its line, both from 1.

    Rows are numbered without the header and what is no row, as blank lines; lines with all of them.
    """

    offset: int
    row: int
    line: int


class Range(TypedDict):
    """Bytes ``start`` up to, not with, ``end``, and number and line of the first row in them."""

    start: int
    end: int
    row: int
    line: int


class File(ObjectState):
    """One state of an object, and how to read it. ``etag`` and ``size`` are always there.

    ``delimiter`` and ``header`` are empty for JSON Lines. ``processing_type`` and ``data_source``
    are those of rows that do not say their own. ``empty_cells`` says whether a field without text
    is left out of the record or an empty text, ``decimal`` what stands before the decimals of a
    number, ``encoding`` what its bytes mean; ``sent_timestamp`` is when the object was put, in
    milliseconds since 1970. A file that was planned before there were these has them not.
    """

    format: Format
    delimiter: str
    header: list[str]
    processing_type: str
    data_source: str
    empty_cells: NotRequired[EmptyCells]
    decimal: NotRequired[DecimalMark]
    encoding: NotRequired[Encoding]
    rows: NotRequired[Rows]
    sent_timestamp: NotRequired[int]


class FileRow(ObjectState):
    """Row ``number``, from 1, of one state of an object."""

    number: int


class Plan(TypedDict):
    """The ranges to work on now, where the row after them starts, and when they were planned."""

    file: File
    ranges: list[Range]
    next: Cursor | None
    completed_at: NotRequired[str]


class Counts(TypedDict):
    """Rows, and how many of them became results and rejects; and items, where they become items."""

    rows: int
    results: int
    rejects: int
    items: NotRequired[int]


class Tally(Counts):
    """Counts, and how many lines, if any, were ``swallowed``.

    That is, a wrong quote has made them part of a row that began before them. The row is a reject;
    how many rows those lines would have been cannot be known.
    """

    swallowed: NotRequired[int]


class Part(Range, Tally):
    """A range that has been worked on: what it came to, and where that lies."""

    results_key: str
    rejects_key: str


FILE_SUFFIXES = (".csv", ".jsonl", ".ndjson")

DOCUMENT_SUFFIX = ".json"

CONTENT_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
}
"""The content type of what is processed, by the suffix of its key."""

COMPRESSED = (".gz", ".zip", ".bz2", ".xz", ".zst")
"""Suffixes of what must be decompressed first."""

UPLOAD_ID = re.compile(r"[0-9a-f]{32}\.(?:csv|json|jsonl)")
"""What the uploads API calls an upload: the last part of its key."""

METADATA = (
    "processing-type",
    "data-source",
    "delimiter",
    "empty-cells",
    "decimal",
    "encoding",
    "rows",
)
"""The names of an object's metadata that say how a file is to be read."""

CHOICES: Mapping[str, tuple[str, ...]] = {
    "empty-cells": get_args(EmptyCells),
    "decimal": get_args(DecimalMark),
    "encoding": get_args(Encoding),
    "rows": get_args(Rows),
}
"""The values that some of them may have; but for ``rows``, the first is what is without it."""

OF_CELLS = ("delimiter", "empty-cells", "decimal")
"""Those that say something of CSV only: JSON Lines have neither cells nor delimiters."""
