r"""Where rows and lines end, in bytes.

What a row of CSV is, Python's ``csv.reader`` defines (not strict, quotes doubled, lines of a file
opened with ``newline=""``). The patterns here say the same about bytes, without reading the row:

- a quote opens a quoted field only where a field starts; elsewhere it is a character as any other;
- a quoted field goes on to a quote that is not doubled, over line breaks;
- what follows its closing quote belongs to the field, up to a delimiter or line break;
- a line ends with \n, \r\n or \r.

One thing is ours: a row in which nothing stands is none. That is a blank line, a row of cells in
which nothing but spaces and tabs stand, and a line of end-of-file marks (0x1A), as of DOS.

In UTF-8 no byte of a longer character looks like a quote, a line break or a delimiter.
"""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

MAX_ROW_BYTES = 1024 * 1024

QUOTED = rb'"[^"]*+(?:""[^"]*+)*+"'

END_OF_FILE_MARK = b"\x1a"

_MARK = rb"(?:%b)" % codecs.BOM_UTF8
"""Files that were joined bring the mark at their beginning along, into the middle."""

_EMPTY_CELL = rb'(?:"[ \t]*+")?+[ \t]*+'


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
def csv_syntax(delimiter: str) -> Syntax:
    """The syntax of CSV with this delimiter, which is one character."""
    one = re.escape(delimiter.encode())
    if len(delimiter.encode()) == 1:
        at_field, in_field = rb"(?<![^%b\r\n])" % one, rb"(?<=[^%b\r\n])" % one
    else:
        at_field = rb"(?:(?<=%b)|(?<![^\r\n]))" % one
        in_field = rb"(?<!%b)(?<=[^\r\n])" % one
    # Not (...)*+, which Python before 3.11.5 gets wrong around alternatives. One of those at the
    # end always matches, so nothing is ever tried again.
    row = rb'(?!\Z)(?:[^"\r\n]++|%b%b|%b")*(?:[\r\n]++|\Z|("))' % (at_field, QUOTED, in_field)
    first = rb"(?:%b+[ \t]*+|%b)" % (_MARK, _EMPTY_CELL)
    return Syntax(
        row=re.compile(row),
        line_end=re.compile(rb"[\r\n]++"),
        empty=re.compile(rb"(?:\x1a++|%b(?:%b%b)*+)(?:[\r\n]++|\Z)" % (first, one, _EMPTY_CELL)),
        blank=b'" \t\r\n\x1a' + codecs.BOM_UTF8 + delimiter.encode(),
        quotes=True,
        whole_lines=_whole_lines,
        count_lines=_count_lines,
        split_lines=_split_lines,
    )


JSON_LINES = Syntax(
    row=re.compile(rb"[^\n]++(?:\n++|\Z)"),
    line_end=re.compile(rb"\n++"),
    empty=re.compile(rb"%b*[ \t\r\v\f\x1a]*+(?:\n++|\Z)" % _MARK),
    blank=b" \t\r\v\f\n\x1a" + codecs.BOM_UTF8,
    quotes=False,
    whole_lines=lambda content: content.rfind(b"\n") + 1,
    count_lines=lambda content: content.count(b"\n"),
    split_lines=lambda content: io.BytesIO(content).readlines(),
)
