"""What travels between the durable function and this one, as JSON."""

from __future__ import annotations

from typing import Literal, TypedDict

from shared.contracts import InvalidRecord
from shared.objects import ObjectState

Format = Literal["csv", "jsonl"]


class InvalidFile(InvalidRecord):
    """The file as a whole is wrong and stays wrong: reject it, do not retry."""


class Cursor(TypedDict):
    """Where a row starts: bytes from the beginning, its number and its line, both from 1.

    Rows are numbered without the header and blank lines, lines with all of them.
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
    are those of rows that do not say their own.
    """

    format: Format
    delimiter: str
    header: list[str]
    processing_type: str
    data_source: str


class Plan(TypedDict):
    """The ranges to work on now, and where the row after them starts, if there is one."""

    file: File
    ranges: list[Range]
    next: Cursor | None


class Counts(TypedDict):
    """Rows, and how many of them became results and rejects."""

    rows: int
    results: int
    rejects: int


class Part(Range, Counts):
    """A range that has been worked on: what it came to, and where that lies."""

    results_key: str
    rejects_key: str
