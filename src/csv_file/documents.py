"""From a row to the transformed document, by the rules of its processing type."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypeVar

import simplejson

from csv_file.rows import Row
from csv_file.syntax import check_quotes
from pipeline_core import exact_json
from pipeline_core.contract import InvalidRecord
from pipeline_core.files import File
from pipeline_core.messages import usable_record_id
from pipeline_core.sizes import batches
from transform.processing_types import transform_document
from validate.rules import is_valid, parse, property_types, schema_errors, type_of

Document = dict[str, Any]

T = TypeVar("T")

DEFAULTED: tuple[Literal["processing_type"], Literal["data_source"]] = (
    "processing_type",
    "data_source",
)

_LITERALS = {
    "integer": re.compile(r"-?(?:0|[1-9][0-9]*)"),
    "number": re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?"),
    "boolean": re.compile(r"true|false"),
}

_SHORT_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_WITH_INTEGERS = frozenset({"integer", "number"})

_MARK = codecs.BOM_UTF8.decode()

_BLANK = " \t\r\n"
"""Around a JSON text, by its grammar."""

_NUL_REMEDY = "it seems to be UTF-16, or no text at all; save the whole file as UTF-8"

_OTHER_REMEDY = (
    "it seems to be Windows-1252 or ISO 8859-1; name what it is in the metadata 'encoding', or "
    "save the whole file as UTF-8"
)

_COMMA = re.compile(r"-?[0-9]+,[0-9]+(?:[eE][+-]?[0-9]+)?")
"""A number with a decimal comma, and nothing else: 1.234,5 could mean two things."""

_POINT = re.compile(r"-?[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?")
"""Where commas are decimal, a point may be between thousands."""

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode

_encode_decimals = simplejson.JSONEncoder(
    separators=(",", ":"), check_circular=False, use_decimal=True
).encode


class Verdict(NamedTuple):
    """What became of a row: the JSON text of its transformed document, or why it has none.

    Where rows become items, ``record_id`` is the identity that the row gives itself, if it does,
    and ``execution_id`` the key that its item gets.
    """

    row: Row
    record: str
    invalid: InvalidRecord | None = None
    record_id: str | None = None
    execution_id: str = ""

    def refused(self, invalid: InvalidRecord) -> Verdict:
        """The same row, which has come to nothing after all."""
        return self._replace(record="", invalid=invalid)


ROWS_AT_ONCE = 64
BYTES_AT_ONCE = 256 * 1024
"""Rows that are judged together: each step of all of them, and then the next one. A processor that
does the same thing again and again takes three tenths less time for it."""


def verdicts_of(rows: Iterable[Row], file: File) -> Iterator[Verdict]:
    """What becomes of each row, in order: a transformed document, or every reason why not.

    The row's own processing type and source win over those of the file.
    """
    is_item = file.get("rows") == "items"
    for block in batches(rows, _size, max_bytes=BYTES_AT_ONCE, max_entries=ROWS_AT_ONCE):
        read = _each(lambda row: _read(row, file), block)
        checked = _each(_checked, read)
        records = _each(json_text, _each(transform_document, checked))
        for row, document, record in zip(block, read, records, strict=True):
            if isinstance(record, InvalidRecord):
                yield Verdict(row, "", record)
            else:
                record_id = usable_record_id(document) if is_item else None
                yield Verdict(row, record, record_id=record_id)


def _size(row: Row) -> int:
    return len(row.raw)


def _each(step: Callable[[Any], T], values: Iterable[Any]) -> list[T | InvalidRecord]:
    """What ``step`` makes of each value, or why nothing; what was refused before stays so."""
    made: list[T | InvalidRecord] = []
    for value in values:
        if isinstance(value, InvalidRecord):
            made.append(value)
            continue
        try:
            made.append(step(value))
        except InvalidRecord as invalid:
            made.append(invalid)
    return made


def _read(row: Row, file: File) -> Document:
    document: Document = document_of(row, file)
    if isinstance(document, dict):
        for name in DEFAULTED:
            if document.get(name) in (None, ""):
                document[name] = file[name]
    if file["format"] == "csv":
        _read_literals(document, type_of(document), comma=file.get("decimal") == "comma")
    return document


def _checked(document: Document) -> Document:
    processing_type = type_of(document)
    if not is_valid(processing_type, document) and (
        errors := schema_errors(processing_type, document)
    ):
        raise InvalidRecord("ValidationError", errors)
    return document


def document_of(row: Row, file: File) -> Any:
    """What the row holds, by itself: of CSV its cells, by their columns' names.

    Raises:
        InvalidRecord: it cannot be read.
    """
    return _from_cells(row, file) if file["format"] == "csv" else _from_json(row, file)


def original_of(row: Row, file: File) -> str:
    """What the row holds, which must be readable, as JSON text."""
    if file["format"] == "csv":
        return json_text(document_of(row, file))
    return row.raw.decode().lstrip(_MARK).strip(_BLANK)


def json_text(document: Document) -> str:
    """``document`` as JSON on one line, in ASCII, numbers exact."""
    if Decimal in map(type, document.values()):  # to try the other one first would take longer
        return _encode_decimals(document)
    try:
        return _encode(document)
    except TypeError:  # a Decimal further down, which only the slower encoder can write
        return _encode_decimals(document)


def _from_cells(row: Row, file: File) -> Document:
    """The cells by their columns' names; an empty cell is a field that is not there, or empty."""
    if b'"' in row.raw:
        check_quotes(row.raw, row.line, file["delimiter"], file["header"])
    _refuse_other_encodings(row.raw, file)
    if len(row.fields) != len(file["header"]):
        counts = f"row has {len(row.fields)} fields, the header {len(file['header'])}"
        raise InvalidRecord("WrongNumberOfFields", [counts])
    fields = row.fields if row.raw.isascii() else _without_mark(row)
    cells = zip(file["header"], fields, strict=True)
    if file.get("empty_cells") == "empty":
        return dict(cells)
    return {name: cell for name, cell in cells if cell}


def _without_mark(row: Row) -> list[str]:
    """The fields, the first without the mark that a file brings along into one it is joined to."""
    if not row.raw.startswith(codecs.BOM_UTF8):
        return row.fields
    first, *others = row.fields
    return [first.lstrip(_MARK), *others]


def _from_json(row: Row, file: File) -> Any:
    _refuse_other_encodings(row.raw, file)
    # Without its line break: the parser would place the end of a text in a second line.
    return parse(row.raw.decode().lstrip(_MARK).rstrip(_BLANK))


def _refuse_other_encodings(raw: bytes, file: File) -> None:
    if b"\0" in raw:
        byte = f"a NUL byte, {raw.index(0)} bytes from where it starts"
        raise InvalidRecord("NotUtf8", [f"row has {byte}: {_NUL_REMEDY}"])
    if raw.isascii():
        return
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        encoding = file.get("encoding", "utf-8")
        before = len(raw[: error.start].decode().encode(encoding))
        byte = f"byte 0x{raw[error.start]:02X}, {before} bytes from where it starts"
        if encoding != "utf-8":
            problem = f"row is not {encoding} ({byte}), which the metadata 'encoding' says"
            raise InvalidRecord("WrongEncoding", [f"{problem}; name the right one"]) from None
        problem = f"row is not UTF-8 ({byte}): {_OTHER_REMEDY}"
        raise InvalidRecord("NotUtf8", [problem]) from None


def _read_literals(document: Document, processing_type: str, *, comma: bool) -> None:
    """Read the cells whose property may not be text, where they are literals of its type.

    With a decimal ``comma`` also those that may be text: which of them are numbers nobody else
    could tell.
    """
    for name, types in property_types(processing_type).items():
        if name not in document:
            continue
        if comma and "number" in types:
            document[name] = _with_point(document[name], name)
        if "string" not in types:
            document[name] = _literal(document[name], types)


def _with_point(cell: str, name: str) -> str:
    """The number in ``cell``, which has a decimal comma if it has decimals, as JSON has it.

    Raises:
        InvalidRecord: it has a decimal point, which could be between thousands.
    """
    if _POINT.fullmatch(cell):
        problem = f"{name} is {cell[:50]!r}, and the metadata 'decimal' is 'comma'"
        raise InvalidRecord(
            "ValidationError", [f"{problem}; write it with a comma, or leave that out"]
        )
    return cell.replace(",", ".") if _COMMA.fullmatch(cell) else cell


def _literal(cell: str, types: frozenset[str]) -> Any:
    if _SHORT_INTEGER.fullmatch(cell) and not types.isdisjoint(_WITH_INTEGERS):
        return int(cell)  # what a parser of JSON makes of it, in a tenth of the time
    if any(kind in types and literal.fullmatch(cell) for kind, literal in _LITERALS.items()):
        try:
            return exact_json.loads(cell)
        except exact_json.JsonError:
            return cell  # a number beyond all bounds; the schema will refuse it as text
    return cell
