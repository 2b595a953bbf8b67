"""Rows read range by range against one pass of ``csv.reader``."""

from __future__ import annotations

import codecs
import csv
import io
import json
from itertools import pairwise, product
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from csv_file.parts import write_rows
from csv_file.planning import RowStarts, cut, described
from csv_file.rows import rows_of
from csv_file.syntax import MAX_ROW_BYTES, InvalidFile, csv_syntax
from pipeline_core.files import CHOICES, Encoding, File, Format, Range
from tests.unit.csv_file.reading import (
    BEGINNING,
    Read,
    a_file,
    a_head,
    all_rows,
    by_ranges,
    in_blocks,
    in_one_pass,
    planned,
)

SPECTRUM = Path(__file__).parents[2] / "data" / "csv-spectrum"

FEATURES = {
    "empty": "",
    "one row": "a,b\n",
    "no last line break": "a,b\nc,d",
    "crlf": "a,b\r\nc,d\r\n",
    "lone cr": "a,b\rc,d\r",
    "all line breaks": "a\r\nb\nc\rd\n\re\r\r\nf",
    "blank lines": "\n\na\n\n\r\n\rb\n\n",
    "blank lines only": "\n\r\n\r",
    "empty quoted row": '""\n\n""\r\n',
    "delimiters only": ",,\n,\n",
    "spaces only": " \n  \n",
    "quoted newlines": 'a,"b\nc\r\nd\re",f\ng,h,i\n',
    "doubled quotes": '"a ""b"" c","""","d"""\n"""e"\n',
    "quotes inside of unquoted fields": 'a"b,c"\nd ""e"",f\n 5" pipe\n',
    "text after a closing quote": '"a"b,"c"d"e\n"f" ,g\n',
    "a quote after text after a closing quote": '"a"b"\n,"c\n"\n',
    "a quoted field closed at the line's end": '"a"\n"b",\n,"c"\r\n',
    "an unclosed quote": 'a,b\nc,"d\ne,f\n',
    "an unclosed quote at the end": 'a,b\nc,"',
    "an unclosed quote and blank lines": 'a\n"b\n\n\n',
    "several bytes a character": "ä,€\n😀,\u2028x\x85\x0b\x0c\x1c\nñ\n",
    "a byte order mark inside": "a\n\ufeffb\n\ufeff\n",
    "rows of empty cells": 'a,b\n,,\n\n , \t\n"","  "\nc,d\n,\r\n,',
    "a quote that opens in a row of empty cells": 'a,b\n,"\n\n',
    "a quote that opens in a blank": 'a,b\n "\n,"\n',
    "a blank after a closing quote": 'a\n"" ,\n"" ""\n ""\n',
    "end-of-file marks": "a\n\x1a\nb\n\x1a\x1a",
    "end-of-file marks among cells": "a\n\x1a,\n,\x1a\n\x1a ",
    "byte order marks and nothing else": 'a\n\ufeff\ufeff\n\ufeff ,\n\ufeff""\n',
    "nul": "a\0,b\n\0\n",
}


@pytest.mark.parametrize("text", FEATURES.values(), ids=FEATURES)
def test_each_feature_comes_out_as_in_one_pass(text: str) -> None:
    content = text.encode()
    file = a_file(content)

    for range_bytes, block_bytes in product([1, 2, 3, 5, 1000], [1, 2, 7, 1000]):
        ranges = planned(content, file, range_bytes, block_bytes=block_bytes)

        assert by_ranges(content, file, ranges, block_bytes) == in_one_pass(content)


PIECES = ['"', '""', ",", "\n", "\r", "\r\n", "\ufeff", "a", "bc", " ", "\t", "é", "€", "😀", ";"]
PIECES += ["\0", "\x1a"]

texts = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


@given(
    text=texts,
    range_bytes=st.integers(1, 40),
    max_ranges=st.integers(1, 4),
    block_bytes=st.integers(1, 20),
    delimiter=st.sampled_from([",", ";", "a", "é", "€", " ", "\t", "]", "^", "-", "\\", "%"]),
)
@example(text='""\ufeff\n"\ufeff"\n', range_bytes=1, max_ranges=1, block_bytes=1000, delimiter=",")
def test_any_text_comes_out_as_in_one_pass(
    text: str, range_bytes: int, max_ranges: int, block_bytes: int, delimiter: str
) -> None:
    content = text.encode()
    file = a_file(content, delimiter)

    ranges = planned(content, file, range_bytes, max_ranges=max_ranges, block_bytes=block_bytes)

    expected = in_one_pass(content, delimiter)
    assert by_ranges(content, file, ranges, block_bytes) == expected
    assert [r["end"] for r in ranges[:-1]] == [r["start"] for r in ranges[1:]]
    if range_bytes == 1:
        assert [(r["row"], r["line"]) for r in ranges] == [(n, line) for n, line, _ in expected]


@given(
    mark=st.sampled_from(["", "\ufeff"]),
    before=st.sampled_from(["", "\n", "\r\n\r"]),
    header=st.sampled_from(['x,y,"z\nz"', '"x,",y', "x", "x\ty\tz,", '"x";y', 'x"1,y']),
    after=st.sampled_from(["\n", "\r", "\r\n"]),
    text=texts,
    range_bytes=st.integers(1, 40),
    max_ranges=st.integers(1, 4),
)
def test_any_file_comes_out_as_in_one_pass_after_its_header(
    mark: str, before: str, header: str, after: str, text: str, range_bytes: int, max_ranges: int
) -> None:
    content = f"{mark}{before}{header}{after}{text}".encode()
    file, first = described(a_head(content))
    names, *rows = in_one_pass(content.removeprefix("\ufeff".encode()), file["delimiter"])

    ranges = planned(content, file, range_bytes, max_ranges=max_ranges, at=first)

    assert file["header"] == [name.strip() for name in names.fields]
    assert by_ranges(content, file, ranges) == [
        Read(row.number - 1, row.line, row.fields) for row in rows
    ]


def test_quoted_line_breaks_cut_at_any_byte_come_out_the_same() -> None:
    content = 'a,"b\n""c""\r\nd",é\n"x\n",y,"\rz"\r\n\n1,2,"3\n4\n5"'.encode()
    file = a_file(content)

    for range_bytes in range(1, len(content) + 1):
        for block_bytes in range(1, len(content) + 1):
            ranges = planned(content, file, range_bytes, block_bytes=block_bytes)
            assert by_ranges(content, file, ranges, block_bytes) == in_one_pass(content)


def test_a_range_has_the_bytes_asked_for_and_the_rest_of_a_row() -> None:
    content = b"1234,6789\n" * 10

    ranges = planned(content, a_file(content), 25)

    assert [(r["start"], r["end"]) for r in ranges] == [(0, 30), (30, 60), (60, 90), (90, 100)]
    assert [(r["row"], r["line"]) for r in ranges] == [(1, 1), (4, 4), (7, 7), (10, 10)]


def test_a_plan_ends_after_so_many_ranges_and_says_where_the_next_row_starts() -> None:
    content = b"a\nb\n\n\nc\n\n"

    def plan(max_ranges: int) -> tuple[list[Range], object]:
        starts = RowStarts(iter([content]), BEGINNING, csv_syntax(","))
        return cut(starts, 0, len(content), max_ranges, 1)

    assert plan(2)[1] == {"offset": 6, "row": 3, "line": 5}
    assert len(plan(2)[0]) == 2
    assert plan(3)[1] is None, "blank lines are no row that follows"
    assert plan(3)[0][-1]["end"] == len(content)


def test_a_plan_reads_no_further_than_it_must() -> None:
    blocks = iter([b"a\nb\n", b"c\nd\n", b"e\nf\n", b"g\nh\n"])

    cut(RowStarts(blocks, BEGINNING, csv_syntax(",")), 0, 16, 1, 4)

    assert list(blocks) == [b"e\nf\n", b"g\nh\n"]


@pytest.mark.parametrize("range_bytes", [1, 4, 9, 1000])
@pytest.mark.parametrize("name", sorted(path.stem for path in SPECTRUM.glob("csvs/*.csv")))
def test_the_public_corpus_comes_out_as_it_says(name: str, range_bytes: int) -> None:
    content = (SPECTRUM / "csvs" / f"{name}.csv").read_bytes()
    expected = json.loads((SPECTRUM / "json" / f"{name}.json").read_text("utf-8"))

    rows = all_rows(content, range_bytes)

    if name == "location_coordinates":  # its JSON is no list, and has another telephone number
        expected = [expected | {"Contact Phone Number": rows[0]["Contact Phone Number"]}]
    assert rows == expected


def test_the_corpus_is_there() -> None:
    assert len(list(SPECTRUM.glob("csvs/*.csv"))) == 12


def too_large(content: bytes, block_bytes: int = 1_000_000) -> str:
    with pytest.raises(InvalidFile) as invalid:
        planned(content, a_file(content), 1_000_000_000, block_bytes=block_bytes)
    assert invalid.value.reason["type"] == "RowTooLarge"
    return invalid.value.reason["message"]


def test_an_unclosed_quote_that_swallows_the_file_is_told_by_row_and_line() -> None:
    content = b'a,b\n\n"c\nd",e\nf,"g\n' + b"some,more,cells\n" * 100_000

    for block_bytes in (1000, 65536, MAX_ROW_BYTES):
        message = too_large(content, block_bytes)
        assert message.startswith("row 3 in line 5 has more than 1,048,576 bytes")
        assert message.endswith("probably the quote that opens in line 5 is never closed")


def test_a_row_without_an_end_is_told_as_such() -> None:
    assert "a line break in it is missing" in too_large(b"a,b\n" + b"c," * MAX_ROW_BYTES)


def test_a_quoted_field_that_is_closed_too_late_is_too_large_as_well() -> None:
    content = b'"' + b"line\n" * (MAX_ROW_BYTES // 5 + 1) + b'",b\nc\n'

    assert "row 1 in line 1" in too_large(content)
    assert "a quote in it is missing" in too_large(content, MAX_ROW_BYTES)


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r", b"\n" * 1_200_000])
@pytest.mark.parametrize("block_bytes", [100_000, MAX_ROW_BYTES])
def test_the_largest_row_passes_and_one_byte_more_does_not(end: bytes, block_bytes: int) -> None:
    largest = b"a,b\n" + b"x" * MAX_ROW_BYTES
    file = a_file(largest + end)

    ranges = planned(largest + end, file, 1, block_bytes=block_bytes)

    assert [len(row.fields[0]) for row in by_ranges(largest + end, file, ranges)] == [
        1,
        MAX_ROW_BYTES,
    ]
    assert "row 2 in line 2" in too_large(largest + b"x" + end, block_bytes)


def test_pythons_limit_of_a_field_does_not_bite_below_that_of_a_row() -> None:
    csv.field_size_limit(131072)
    content = b'"' + b"x" * (MAX_ROW_BYTES - 2) + b'"\n'
    work: Range = {"start": 0, "end": len(content), "row": 1, "line": 1}

    (row,) = rows_of(a_file(content), work, in_blocks(content, 1000))

    assert len(row.fields[0]) == MAX_ROW_BYTES - 2


def test_line_breaks_without_end_do_not_fill_the_memory() -> None:
    assert "is never closed" in too_large(b'a\n"' + b"\n" * 2 * MAX_ROW_BYTES, 1000)


def written(content: bytes, file: File, ranges: list[Range]) -> tuple[bytes, bytes, int, int]:
    """Results, rejects, rows and swallowed lines of the ranges, each worked on by itself."""
    results, rejects = io.BytesIO(), io.BytesIO()
    rows = swallowed = 0
    for work in ranges:
        blocks = in_blocks(content[work["start"] : work["end"]], 7)
        tally = write_rows(rows_of(file, work, blocks), file, results, rejects)
        rows += tally["rows"]
        swallowed += tally.get("swallowed", 0)
    return results.getvalue(), rejects.getvalue(), rows, swallowed


WILD = [b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"a", b" ", b"\t", b"\x1a", b"\0", b"\xe4"]
WILD += [codecs.BOM_UTF8, "\u201d".encode(), "é".encode(), b'a,"b\n', b"1,2\n", b',,\n, "c"\n']


@given(
    content=st.lists(st.sampled_from(WILD) | st.binary(max_size=3), max_size=30).map(b"".join),
    kind=st.sampled_from(["csv", "jsonl"]),
    range_bytes=st.integers(1, 40),
    max_ranges=st.integers(1, 4),
    block_bytes=st.integers(1, 20),
)
def test_any_bytes_in_any_ranges_end_as_the_same_results_and_rejects(
    content: bytes, kind: Format, range_bytes: int, max_ranges: int, block_bytes: int
) -> None:
    file = a_file(content, "," if kind == "csv" else "", kind)
    file["header"] = ["id", "name"]
    whole = planned(content, file, 1_000_000)

    ranges = planned(content, file, range_bytes, max_ranges=max_ranges, block_bytes=block_bytes)

    assert len(whole) <= 1
    assert written(content, file, ranges) == written(content, file, whole)


@given(rest=st.text(st.sampled_from("ab, \n\r;\u201d"), max_size=60))
@pytest.mark.parametrize("range_bytes", [1, 10, 1000])
def test_a_quote_that_is_never_closed_loses_no_line_without_a_word(
    rest: str, range_bytes: int
) -> None:
    content = f'1,2\n3,"{rest}'.encode()
    file = a_file(content)
    file["header"] = ["id", "name"]

    results, rejects, rows, swallowed = written(content, file, planned(content, file, range_bytes))

    (reject,) = [json.loads(line) for line in rejects.splitlines()]
    assert (rows, results.count(b"\n")) == (2, 1)
    assert (reject["row"], reject["line"], reject["reason"]["type"]) == (2, 2, "UnclosedQuote")
    assert swallowed == len(rest.rstrip("\r\n").splitlines() or [""]) - 1
    assert ("lines 2 to " in reject["reason"]["message"]) == bool(swallowed)


JSON_PIECES = ["{}", "[1]", " ", "\n", "\r", "\t", "\x0b", "\x85", "é", '"', ",", "\ufeff", "\x1a"]


@given(
    text=st.lists(st.sampled_from(JSON_PIECES), max_size=30).map("".join),
    range_bytes=st.integers(1, 40),
    max_ranges=st.integers(1, 4),
    block_bytes=st.integers(1, 20),
)
def test_json_lines_are_cut_at_line_feeds_and_nowhere_else(
    text: str, range_bytes: int, max_ranges: int, block_bytes: int
) -> None:
    content = text.encode()
    file = a_file(content, "", "jsonl")
    lines = enumerate(content.split(b"\n"), start=1)
    expected = [
        (line, raw) for line, raw in lines if raw.decode().lstrip("\ufeff").strip(" \t\r\v\f\x1a")
    ]

    ranges = planned(content, file, range_bytes, max_ranges=max_ranges, block_bytes=block_bytes)
    rows = [
        row
        for work in ranges
        for row in rows_of(file, work, iter([content[work["start"] : work["end"]]]))
    ]

    assert [(row.line, row.raw.removesuffix(b"\n")) for row in rows] == expected
    assert [row.number for row in rows] == list(range(1, len(expected) + 1))
    assert all(before["end"] == after["start"] for before, after in pairwise(ranges))


def test_rows_of_empty_cells_without_end_do_not_fill_the_memory_nor_make_a_row_too_large() -> None:
    content = b"a,b\r\n" + b",\r\n" * 800_000 + b"c,d\r\n" + b'"",\n' * 300_000
    file = a_file(content)

    ranges = planned(content, file, 1, block_bytes=MAX_ROW_BYTES)

    assert [(r["row"], r["line"]) for r in ranges] == [(1, 1), (2, 800_002)]


def test_spaces_without_end_do_not_fill_the_memory() -> None:
    content = b" " * 2 * MAX_ROW_BYTES
    with pytest.raises(InvalidFile, match="row 1 in line 1"):
        planned(content, a_file(content, "", "jsonl"), 1000, block_bytes=1000)


def test_blank_json_lines_do_not_make_the_row_before_them_too_large() -> None:
    content = b"[" + b" " * 900_000 + b"]\n" + b"    \n" * 400_000 + b"{}"
    file = a_file(content, "", "jsonl")

    assert len(planned(content, file, 1, block_bytes=MAX_ROW_BYTES)) == 2


def test_a_json_line_without_an_end_is_too_large() -> None:
    content = b'{}\n"' + b"x" * MAX_ROW_BYTES
    with pytest.raises(InvalidFile, match=r"row 2 in line 2 .* a line break in it is missing"):
        planned(content, a_file(content, "", "jsonl"), 1000, block_bytes=1000)


def characters_of(encoding: str) -> str:
    """All that it has, with more of what matters to CSV."""
    return bytes(range(256)).decode(encoding, "ignore").replace("\0", "") + '",;\n\r\t \x1a' * 8


@given(
    data=st.data(),
    encoding=st.sampled_from([one for one in CHOICES["encoding"] if one != "utf-8"]),
    range_bytes=st.integers(1, 30),
    block_bytes=st.integers(1, 30),
)
def test_in_every_encoding_ranges_give_what_the_same_text_gives_in_utf_8(
    data: st.DataObject, encoding: Encoding, range_bytes: int, block_bytes: int
) -> None:
    text = data.draw(st.text(characters_of(encoding), max_size=80))
    delimiter = data.draw(st.sampled_from([",", ";", "\xa4" if encoding != "iso-8859-15" else "€"]))
    content = text.encode(encoding)
    file = a_file(content, delimiter)
    file["encoding"] = encoding

    ranges = planned(content, file, range_bytes, block_bytes=block_bytes)

    assert by_ranges(content, file, ranges, block_bytes) == in_one_pass(text.encode(), delimiter)
