"""How a file is to be read, from how it begins: encoding, delimiter, header, first row."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Mapping
from dataclasses import dataclass

from csv_file.source import Head
from csv_file.syntax import InvalidFile, InvalidQuotes, Syntax, check_quotes, csv_syntax
from pipeline_core.files import COMPRESSED, Cursor, Encoding, Format

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
}

_DECOMPRESS = "decompress it first, and upload what is in it"

NO_TEXT = {
    b"PK\x03\x04": (
        "an Excel workbook or another ZIP archive",
        f"save the sheet as 'CSV UTF-8', or {_DECOMPRESS}",
    ),
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": ("an Excel workbook", "save the sheet as 'CSV UTF-8'"),
    b"\x1f\x8b": ("compressed with gzip", _DECOMPRESS),
    b"\x28\xb5\x2f\xfd": ("compressed with zstd", _DECOMPRESS),
    b"\xfd7zXZ\0": ("compressed with xz", _DECOMPRESS),
}
"""How files begin that are no text: what they seem to be, and what to do."""

_QUOTED = re.compile(rb'(?<![^,;\t|\r\n])"[^"]*+(?:""[^"]*+)*+"?')

_NOTHING = re.compile(rb"(?:%b|[ %b]*+[\r\n]++)*" % (codecs.BOM_UTF8, DELIMITERS.encode()))
"""Any number of byte order marks, blank lines and rows of delimiters alone."""

_SEP_LINE = re.compile(rb'("?)sep=([^\r\n]*?)\1(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
"""Excel's first line that names the delimiter: it is no header."""

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
    if key.lower().endswith(COMPRESSED):
        raise InvalidFile(
            "UnknownFormat", [f"{key[-100:]!r} is compressed: {_DECOMPRESS} ({known})"]
        )
    raise InvalidFile("UnknownFormat", [f"{key[-100:]!r} must end in one of: {known}"])


def dialect_of(head: Head, encoding: Encoding = "utf-8") -> Dialect:
    """The dialect of the file that begins with ``head``, whose bytes are of ``encoding``.

    Raises:
        InvalidFile: UnknownFormat, NotUtf8, WrongEncoding, InvalidDelimiter, or InvalidHeader.
    """
    name = format_of(head.state["key"])
    _refuse_foreign(head.content)
    if encoding != "utf-8" and head.content.startswith(codecs.BOM_UTF8):
        problem = f"the file begins as UTF-8 does, and the metadata 'encoding' is {encoding!r}"
        raise InvalidFile("WrongEncoding", [f"{problem}; leave that out, or name the right one"])
    if name == "csv":
        return _csv(head, encoding)
    start = _after_marks(head.content)
    _refuse_nul(head.content[start:].lstrip().split(b"\n", 1)[0])
    return Dialect(name, "", [], {"offset": start, "row": 1, "line": 1})


def _csv(head: Head, encoding: Encoding) -> Dialect:
    start = _after_nothing(head.content, 0)
    sep_line = _SEP_LINE.match(head.content, start)
    if sep_line:
        start = _after_nothing(head.content, sep_line.end())
    content = head.content[start:]
    delimiter = _delimiter(head.metadata, sep_line, encoding) or _most_frequent(content)
    syntax = csv_syntax(delimiter, encoding)
    header = _header(content, syntax, whole=head.whole)
    count_lines = syntax.count_lines
    names = _names(header, 1 + count_lines(head.content[:start]), delimiter, encoding)
    line_break = _LINE_BREAK.match(content, len(header))
    offset = start + (line_break.end() if line_break else len(header))
    line = 1 + count_lines(head.content[:offset])
    return Dialect("csv", delimiter, names, {"offset": offset, "row": 1, "line": line})


def _after_nothing(content: bytes, start: int) -> int:
    nothing = _NOTHING.match(content, start)
    return nothing.end() if nothing else start


def _after_marks(content: bytes) -> int:
    """Where the byte order marks end: programs that add one do not look whether one is there."""
    start = 0
    while content.startswith(codecs.BOM_UTF8, start):
        start += len(codecs.BOM_UTF8)
    return start


def _refuse_foreign(content: bytes) -> None:
    for mark, name in FOREIGN.items():
        if content.startswith(mark):
            raise _not_utf8(f"it seems to be {name}")
    for mark, (name, remedy) in NO_TEXT.items():
        if content.startswith(mark):
            problem = f"the file is not UTF-8 text: it seems to be {name}; {remedy}"
            raise InvalidFile("NotUtf8", [problem])


def _refuse_nul(line: bytes) -> None:
    if b"\0" in line:
        raise _not_utf8("it has NUL bytes, so it seems to be UTF-16 or UTF-32, or no text at all")


def _not_utf8(why: str, remedy: str = "save it as UTF-8") -> InvalidFile:
    return InvalidFile("NotUtf8", [f"the file is not UTF-8 text: {why}; {remedy}"])


def _delimiter(
    metadata: Mapping[str, str], sep_line: re.Match[bytes] | None, encoding: Encoding
) -> str:
    """The delimiter that the object's metadata or its first line names; empty if neither does."""
    value = metadata.get("delimiter", "")
    given = "\t" if value.lower() == "tab" else value
    if given:
        _check_delimiter(given, f"the metadata 'delimiter' is {value[:20]!r}", encoding)
    if not sep_line:
        return given
    named = sep_line[2].decode(encoding, "backslashreplace")
    _check_delimiter(named, f"the first line is {f'sep={named[:20]}'!r}", encoding)
    if given not in {"", named}:
        problem = f"the first line is {f'sep={named}'!r}, and the metadata 'delimiter' is {value!r}"
        raise InvalidFile("InvalidDelimiter", [f"{problem}; leave out the one that is wrong"])
    return named


def _check_delimiter(delimiter: str, said: str, encoding: Encoding) -> None:
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise InvalidFile("InvalidDelimiter", [f"{said}; it must be one character, or tab"])
    try:
        delimiter.encode(encoding)
    except UnicodeEncodeError:
        problem = f"{said}, which {encoding} does not have"
        raise InvalidFile("InvalidDelimiter", [f"{problem}; correct one of the two"]) from None


def _most_frequent(content: bytes) -> str:
    line = re.split(rb"[\r\n]", _QUOTED.sub(b"", content), maxsplit=1)[0]
    return max(DELIMITERS, key=lambda delimiter: line.count(delimiter.encode()))


def _header(content: bytes, syntax: Syntax, *, whole: bool) -> bytes:
    """The first row, which ``content`` begins with, without its line break."""
    row = syntax.row.match(content)
    header = row.group().rstrip(b"\r\n") if row else b""
    if row and row.lastindex:  # a quote is not closed: the row goes on to the end
        header = content
    _refuse_nul(header)
    if len(header) > MAX_HEADER_BYTES or (not whole and len(header) + 1 >= len(content)):
        raise InvalidFile("InvalidHeader", [_too_long(header)])
    return header


def _too_long(header: bytes) -> str:
    problem = f"the header, which is the first row, has more than {MAX_HEADER_BYTES:,} bytes"
    if b'"' in header:
        return f"{problem}; probably a quote in it is never closed"
    return f"{problem}; probably the file has no line breaks, or begins with blank lines only"


def _names(header: bytes, line: int, delimiter: str, encoding: Encoding) -> list[str]:
    try:
        text = header.decode(encoding)
    except UnicodeDecodeError as error:
        byte = f"byte 0x{header[error.start]:02X} in the header"
        if encoding != "utf-8":
            problem = f"the file is not {encoding}, which the metadata 'encoding' says ({byte})"
            raise InvalidFile("WrongEncoding", [f"{problem}; name the right one"]) from None
        remedy = "name what it is in the metadata 'encoding', or save it as UTF-8"
        raise _not_utf8(f"it seems to be Windows-1252 or ISO 8859-1 ({byte})", remedy) from None
    try:
        check_quotes(text.encode(), line, delimiter)
    except InvalidQuotes as invalid:
        raise InvalidFile("InvalidHeader", [f"the header: {invalid}"]) from None
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
