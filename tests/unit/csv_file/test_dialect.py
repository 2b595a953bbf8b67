from __future__ import annotations

import codecs
import gzip
import lzma
from itertools import product

import pytest

from csv_file.dialect import MAX_HEADER_BYTES
from csv_file.planning import described
from csv_file.source import HEAD_BYTES
from csv_file.syntax import InvalidFile
from tests.unit.csv_file.reading import a_head

TABLE = "näme,city\n1,2\n"


def delimiter_of(text: str, **metadata: str) -> str:
    return described(a_head(text.encode(), **metadata))[0]["delimiter"]


def header_of(text: str, **metadata: str) -> list[str]:
    return described(a_head(text.encode(), **metadata))[0]["header"]


def rejection(content: bytes, key: str = "input/rows.csv", **metadata: str) -> tuple[str, str]:
    with pytest.raises(InvalidFile) as invalid:
        described(a_head(content, key, **metadata))
    return invalid.value.reason["type"], invalid.value.reason["message"]


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [
        ("a,b\n", ","),
        ("a;b\n", ";"),
        ("a\tb\n", "\t"),
        ("a|b\n", "|"),
        ("a\n", ","),
        ("", ","),
        ("a,b;c;d\n", ";"),
        ("a;b,c\n", ","),
        ('"a,b,c";d\n', ";"),
        ('x;"a,b\n,c"\n,,,,', ";"),
        ('a"b,"c;d;e",f\n', ","),
        ("a;b\n,,,,,,,,\n", ";"),
        (";;\n , \n\na,b\n", ","),
    ],
)
def test_the_delimiter_is_the_most_frequent_in_the_header_outside_quotes(
    text: str, delimiter: str
) -> None:
    assert delimiter_of(text) == delimiter


@pytest.mark.parametrize(
    ("given", "delimiter"), [("tab", "\t"), ("TAB", "\t"), (":", ":"), (" ", " "), ("", ",")]
)
def test_the_metadata_win_where_they_say_it(given: str, delimiter: str) -> None:
    assert delimiter_of("a,b\n", delimiter=given) == delimiter


@pytest.mark.parametrize("given", [",,", "comma", '"', "\n", "\r", "\0"])
def test_what_cannot_be_a_delimiter_is_refused(given: str) -> None:
    kind, message = rejection(b"a,b\n", delimiter=given)

    assert kind == "InvalidDelimiter"
    assert "it must be one character, or tab" in message


def test_names_are_stripped_and_keep_their_order() -> None:
    assert header_of('\ufeff b ,a"1,"x ""y""\n z"\n') == ["b", 'a"1', 'x "y"\n z']


@pytest.mark.parametrize("marks", [1, 2, 5])
@pytest.mark.parametrize("before", ["", "\n", ",,\r\n"])
def test_any_number_of_byte_order_marks_is_no_part_of_the_header(marks: int, before: str) -> None:
    file, first = described(a_head(f"{before}{chr(0xFEFF) * marks}id,name\n1,Ann\n".encode()))

    assert file["header"] == ["id", "name"]
    assert first["offset"] == file["size"] - len("1,Ann\n")
    assert first["line"] == 2 + bool(before)


SEP_LINES = ["sep={}", "SEP={}", '"sep={}"']


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", ":"])
@pytest.mark.parametrize("line", SEP_LINES)
def test_excels_first_line_names_the_delimiter_and_is_no_header(line: str, delimiter: str) -> None:
    names = ["id", "a,;|b" if delimiter not in ",;|" else "ab", "qty"]
    lines = [line.format(delimiter), delimiter.join(names), "1", ""]

    for mark, line_break in product(["", "\ufeff", "\ufeff\ufeff"], ["\n", "\r\n", "\r"]):
        file, first = described(a_head(f"{mark}{line_break.join(lines)}".encode()))

        assert (file["delimiter"], file["header"]) == (delimiter, names)
        assert first == {"offset": file["size"] - len(f"1{line_break}"), "row": 1, "line": 3}


def test_the_header_after_excels_first_line_may_have_a_mark_and_lines_before_it() -> None:
    assert header_of("sep=;\r\n\r\n\ufeffid;name\r\n") == ["id", "name"]


@pytest.mark.parametrize("line", ["sep=", "sep=;;", "sep=tabs", 'sep="', "sep=\\t"])
def test_a_first_line_that_names_no_delimiter_is_refused(line: str) -> None:
    kind, message = rejection(f"{line}\nid;name\n".encode())

    assert kind == "InvalidDelimiter"
    assert message.startswith("the first line is 'sep=")
    assert message.endswith("it must be one character, or tab")


def test_a_first_line_and_metadata_that_differ_are_refused_and_that_agree_are_not() -> None:
    content = "sep=;\nid;name\n"

    assert header_of(content, delimiter=";") == ["id", "name"]
    assert rejection(content.encode(), delimiter="tab") == (
        "InvalidDelimiter",
        (
            "the first line is 'sep=;', and the metadata 'delimiter' is 'tab'; "
            "leave out the one that is wrong"
        ),
    )


@pytest.mark.parametrize(
    ("header", "place"),
    [
        ('id, "name, first", x\n1,2,3\n', "line 1, column 2: a quote that follows a blank"),
        ('\n\nid,"name"s\n1,2\n', "line 3, column 2: text follows the quote that closes"),
        ('id,name"\n1,2\n', "line 1, column 2: a quote ends the field that none has opened"),
        ('id,"a\nb","name\n1,2\n', "the quote that opens in line 2, column 3, is never closed"),
        ('"a\n', "the quote that opens in line 1, column 1, is never closed"),
        ('"a,,,', "the quote that opens in line 1, column 1, is never closed"),
    ],
)
def test_a_header_whose_quotes_may_mean_something_else_is_refused_with_place_and_remedy(
    header: str, place: str
) -> None:
    kind, message = rejection(header.encode())

    assert kind == "InvalidHeader"
    assert message.startswith(f"the header: {place}")
    assert "let quotes enclose a whole field" in message


@pytest.mark.parametrize("text", ["", "\ufeff", "\n\r\n", ",,\n;;\n", "sep=;", "sep=;\r\n"])
def test_an_empty_file_has_no_header_and_no_rows(text: str) -> None:
    file, first = described(a_head(text.encode()))

    assert file["header"] == []
    assert first["offset"] == file["size"]


@pytest.mark.parametrize(
    ("text", "offset", "line"),
    [
        ("a,b", 3, 1),
        ("a,b\n", 4, 2),
        ("a,b\r\nc", 5, 2),
        ("a,b\rc", 4, 2),
        ("\ufeffa\nb", 5, 2),
        ("\n\r\na\n\nb", 5, 4),
        ('"a\nb"\nc', 6, 3),
        ("sep=;\n\na\nb", 9, 4),
    ],
)
def test_rows_begin_after_the_headers_line_break(text: str, offset: int, line: int) -> None:
    _, first = described(a_head(text.encode()))

    assert first == {"offset": offset, "row": 1, "line": line}


def test_empty_and_repeated_names_are_told_all_at_once() -> None:
    kind, message = rejection(b"a,,b, a,b ,\t\n1\n")

    assert kind == "InvalidHeader"
    assert message.split("; ") == [
        "column 2 of the header has no name",
        "column 6 of the header has no name",
        "the name 'a' stands in columns 1, 4 of the header",
        "the name 'b' stands in columns 3, 5 of the header",
    ]


def test_a_thousand_columns_are_enough() -> None:
    names = ",".join(f"c{n}" for n in range(1000))

    assert len(header_of(names)) == 1000
    assert rejection(f"{names},x\n".encode()) == (
        "InvalidHeader",
        "the header has 1,001 columns; it may have 1,000",
    )


@pytest.mark.parametrize("rest", [b"", b"\n1\n" + b"2\n" * HEAD_BYTES])
def test_a_header_that_is_too_long_is_refused(rest: bytes) -> None:
    assert header_of("x" * MAX_HEADER_BYTES) == ["x" * MAX_HEADER_BYTES]

    kind, message = rejection(b"x" * (MAX_HEADER_BYTES + 1) + rest)

    assert kind == "InvalidHeader"
    assert "more than 65,536 bytes; probably the file has no line breaks" in message


def test_a_header_with_an_unclosed_quote_is_told_as_such() -> None:
    _, message = rejection(b'a,"b\n' + b"1,2\n" * HEAD_BYTES)

    assert message.endswith("probably a quote in it is never closed")


def test_a_header_after_too_many_blank_lines_is_refused() -> None:
    assert "begins with blank lines only" in rejection(b"\n" * HEAD_BYTES + b"a,b\n")[1]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (codecs.BOM_UTF16_LE + TABLE.encode("utf-16-le"), "UTF-16"),
        (codecs.BOM_UTF16_BE + TABLE.encode("utf-16-be"), "UTF-16"),
        (codecs.BOM_UTF32_LE + TABLE.encode("utf-32-le"), "UTF-32"),
        (codecs.BOM_UTF32_BE + TABLE.encode("utf-32-be"), "UTF-32"),
        (TABLE.encode("utf-16-le"), "NUL bytes, so it seems to be UTF-16"),
        (TABLE.encode("utf-32-be"), "NUL bytes, so it seems to be UTF-16 or UTF-32"),
        (TABLE.encode("cp1252"), "Windows-1252 or ISO 8859-1 (byte 0xE4 in the header)"),
    ],
)
def test_another_encoding_is_named_with_the_remedy(content: bytes, name: str) -> None:
    kind, message = rejection(content)

    assert kind == "NotUtf8"
    assert name in message
    assert message.endswith("save it as UTF-8")


@pytest.mark.parametrize(
    ("content", "name", "remedy"),
    [
        (b"PK\x03\x04rest", "an Excel workbook or another ZIP archive", "save the sheet as"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook", "save the sheet as"),
        (gzip.compress(TABLE.encode(), mtime=0), "compressed with gzip", "decompress it first"),
        (lzma.compress(TABLE.encode()), "compressed with xz", "decompress it first"),
        (b"\x28\xb5\x2f\xfdrest", "compressed with zstd", "decompress it first"),
    ],
)
@pytest.mark.parametrize("key", ["input/a.csv", "input/a.jsonl"])
def test_what_is_no_text_is_named_and_told_to_be_decompressed(
    content: bytes, name: str, remedy: str, key: str
) -> None:
    kind, message = rejection(content, key)

    assert kind == "NotUtf8"
    assert f"it seems to be {name}; {remedy}" in message


def test_a_row_that_is_not_utf_8_does_not_speak_for_the_file() -> None:
    file, _ = described(a_head(b"a,b\n\xe4,\x00\n"))

    assert file["header"] == ["a", "b"]


@pytest.mark.parametrize("key", ["input/a.jsonl", "input/a.ndjson", "input/A.JSONL"])
@pytest.mark.parametrize("marks", [0, 1, 3])
def test_json_lines_have_neither_header_nor_delimiter(key: str, marks: int) -> None:
    file, first = described(a_head(codecs.BOM_UTF8 * marks + b"{}\n", key))

    assert (file["format"], file["header"], file["delimiter"]) == ("jsonl", [], "")
    assert first == {"offset": 3 * marks, "row": 1, "line": 1}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_json_lines_in_another_encoding_are_refused(encoding: str) -> None:
    assert rejection('{"a": 1}\n'.encode(encoding), "input/a.jsonl")[0] == "NotUtf8"


def test_a_compressed_file_is_told_to_be_decompressed_not_to_be_renamed() -> None:
    kind, message = rejection(b"a\n", "input/a.csv.gz")

    assert kind == "UnknownFormat"
    assert message.startswith("'input/a.csv.gz' is compressed: decompress it first")


@pytest.mark.parametrize("key", ["input/a.txt", "input/csv", "input/csv.gz/a"])
def test_an_unknown_format_is_answered_with_the_known_ones(key: str) -> None:
    kind, message = rejection(b"a\n", key)

    assert kind == "UnknownFormat"
    assert message.endswith("must end in one of: .csv, .jsonl, .ndjson")
