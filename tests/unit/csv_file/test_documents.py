from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from csv_file.documents import BYTES_AT_ONCE, ROWS_AT_ONCE, Verdict, json_text, verdicts_of
from csv_file.rows import Row
from pipeline_core import exact_json
from pipeline_core.contract import InvalidRecord, Reason
from pipeline_core.files import File
from tests.events import ORDER
from tests.unit.csv_file.reading import a_file
from validate import rules

ORDER_TEXTS = {name: str(value) for name, value in ORDER.items() if name != "data_source"}


def csv_file(*header: str, processing_type: str = "standard") -> File:
    file = a_file(b"")
    file["header"] = list(header)
    file["processing_type"] = processing_type
    return file


def record(file: File, *fields: str) -> dict[str, Any]:
    raw = ",".join(fields).encode("utf-8", "surrogateescape")
    return record_of(Row(1, 2, raw, list(fields)), file)


def record_of(row: Row, file: File) -> dict[str, Any]:
    """The row's transformed document, its numbers int and Decimal.

    Raises:
        InvalidRecord: with every reason why the row has none.
    """
    (verdict,) = verdicts_of([row], file)
    if verdict.invalid:
        raise verdict.invalid
    document: dict[str, Any] = exact_json.loads(verdict.record)
    return document


def json_record(text: str) -> dict[str, Any]:
    return record_of(Row(1, 1, f"{text}\n".encode(), []), a_file(b"", "", "jsonl"))


def order_record(**texts: str) -> dict[str, Any]:
    cells = ORDER_TEXTS | texts
    return record(csv_file(*cells, processing_type="order"), *cells.values())


def reason(*args: Any) -> Reason:
    with pytest.raises(InvalidRecord) as invalid:
        record(*args)
    return invalid.value.reason


def test_cells_are_text_by_their_columns_names_and_an_empty_one_is_not_there() -> None:
    assert record(csv_file("a", "b", "c", "d"), "1", "", " x ", "true") == {
        "a": "1",
        "c": " x ",
        "d": "true",
        "processing_type": "standard",
        "data_source": "ROWS.CSV",
    }


def test_an_empty_cell_is_an_empty_text_where_the_file_says_so() -> None:
    file = csv_file("a", "b", "data_source")
    file["empty_cells"] = "empty"

    assert record(file, "", "x", "") == {
        "a": "",
        "b": "x",
        "processing_type": "standard",
        "data_source": "ROWS.CSV",
    }


def test_a_file_planned_before_there_was_a_choice_has_no_empty_cells() -> None:
    file = csv_file("a", "b")
    assert "empty_cells" not in file

    assert "a" not in record(file, "", "x")


def test_a_byte_order_mark_in_the_middle_of_a_file_is_no_part_of_a_cell() -> None:
    assert record(csv_file("a", "b"), "\ufeff\ufeffx", "\ufeffy") == {
        "a": "x",
        "b": "\ufeffy",
        "processing_type": "standard",
        "data_source": "ROWS.CSV",
    }


def test_a_rows_own_type_and_source_win_where_they_are_not_empty() -> None:
    file = csv_file("data_source", "processing_type", processing_type="order")

    assert record(file, "shop", "standard") == {
        "data_source": "SHOP",
        "processing_type": "standard",
    }
    errors = reason(file, "", "")["errors"]
    assert errors[0].startswith("record must contain order_id")


def test_an_order_is_read_checked_and_transformed() -> None:
    transformed = order_record()

    assert transformed["quantity"] == 3
    assert str(transformed["total"]) == "37.50"
    assert transformed["data_source"] == "ROWS.CSV"
    assert "processing_metadata" not in transformed, "a result has no time of its own"


@pytest.mark.parametrize("cell", ["3.0", "03", " 3", "3 ", "+3", "3e0", "٣", "x", "9" * 1001])
def test_only_an_integer_literal_is_an_integer(cell: str) -> None:
    with pytest.raises(InvalidRecord, match="quantity must be integer"):
        order_record(quantity=cell)


def test_what_may_be_text_stays_text() -> None:
    assert str(order_record(unit_price="12.50")["unit_price"]) == "12.50"
    with pytest.raises(InvalidRecord, match="unit_price must match pattern"):
        order_record(unit_price="1e2")


@given(
    st.lists(st.sampled_from(["1", "0", "x", "", "9" * (BYTES_AT_ONCE // 8)]), max_size=10),
    st.sampled_from([1, ROWS_AT_ONCE]),
)
def test_each_of_many_rows_becomes_what_it_becomes_alone(texts: list[str], times: int) -> None:
    quantities = texts * times
    file = csv_file(*ORDER_TEXTS, processing_type="order")
    cells = [ORDER_TEXTS | {"quantity": text} for text in quantities]
    rows = [
        Row(number, number + 1, ",".join(c.values()).encode(), list(c.values()))
        for number, c in enumerate(cells, start=1)
    ]

    together = [(v.row, v.record, _reason(v)) for v in verdicts_of(rows, file)]

    alone = [next(iter(verdicts_of([row], file))) for row in rows]
    assert together == [(v.row, v.record, _reason(v)) for v in alone]
    assert [row for row, _, _ in together] == rows


def _reason(verdict: Verdict) -> Reason | None:
    return verdict.invalid.reason if verdict.invalid else None


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[File]:
    """A file of a type with a number, an integer and a boolean."""
    for path in rules.SCHEMAS.glob("*.json"):
        (tmp_path / path.name).write_text(path.read_text("utf-8"), "utf-8")
    properties = {"n": {"type": "number"}, "i": {"type": ["integer", "null"]}}
    properties["b"] = {"type": "boolean"}
    schema = {"type": "object", "properties": properties | {"any": True, "t": {}}}
    (tmp_path / "standard.json").write_text(json.dumps(schema), "utf-8")
    monkeypatch.setattr(rules, "SCHEMAS", tmp_path)
    caches = (rules.property_types, rules._validator, rules._quick_validator)
    for cached in caches:
        cached.cache_clear()
    yield csv_file("n", "i", "b", "any", "t")
    monkeypatch.undo()
    for cached in caches:
        cached.cache_clear()


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (("1.50", "-7", "true", "1", "1"), (Decimal("1.50"), -7, True, "1", "1")),
        (("-0.0", "0", "false", "x", ""), (Decimal("-0.0"), 0, False, "x", None)),
        (("1E+2", "", "", "", ""), (Decimal("1E+2"), None, None, None, None)),
        (("12345678901234567890.1", "", "", "", ""), (Decimal("12345678901234567890.1"),)),
        (("5", "", "", "", ""), (5,)),
    ],
)
def test_cells_become_what_the_schema_says_and_keep_every_digit(
    reading: File, cells: tuple[str, ...], values: tuple[Any, ...]
) -> None:
    transformed = record(reading, *cells)

    got = [transformed.get(name) for name in reading["header"]][: len(values)]
    assert got == list(values)
    assert [str(value) for value in got] == [str(value) for value in values]


@pytest.mark.parametrize(
    ("cells", "error"),
    [
        (("1,5", "", "", "", ""), "n must be number"),
        (("NaN", "", "", "", ""), "n must be number"),
        (("0x1", "", "", "", ""), "n must be number"),
        (("1e9999999999999999999", "", "", "", ""), "n must be number"),
        (("", "null", "", "", ""), "i must be integer or null"),
        (("", "", "True", "", ""), "b must be boolean"),
        (("", "", "1", "", ""), "b must be boolean"),
    ],
)
def test_what_is_no_literal_stays_text_and_is_refused(
    reading: File, cells: tuple[str, ...], error: str
) -> None:
    assert reason(reading, *cells)["errors"] == [error]


def test_a_wrong_number_of_fields_is_told() -> None:
    assert reason(csv_file("a", "b", "c"), "1", "2") == {
        "type": "WrongNumberOfFields",
        "message": "row has 2 fields, the header 3",
        "errors": ["row has 2 fields, the header 3"],
    }


def test_a_row_that_is_not_utf_8_is_told() -> None:
    found = reason(csv_file("a", "b"), "x", "\udce4")

    assert found["type"] == "NotUtf8"
    assert found["message"].startswith("row is not UTF-8 (byte 0xE4, 2 bytes from")
    assert found["message"].endswith(
        "it seems to be Windows-1252 or ISO 8859-1; name what it is in the metadata 'encoding', or "
        "save the whole file as UTF-8"
    )


def test_a_row_with_a_nul_byte_is_told_to_be_utf_16() -> None:
    found = reason(csv_file("a", "b"), "x\0", "\0y\0")

    assert found["type"] == "NotUtf8"
    assert found["message"] == (
        "row has a NUL byte, 1 bytes from where it starts: it seems to be UTF-16, or no text at "
        "all; save the whole file as UTF-8"
    )


def test_a_wrong_quote_is_told_before_what_it_has_led_to() -> None:
    found = reason(csv_file("a", "b"), '"x', "\udce4", "y")

    assert found["type"] == "UnclosedQuote"
    assert "line 2, column 1 (a)" in found["message"]


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    found = reason(csv_file("processing_type"), "nope")

    assert found["type"] == "UnknownProcessingType"
    assert found["message"].endswith(f"must be one of: {', '.join(rules.processing_types())}")


def test_every_reason_is_told_in_an_order_that_never_changes() -> None:
    cells = ORDER_TEXTS | {"quantity": "0", "currency": "ZZZ", "z": "1", "y": "2", "x": "3"}

    found = reason(csv_file(*cells, processing_type="order"), *cells.values())

    assert found["errors"] == [
        "quantity must be bigger than or equal to 1",
        "currency must be a valid ISO 4217 currency code",
        "record must not contain z, y, x",
    ]


def test_a_json_line_keeps_every_digit_and_is_not_read_twice() -> None:
    text = '{"n": 1.10, "big": 123456789012345678901234567890, "text": "1", "deep": [null]}'

    transformed = json_record(text)

    assert str(transformed["n"]) == "1.10"
    assert transformed["big"] == 123456789012345678901234567890
    assert transformed["text"] == "1"
    assert transformed["data_source"] == "ROWS.CSV"


@pytest.mark.parametrize("marks", ["\ufeff", "\ufeff\ufeff", "\ufeff "])
def test_a_byte_order_mark_before_a_json_text_is_no_part_of_it(marks: str) -> None:
    assert json_record(f'{marks}{{"a": "\ufeff"}}')["a"] == "\ufeff"


@pytest.mark.parametrize("line_break", ["\n", "\r\n", ""])
def test_a_row_has_one_line_also_in_its_errors(line_break: str) -> None:
    with pytest.raises(InvalidRecord, match=r"at line 1, column 6$"):
        record_of(Row(1, 9, b'{"a":' + line_break.encode(), []), a_file(b"", "", "jsonl"))


@pytest.mark.parametrize("value", ['""', "null"])
def test_an_empty_type_in_json_is_that_of_the_file(value: str) -> None:
    transformed = json_record(f'{{"processing_type": {value}, "data_source": {value}}}')

    assert transformed == {"processing_type": "standard", "data_source": "ROWS.CSV"}


@pytest.mark.parametrize(
    ("text", "kind", "error"),
    [
        ("{", "InvalidJson", "body: not JSON"),
        ('{"a": 1} {"a": 2}', "InvalidJson", "body: not JSON: Extra data"),
        ('{"a": 1, "a": 2}', "InvalidJson", "body: the key 'a' stands twice"),
        ('{"a": NaN}', "InvalidJson", "body: NaN"),
        ('{"a": "\\ud800"}', "InvalidJson", "body: a lone surrogate"),
        ("[]", "ValidationError", "record must be object"),
        ("null", "ValidationError", "record must be object"),
        ('{"processing_type": 5}', "ValidationError", "processing_type must be string"),
        ('{"data_source": 0}', "ValidationError", "data_source must be string"),
    ],
)
def test_a_json_line_that_is_wrong_is_told(text: str, kind: str, error: str) -> None:
    with pytest.raises(InvalidRecord) as invalid:
        json_record(text)

    assert invalid.value.reason["type"] == kind
    assert invalid.value.reason["message"].startswith(error)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(), json_values, max_size=4))
def test_a_document_is_written_on_one_line_in_ascii_and_reads_back_the_same(
    document: dict[str, Any],
) -> None:
    text = json_text(document)

    assert text.isascii()
    assert "\n" not in text
    assert "\r" not in text
    assert exact_json.loads(text) == document


def with_commas(**texts: str) -> dict[str, Any]:
    cells = ORDER_TEXTS | texts
    file = csv_file(*cells, processing_type="order")
    file["delimiter"], file["decimal"] = ";", "comma"
    raw = ";".join(cells.values()).encode()
    return record_of(Row(1, 2, raw, list(cells.values())), file)


@pytest.mark.parametrize(
    ("cell", "price"), [("12,5", "12.50"), ("12", "12.00"), ("0,125", "0.125")]
)
def test_with_a_decimal_comma_a_number_is_what_it_is_with_a_point(cell: str, price: str) -> None:
    assert with_commas(unit_price=cell)["unit_price"] == Decimal(price)


@pytest.mark.parametrize("cell", ["12.5", "1.012", "1.012,50", "1,2,3", ",5"])
def test_with_a_decimal_comma_what_may_mean_two_things_is_rejected(cell: str) -> None:
    with pytest.raises(InvalidRecord) as invalid:
        with_commas(unit_price=cell)

    assert invalid.value.reason["type"] == "ValidationError"
    assert "unit_price" in invalid.value.reason["message"]


def test_with_a_decimal_comma_what_is_no_number_stays_as_it_is() -> None:
    assert with_commas(unit_price="1", note="1,5 and 2.5")["note"] == "1,5 and 2.5"


def test_a_row_that_is_not_in_the_files_encoding_is_told() -> None:
    file = csv_file("a", "b")
    file["encoding"] = "cp1252"
    raw = "é,".encode() + b"\x81"

    with pytest.raises(InvalidRecord) as invalid:
        record_of(Row(1, 2, raw, ["é", "\udc81"]), file)

    assert invalid.value.reason["type"] == "WrongEncoding"
    assert invalid.value.reason["message"] == (
        "row is not cp1252 (byte 0x81, 2 bytes from where it starts), which the metadata "
        "'encoding' says; name the right one"
    )
