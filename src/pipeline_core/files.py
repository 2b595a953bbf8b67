"""Files of many rows: what travels between the durable function and csv_file, as JSON."""

from __future__ import annotations

import re
from typing import Literal, NotRequired, TypedDict

from pipeline_core.objects import ObjectState

Format = Literal["csv", "jsonl"]

EmptyCells = Literal["absent", "empty"]


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
    is left out of the record or an empty text; a file that was planned before has it not.
    """

    format: Format
    delimiter: str
    header: list[str]
    processing_type: str
    data_source: str
    empty_cells: NotRequired[EmptyCells]


class Plan(TypedDict):
    """The ranges to work on now, where the row after them starts, and when they were planned."""

    file: File
    ranges: list[Range]
    next: Cursor | None
    completed_at: NotRequired[str]


class Counts(TypedDict):
    """Rows, and how many of them became results and rejects."""

    rows: int
    results: int
    rejects: int


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

METADATA = ("processing-type", "data-source", "delimiter", "empty-cells")
"""The names of an object's metadata that say how a file is to be read."""
