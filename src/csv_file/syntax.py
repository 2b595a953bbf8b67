r"""Where rows and lines of CSV end, in bytes, and which quotes a row may have.

What a row of CSV is, Python's ``csv.reader`` defines (not strict, quotes doubled, lines of a file
opened with ``newline=""``). The patterns here say the same about bytes, without reading the row:

- a quote opens a quoted field only where a field starts; elsewhere it is a plain character;
- a quoted field goes on to a quote that is not doubled, over line breaks;
- what follows its closing quote belongs to the field, up to a delimiter or line break;
- a line ends with \n, \r\n or \r.

One thing is ours: a row in which nothing stands is none. That is a blank line, a row of cells in
which nothing but spaces and tabs stand, and a line of end-of-file marks (0x1A), as of DOS.

In UTF-8 no byte of a longer character looks like a quote, a line break or a delimiter. In the other
encodings that a file may have each character is a byte, and those are the same bytes.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from pipeline_core.contract import InvalidRecord
from pipeline_core.files import Encoding


class InvalidFile(InvalidRecord):
    """The file as a whole is wrong and stays wrong: reject it, do not retry."""


class InvalidQuotes(InvalidRecord):
    """What a row's quotes mean is not to be told; so many lines ``swallowed`` went with it."""

    def __init__(self, reason_type: str, error: str, swallowed: int) -> None:
        super().__init__(reason_type, [error])
        self.swallowed = swallowed


MAX_ROW_BYTES = 1024 * 1024

QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'

END_OF_FILE_MARK = b"\x1a"

_MARK = rb"(?:%b)" % codecs.BOM_UTF8
"""Files that were joined bring the mark at their beginning along, into the middle."""

_EMPTY_CELL = rb'(?:"[ \t]*+")?+[ \t]*+'

_EMPTY_FIRST = rb'(?:"%b*+[ \t]*+"[ \t]*+|"%b*+"%b*+[ \t]*+|%b*+[ \t]*+)' % ((_MARK,) * 4)
"""With marks, quoted or not. Only Unicode has marks."""


@dataclass(frozen=True)
class Syntax:
    """Of one format: patterns of a row and of one that is none, what may be in it, how lines end.

    ``row`` matches a row with its line break and those of the blank lines after it. If the row
    opens a quoted field that is not closed in what is searched, group 1 is the opening quote.
    ``line_end`` matches what ends a line, and a row where no quote is, or ``quotes`` mean nothing.
    ``empty`` matches all of a row that is none: it is on one line and has only bytes of ``blank``.
    """

    row: re.Pattern[bytes]
    line_end: re.Pattern[bytes]
    empty: re.Pattern[bytes]
    blank: bytes
    quotes: bool
    whole_lines: Callable[[bytes], int]
    count_lines: Callable[[bytes], int]
    split_lines: Callable[[bytes], list[bytes]]


def _whole_lines(content: bytes) -> int:
    r"""How many of the bytes are whole lines, even if more follow: a last \r may become \r\n."""
    return max(content.rfind(b"\n"), content.rfind(b"\r", 0, max(len(content) - 1, 0))) + 1


def _count_lines(content: bytes) -> int:
    lines = content.count(b"\n")
    if b"\r" in content:
        lines += content.count(b"\r") - content.count(b"\r\n")
    return lines


def _split_lines(content: bytes) -> list[bytes]:
    return content.splitlines(keepends=True)


@cache
def csv_syntax(delimiter: str, encoding: Encoding = "utf-8") -> Syntax:
    """The syntax of CSV with this delimiter, which is one character, in bytes of ``encoding``."""
    encoded = delimiter.encode(encoding)
    one = re.escape(encoded)
    if len(encoded) == 1:
        at_field, in_field = rb"(?<![^%b\r\n])" % one, rb"(?<=[^%b\r\n])" % one
    else:
        at_field = rb"(?:(?<=%b)|(?<![^\r\n]))" % one
        in_field = rb"(?<!%b)(?<=[^\r\n])" % one
    # Not (...)*+, which Python before 3.11.5 gets wrong around alternatives. One of those at the
    # end always matches, so nothing is ever tried again.
    row = rb'(?!\Z)(?:[^"\r\n]++|%b%b|%b")*(?:[\r\n]++|\Z|("))' % (at_field, QUOTED, in_field)
    first, mark = (_EMPTY_FIRST, codecs.BOM_UTF8) if encoding == "utf-8" else (_EMPTY_CELL, b"")
    nothing = rb"%b(?:%b%b)*+" % (first, one, _EMPTY_CELL)
    return Syntax(
        row=re.compile(row),
        line_end=re.compile(rb"[\r\n]++"),
        empty=re.compile(rb"(?:\x1a++|%b)(?:[\r\n]++|\Z)" % nothing),
        blank=b'" \t\r\n\x1a' + mark + encoded,
        quotes=True,
        whole_lines=_whole_lines,
        count_lines=_count_lines,
        split_lines=_split_lines,
    )


@cache
def json_syntax(encoding: Encoding = "utf-8") -> Syntax:
    """The syntax of JSON Lines in bytes of ``encoding``."""
    marks, mark = (rb"%b*" % _MARK, codecs.BOM_UTF8) if encoding == "utf-8" else (b"", b"")
    return Syntax(
        row=re.compile(rb"[^\n]++(?:\n++|\Z)"),
        line_end=re.compile(rb"\n++"),
        empty=re.compile(rb"%b[ \t\r\v\f\x1a]*+(?:\n++|\Z)" % marks),
        blank=b" \t\r\v\f\n\x1a" + mark,
        quotes=False,
        whole_lines=lambda content: content.rfind(b"\n") + 1,
        count_lines=lambda content: content.count(b"\n"),
        split_lines=lambda content: io.BytesIO(content).readlines(),
    )


# Quotes enclose a whole field, and are doubled within it (RFC 4180). One in the middle of a field
# that is not enclosed, as in ``5" pipe``, can only be a character, if no other such field is in its
# row. Of all others nobody knows what they were to enclose: what ``csv.reader`` makes of them may
# be wrong without a sign, so they are refused.

REMEDY = (
    "let quotes enclose a whole field, from its first character to its last, and double those "
    'within it ("5"" pipe")'
)

_BLANK = b" \t\xef\xbb\xbf"

_TYPOGRAPHIC = re.compile("[\u201c-\u201f]")


class _Fault(NamedTuple):
    """What is wrong with the quotes of the field in ``column``, at the offset ``start`` of the row.

    Columns count from 1. Without a ``problem`` it is that a quote is not closed.
    """

    column: int
    start: int
    problem: str


def check_quotes(row: bytes, line: int, delimiter: str, header: Sequence[str] = ()) -> None:
    """Refuse the row that starts in ``line`` if its quotes may not be what a reader takes them for.

    Raises:
        InvalidQuotes: of type UnclosedQuote or MisplacedQuote; names line, column and remedy.
    """
    if _well_formed(delimiter).fullmatch(row):
        return
    if fault := _fault(row, delimiter):
        raise _invalid(fault, row, line, delimiter, header)


@cache
def _well_formed(delimiter: str) -> re.Pattern[bytes]:
    """Of a row each of whose fields is enclosed in quotes or has none."""
    one = re.escape(delimiter.encode())
    single = len(delimiter.encode()) == 1
    text = rb'[^"%b\r\n]*+' % one if single else rb'(?:(?!%b)[^"\r\n])*+' % one
    field = rb"(?:%b(?=%b|[\r\n]|\Z))?+%b" % (QUOTED, one, text)
    return re.compile(rb"%b(?:%b%b)*+[\r\n]*+" % (field, one, field))


@cache
def _field(delimiter: str) -> re.Pattern[bytes]:
    """Of a field as `csv.reader` has it: group 1 is enclosed in quotes, group 2 is what follows."""
    one = re.escape(delimiter.encode())
    return re.compile(rb"(?:\A|%b)(%b)?((?:(?!%b)[^\r\n])*+)" % (one, QUOTED, one))


def _fault(row: bytes, delimiter: str) -> _Fault | None:
    """The first there is, if any."""
    lone = 0
    for column, field in enumerate(_field(delimiter).finditer(row), start=1):
        enclosed, rest = field.groups()
        start = field.start(2) if enclosed is None else field.start(1)
        problem = _problem(enclosed, rest)
        if problem is None and enclosed is None and b'"' in rest:
            problem = _of_two(lone, column) if lone else None
            lone = column
        if problem is not None:
            return _Fault(column, start, problem)
    return None


def _problem(enclosed: bytes | None, rest: bytes) -> str | None:
    """What is wrong with a field by itself."""
    if enclosed is not None:
        return "text follows the quote that closes the field" if rest else None
    if rest.startswith(b'"'):
        return ""
    if rest.lstrip(_BLANK).startswith(b'"'):
        return "a quote that follows a blank encloses nothing"
    if rest.rstrip(_BLANK).endswith(b'"'):
        return "a quote ends the field that none has opened"
    return None


def _of_two(one: int, other: int) -> str:
    return (
        f"quotes stand within the fields of columns {one} and {other}, which none encloses, so "
        "what lies between them may belong together"
    )


def _invalid(
    fault: _Fault, row: bytes, line: int, delimiter: str, header: Sequence[str]
) -> InvalidQuotes:
    count_lines = csv_syntax(delimiter).count_lines
    swallowed = count_lines(row.rstrip(b"\r\n"))
    place = f"line {line + count_lines(row[: fault.start])}, column {fault.column}"
    if fault.column <= len(header):
        place += f" ({header[fault.column - 1][:100]})"
    together = f"; lines {line} to {line + swallowed} were read as one row" if swallowed else ""
    if fault.problem:
        error = f"{place}: {fault.problem}{together}; {REMEDY}"
        return InvalidQuotes("MisplacedQuote", error, swallowed)
    typographic = _TYPOGRAPHIC.search(row[fault.start :].decode("utf-8", "replace"))
    hint = " (a typographic quote closes nothing)" if typographic else ""
    error = (
        f"the quote that opens in {place}, is never closed{hint}{together}; close it, or {REMEDY}"
    )
    return InvalidQuotes("UnclosedQuote", error, swallowed)
