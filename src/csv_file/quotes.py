"""Which quotes a row of CSV may have, and what is wrong with the others.

Quotes enclose a whole field, and are doubled within it (RFC 4180). One in the middle of a field
that is not enclosed, as in ``5" pipe``, can only be a character, if no other such field is in its
row. Of all others nobody knows what they were to enclose: what ``csv.reader`` makes of them may be
wrong without a sign, so they are refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from csv_file.contract import InvalidQuotes
from csv_file.syntax import QUOTED, csv_syntax

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
