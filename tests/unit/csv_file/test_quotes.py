"""Quotes: read where they can mean one thing only, refused with place and remedy where not."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csv_file.syntax import InvalidQuotes, check_quotes

HEADER = ["id", "name", "note"]


def refusal(row: str, delimiter: str = ",", line: int = 2) -> tuple[str, str, int]:
    """Type, message and swallowed lines."""
    with pytest.raises(InvalidQuotes) as invalid:
        check_quotes(row.encode(), line, delimiter, HEADER)
    reason = invalid.value.reason
    return reason["type"], reason["message"], invalid.value.swallowed


@pytest.mark.parametrize(
    "row",
    [
        "",
        "1,Ann,fine",
        '"1","Ann, Lee","a ""quote"""\r\n',
        '"","",""\n',
        '1,"two\nlines\r\n",""\n',
        '1,5" pipe,x',
        '1,say "hi" to,"a ""b"""\n',
        "1,5' 11,x\n",
    ],
)
def test_quotes_that_can_mean_one_thing_only_are_read(row: str) -> None:
    check_quotes(row.encode(), 1, ",", HEADER)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ('1, "Lee, Ann", 3\n', "column 2 (name): a quote that follows a blank encloses nothing"),
        ('1,\t"Lee",3\n', "column 2 (name): a quote that follows a blank encloses nothing"),
        ('\ufeff"1",2,3\n', "column 1 (id): a quote that follows a blank encloses nothing"),
        ('"a"b,2,3\n', "column 1 (id): text follows the quote that closes the field"),
        ('"a" ,2,3\n', "column 1 (id): text follows the quote that closes the field"),
        ('"a, "b", c",2,3\n', "column 1 (id): text follows the quote that closes the field"),
        ('1,19",3\n', "column 2 (name): a quote ends the field that none has opened"),
        ('1,2,hello" \n', "column 3 (note): a quote ends the field that none has opened"),
        ('1,say "hi, bob" there,3\n', "column 3 (note): quotes stand within the fields of columns"),
        ('1,2,3,4,"5"6\n', "column 5: text follows the quote that closes the field"),
    ],
)
def test_quotes_that_may_mean_something_else_are_refused_with_place_and_remedy(
    row: str, problem: str
) -> None:
    kind, message, swallowed = refusal(row)

    assert (kind, swallowed) == ("MisplacedQuote", 0)
    assert message.startswith(f"line 2, {problem}")
    assert message.endswith('double those within it ("5"" pipe")')


def test_a_quote_that_is_never_closed_tells_where_it_opens_and_what_it_swallowed() -> None:
    assert refusal('1,Ann,"fine\n2,Bob,ok\n3,Cy,ok\n4,Di,ok\n') == (
        "UnclosedQuote",
        (
            "the quote that opens in line 2, column 3 (note), is never closed; lines 2 to 5 were "
            "read as one row; close it, or let quotes enclose a whole field, from its first "
            'character to its last, and double those within it ("5"" pipe")'
        ),
        3,
    )


def test_the_line_of_a_quote_is_its_own_not_that_of_its_row() -> None:
    kind, message, swallowed = refusal('"1\n1",Ann,"fine\n2,Bob,ok', line=7)

    assert (kind, swallowed) == ("UnclosedQuote", 2)
    assert "opens in line 8, column 3" in message
    assert "lines 7 to 9 were read as one row" in message


@pytest.mark.parametrize("row", ['1,Ann,"', '1,Ann,"fine', '1,Ann,"fine""', '1,Ann,"\n\n\n'])
def test_one_that_swallowed_nothing_says_so(row: str) -> None:
    kind, message, swallowed = refusal(row)

    assert (kind, swallowed) == ("UnclosedQuote", 0)
    assert "were read as one row" not in message


@pytest.mark.parametrize("quote", "\u201c\u201d\u201f")
def test_a_typographic_quote_that_was_to_close_it_is_named(quote: str) -> None:
    assert "(a typographic quote closes nothing)" in refusal(f'1,"hello{quote}\n2,b\n')[1]


def test_a_misplaced_quote_tells_what_it_swallowed() -> None:
    kind, message, swallowed = refusal('1,Ann,"fine\n2,Bob,ok\n3,Cy,"good"\n')

    assert (kind, swallowed) == ("MisplacedQuote", 2)
    assert "lines 2 to 4 were read as one row" in message


cells = st.text(st.sampled_from('"", \t\n\r;aé€"'), max_size=6)
rows = st.lists(cells, min_size=1, max_size=5)
delimiters = st.sampled_from([",", ";", "\t", " ", "a", "é", "€", "]", "^", "-", "\\"])


@given(fields=rows, delimiter=delimiters, all_quoted=st.booleans())
def test_what_a_writer_of_csv_has_enclosed_is_never_refused(
    fields: list[str], delimiter: str, all_quoted: bool
) -> None:
    out = io.StringIO(newline="")
    if all_quoted:
        csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerow(fields)
    else:
        csv.writer(out, delimiter=delimiter).writerow(fields)

    check_quotes(out.getvalue().encode(), 1, delimiter)


@given(text=st.text(st.sampled_from('"", ;aé€"\n'), max_size=14), delimiter=delimiters)
def test_what_a_strict_reader_refuses_is_refused(text: str, delimiter: str) -> None:
    row = first_row(text, delimiter)
    strict = csv.reader(io.StringIO(row, newline=""), delimiter=delimiter, strict=True)
    try:
        list(strict)
    except csv.Error:
        refusal(row, delimiter)


def first_row(text: str, delimiter: str) -> str:
    """The lines that `csv.reader` takes for its first row."""
    lines = text.splitlines(keepends=True)
    reader = csv.reader(iter(lines), delimiter=delimiter)
    next(reader, None)
    return "".join(lines[: reader.line_num])
