from __future__ import annotations

import pytest

from csv_file.planning import described
from csv_file.syntax import InvalidFile
from pipeline_core.files import CHOICES
from tests.unit.csv_file.reading import a_head
from validate.rules import processing_types


@pytest.mark.parametrize(
    ("key", "metadata", "processing_type"),
    [
        ("input/x.csv", {}, "standard"),
        ("input/order/x.csv", {}, "order"),
        ("input/order/2026/x.csv", {}, "order"),
        ("input/2026/order/x.csv", {}, "standard"),
        ("input/nope/x.csv", {}, "standard"),
        ("order/x.csv", {}, "standard"),
        ("x.csv", {}, "standard"),
        ("input/order/x.csv", {"processing_type": "standard"}, "standard"),
        ("input/x.csv", {"processing_type": "order"}, "order"),
        ("input/order/x.csv", {"processing_type": ""}, "order"),
    ],
)
def test_the_processing_type_is_that_of_the_metadata_else_of_the_folder(
    key: str, metadata: dict[str, str], processing_type: str
) -> None:
    file, _ = described(a_head(b"a\n", key, **metadata))

    assert file["processing_type"] == processing_type


def test_an_unknown_type_in_the_metadata_is_answered_with_the_known_ones() -> None:
    known = ", ".join(processing_types())
    why = f"the metadata 'processing-type' is 'nope'; it must be one of: {known}"

    with pytest.raises(InvalidFile) as invalid:
        described(a_head(b"a\n", processing_type="nope"))

    assert invalid.value.reason == {
        "type": "UnknownProcessingType",
        "message": why,
        "errors": [why],
    }


@pytest.mark.parametrize(
    ("key", "metadata", "source"),
    [
        ("input/a/b c.csv", {}, "b c.csv"),
        ("b.csv", {}, "b.csv"),
        ("input/b.csv", {"data_source": "Shop"}, "Shop"),
        ("input/b.csv", {"data_source": ""}, "b.csv"),
    ],
)
def test_the_source_is_that_of_the_metadata_else_the_files_name(
    key: str, metadata: dict[str, str], source: str
) -> None:
    file, _ = described(a_head(b"a\n", key, **metadata))

    assert file["data_source"] == source


@pytest.mark.parametrize(
    ("given", "choice"), [({}, "absent"), ("", "absent"), ("absent", "absent"), ("empty", "empty")]
)
def test_what_an_empty_cell_is_the_metadata_choose(
    given: str | dict[str, str], choice: str
) -> None:
    metadata = {"empty_cells": given} if isinstance(given, str) else given

    file, _ = described(a_head(b"a\n", **metadata))

    assert file["empty_cells"] == choice


@pytest.mark.parametrize("given", ["none", "Empty", "null", " "])
def test_another_choice_is_answered_with_those_there_are(given: str) -> None:
    with pytest.raises(InvalidFile) as invalid:
        described(a_head(b"a\n", empty_cells=given))

    message = f"the metadata 'empty-cells' is {given!r}; it must be one of: absent, empty"
    assert invalid.value.reason == {
        "type": "InvalidMetadata",
        "message": message,
        "errors": [message],
    }


@pytest.mark.parametrize(
    ("value", "source"),
    [
        ("=?UTF-8?B?WsO8cmljaA==?=", "Zürich"),
        ("=?utf-8?q?Z=C3=BCrich?=", "Zürich"),
        ("=?UTF-8?B?WsO8?= =?UTF-8?B?cmljaA==?=", "Zürich"),
        ("=?ISO-8859-1?Q?Z=FCrich?=", "Zürich"),
        ("a=?b", "a=?b"),
        ("100%", "100%"),
    ],
)
def test_metadata_beyond_ascii_are_read_as_s3_gives_them(value: str, source: str) -> None:
    file, _ = described(a_head(b"a\n", data_source=value))

    assert file["data_source"] == source


@pytest.mark.parametrize("value", ["=?UTF-8?B?/w==?=", "=?nope?Q?a?=", "=?UTF-8?B?a?="])
def test_metadata_that_cannot_be_read_are_told(value: str) -> None:
    with pytest.raises(InvalidFile, match=r"the metadata 'data-source' is .* RFC 2047"):
        described(a_head(b"a\n", data_source=value))


def test_metadata_of_others_are_left_alone() -> None:
    described(a_head(b"a\n", comment="=?UTF-8?B?/w==?="))


@pytest.mark.parametrize("name", CHOICES)
def test_of_each_choice_another_word_is_answered_with_those_there_are(name: str) -> None:
    with pytest.raises(InvalidFile) as invalid:
        described(a_head(b"a\n", **{name.replace("-", "_"): "nope"}))

    known = ", ".join(CHOICES[name])
    message = f"the metadata {name!r} is 'nope'; it must be one of: {known}"
    assert invalid.value.reason == {
        "type": "InvalidMetadata",
        "message": message,
        "errors": [message],
    }


def test_what_rows_become_the_metadata_say_else_the_deployment() -> None:
    assert described(a_head(b"a\n"))[0].get("rows") == "results"
    assert described(a_head(b"a\n"), "items")[0].get("rows") == "items"
    assert described(a_head(b"a\n", rows="results"), "items")[0].get("rows") == "results"


@pytest.mark.parametrize("encoding", [one for one in CHOICES["encoding"] if one != "cp1251"])
def test_a_header_is_read_in_the_files_encoding(encoding: str) -> None:
    file, _ = described(a_head("größe§ort\n".encode(encoding), encoding=encoding, delimiter="§"))

    assert file["header"] == ["größe", "ort"]
    assert file.get("encoding") == encoding


@pytest.mark.parametrize(
    ("content", "metadata", "said"),
    [
        (b"a\x81b\n", {}, "the file is not cp1252, which the metadata 'encoding' says (byte 0x81"),
        (b"\xef\xbb\xbfa\n", {}, "the file begins as UTF-8 does, and the metadata 'encoding' is"),
        (b"a\n", {"delimiter": "ψ"}, "the metadata 'delimiter' is 'ψ', which cp1252 does not have"),
    ],
)
def test_what_cannot_be_in_that_encoding_is_told_with_the_remedy(
    content: bytes, metadata: dict[str, str], said: str
) -> None:
    with pytest.raises(InvalidFile) as invalid:
        described(a_head(content, encoding="cp1252", **metadata))

    assert invalid.value.reason["message"].startswith(said)
    assert invalid.value.reason["type"] in {"WrongEncoding", "InvalidDelimiter"}
