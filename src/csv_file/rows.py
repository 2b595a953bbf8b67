"""The rows in a range of a file, each with its number, its line and its bytes."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from csv_file.syntax import MAX_ROW_BYTES, Syntax, csv_syntax, json_syntax
from pipeline_core.files import File, Range


class Row(NamedTuple):
    """One row. ``raw`` has its line break; ``fields`` are those of CSV, none for JSON Lines.

    ``raw`` is UTF-8, whatever the file's encoding. A byte that is not of it stays as it is there,
    and is a lone surrogate in the fields (PEP 383).
    """

    number: int
    line: int
    raw: bytes
    fields: list[str]


def rows_of(file: File, work: Range, content: Iterable[bytes]) -> Iterator[Row]:
    """The rows in ``content``, the bytes of the range ``work``, in order."""
    content = _as_utf8(content, file)
    if file["format"] == "csv":
        syntax = csv_syntax(file["delimiter"])
        return _csv_rows(_lines(content, syntax), work, syntax, file["delimiter"])
    syntax = json_syntax()
    return _json_rows(_lines(content, syntax), work, syntax)


def _as_utf8(content: Iterable[bytes], file: File) -> Iterable[bytes]:
    encoding = file.get("encoding", "utf-8")
    if encoding == "utf-8":
        return content
    escape = "surrogateescape"
    # Of all others each byte is a character, so a block may end anywhere.
    return (block.decode(encoding, escape).encode("utf-8", escape) for block in content)


def _lines(content: Iterable[bytes], syntax: Syntax) -> Iterator[bytes]:
    """The lines in ``content``, with their line breaks."""
    rest = b""
    for block in content:
        rest += block
        whole = syntax.whole_lines(rest)
        yield from syntax.split_lines(rest[:whole])
        rest = rest[whole:]
    yield from syntax.split_lines(rest)


def _csv_rows(lines: Iterator[bytes], work: Range, syntax: Syntax, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(2 * MAX_ROW_BYTES)  # the reader's own limit is that of a row, not of it
    read: list[bytes] = []
    number, line = work["row"], work["line"]
    for fields in csv.reader(_decoded(lines, read), delimiter=delimiter):
        raw = b"".join(read)
        if raw.strip(syntax.blank) or not syntax.empty.fullmatch(raw):
            yield Row(number, line, raw, fields)
            number += 1
        line += len(read)
        read.clear()


def _decoded(lines: Iterator[bytes], read: list[bytes]) -> Iterator[str]:
    """The lines as text; those that the reader has taken for its row are in ``read``."""
    for line in lines:
        read.append(line)
        yield line.decode("utf-8", "surrogateescape")


def _json_rows(lines: Iterator[bytes], work: Range, syntax: Syntax) -> Iterator[Row]:
    number = work["row"]
    for line, raw in enumerate(lines, start=work["line"]):
        if raw.strip(syntax.blank) or not syntax.empty.fullmatch(raw):
            yield Row(number, line, raw, [])
            number += 1
