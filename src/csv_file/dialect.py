"""How a file is to be read, from how it begins: encoding, delimiter, header, first row."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from csv_file.contract import Cursor, Format, InvalidFile
from csv_file.source import HEAD_BYTES, Head
from csv_file.syntax import csv_syntax

MAX_COLUMNS = 1000

MAX_HEADER_BYTES = 64 * 1024
"""The header travels with each range, and its names stand in each result."""

DELIMITERS = ",;\t|"
"""Those that are recognised; of two that are as frequent, the first."""

FORMATS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}

FOREIGN = {
    codecs.BOM_UTF32_LE: "UTF-32",  # begins as UTF-16 does, so it comes first
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
    b"PK\x03\x04": "an Excel workbook or another ZIP archive",
    b"\x1f\x8b": "compressed with gzip",
}

_QUOTED = re.compile(rb'(?<![^,;\t|\r\n])"[^"]*+(?:""[^"]*+)*+"?')

_LINE_BREAK = re.compile(rb"\r\n|\r|\n|\Z")


@dataclass(frozen=True)
class Dialect:
    """How to read a file, and where its first row may start."""

    format: Format
    delimiter: str
    header: list[str]
    first: Cursor


def format_of(key: str) -> Format:
    """The format that the end of ``key`` names.

    Raises:
        InvalidFile: it names none.
    """
    for suffix, name in FORMATS.items():
        if key.lower().endswith(suffix):
            return name
    known = ", ".join(FORMATS)
    raise InvalidFile("UnknownFormat", [f"{key[-100:]!r} must end in one of: {known}"])


def dialect_of(head: Head) -> Dialect:
    """The dialect of the file that begins with ``head``.

    Raises:
        InvalidFile: UnknownFormat, NotUtf8, InvalidDelimiter, or InvalidHeader.
    """
    name = format_of(head.state["key"])
    _refuse_foreign(head.content)
    if name == "csv":
        return _csv(head)
    start = _after_mark(head.content)
    _refuse_nul(head.content[start:].lstrip().split(b"\n", 1)[0])
    return Dialect(name, "", [], {"offset": start, "row": 1, "line": 1})


def _csv(head: Head) -> Dialect:
    mark = _after_mark(head.content)
    start = len(head.content) - len(head.content[mark:].lstrip(b"\r\n"))
    delimiter = _given(head.metadata) or _most_frequent(head.content[start:])
    end = _header_end(head, start, delimiter)
    header = _names(head.content[start:end], delimiter)
    line_break = _LINE_BREAK.match(head.content, end)
    offset = line_break.end() if line_break else end
    line = 1 + csv_syntax(delimiter).count_lines(head.content[mark:offset])
    return Dialect("csv", delimiter, header, {"offset": offset, "row": 1, "line": line})


def _after_mark(content: bytes) -> int:
    return len(codecs.BOM_UTF8) if content.startswith(codecs.BOM_UTF8) else 0


def _refuse_foreign(content: bytes) -> None:
    for mark, name in FOREIGN.items():
        if content.startswith(mark):
            raise _not_utf8(f"it seems to be {name}")


def _refuse_nul(line: bytes) -> None:
    if b"\0" in line:
        raise _not_utf8("it has NUL bytes, so it seems to be UTF-16 or UTF-32, or no text at all")


def _not_utf8(why: str) -> InvalidFile:
    return InvalidFile("NotUtf8", [f"the file is not UTF-8 text: {why}; save it as UTF-8"])


def _given(metadata: Mapping[str, str]) -> str:
    """The delimiter that the object's metadata names; empty if none."""
    value = metadata.get("delimiter", "")
    delimiter = "\t" if value.lower() == "tab" else value
    if len(delimiter) > 1 or delimiter in {'"', "\r", "\n", "\0"}:
        raise InvalidFile(
            "InvalidDelimiter",
            [f"the metadata 'delimiter' is {value[:20]!r}; it must be one character, or tab"],
        )
    return delimiter


def _most_frequent(content: bytes) -> str:
    line = re.split(rb"[\r\n]", _QUOTED.sub(b"", content), maxsplit=1)[0]
    return max(DELIMITERS, key=lambda delimiter: line.count(delimiter.encode()))


def _header_end(head: Head, start: int, delimiter: str) -> int:
    """Where the header's row ends, without its line break."""
    found = csv_syntax(delimiter).row.match(head.content, start)
    if found is None:
        end = start
    elif found.lastindex:
        end = len(head.content)  # its quoted field goes on to the end
    else:
        end = start + len(found.group().rstrip(b"\r\n"))
    _refuse_nul(head.content[start:end])
    if end - start > MAX_HEADER_BYTES or (not head.whole and end + 1 >= HEAD_BYTES):
        raise InvalidFile("InvalidHeader", [_too_long(head.content[start:end])])
    return end


def _too_long(header: bytes) -> str:
    problem = f"the header, which is the first row, has more than {MAX_HEADER_BYTES:,} bytes"
    if b'"' in header:
        return f"{problem}; probably a quote in it is never closed"
    return f"{problem}; probably the file has no line breaks, or begins with blank lines only"


def _names(header: bytes, delimiter: str) -> list[str]:
    try:
        text = header.decode()
    except UnicodeDecodeError as error:
        byte = f"byte 0x{header[error.start]:02X} in the header"
        raise _not_utf8(f"it seems to be Windows-1252 or ISO 8859-1 ({byte})") from None
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    names = [name.strip() for name in next(rows, [])]
    if errors := _wrong(names):
        raise InvalidFile("InvalidHeader", errors)
    return names


def _wrong(names: list[str]) -> list[str]:
    if len(names) > MAX_COLUMNS:
        return [f"the header has {len(names):,} columns; it may have {MAX_COLUMNS:,}"]
    columns: dict[str, list[int]] = {}
    for column, name in enumerate(names, start=1):
        columns.setdefault(name, []).append(column)
    nameless = [f"column {column} of the header has no name" for column in columns.pop("", [])]
    return nameless + [
        f"the name {name[:100]!r} stands in columns {', '.join(map(str, places))} of the header"
        for name, places in columns.items()
        if len(places) > 1
    ]
