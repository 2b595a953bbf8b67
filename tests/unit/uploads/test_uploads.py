from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.files import CHOICES
from uploads.uploads import (
    MAX_REQUEST_BYTES,
    SUFFIXES,
    RequestRefused,
    TooLarge,
    UnsupportedContentType,
    UploadRequest,
    parse,
)

MAXIMUM = 1000
GOOD: dict[str, Any] = {"size": 12, "content_type": "text/csv"}


def parsed(**changes: Any) -> UploadRequest:
    return parse(json.dumps(GOOD | changes), MAXIMUM)


def test_a_request_says_size_type_and_metadata() -> None:
    metadata = {"processing-type": "order", "data-source": "shop 7", "delimiter": ";"}

    assert parsed(metadata=metadata) == UploadRequest(12, "text/csv", metadata)
    assert parsed() == UploadRequest(12, "text/csv", {})


@pytest.mark.parametrize("size", [1, MAXIMUM])
def test_the_smallest_and_the_largest_upload_pass(size: int) -> None:
    assert parsed(size=size).size == size


@pytest.mark.parametrize("size", [0, -1, 1.5, 12.0, True, "12", None, [1]])
def test_a_size_that_is_no_positive_whole_number_is_refused(size: Any) -> None:
    with pytest.raises(RequestRefused, match="size must be a whole number from 1 to 1000: give"):
        parsed(size=size)


def test_a_missing_size_is_refused() -> None:
    with pytest.raises(RequestRefused, match="size must be a whole number"):
        parse('{"content_type": "text/csv"}', MAXIMUM)


def test_an_upload_that_is_too_large_is_413() -> None:
    with pytest.raises(TooLarge, match="more than 1000 bytes") as refused:
        parsed(size=MAXIMUM + 1)

    assert refused.value.status == 413


@pytest.mark.parametrize(
    "content_type", ["text/html", "text/csv; charset=utf-8", "TEXT/CSV", "", "x" * 5000, "\ud800"]
)
def test_a_content_type_that_is_not_processed_is_415(content_type: str) -> None:
    with pytest.raises(RequestRefused) as refused:
        parsed(content_type=content_type)

    assert isinstance(refused.value, UnsupportedContentType) or content_type == "\ud800"
    assert len(str(refused.value)) < 500


@pytest.mark.parametrize("content_type", [None, 1, ["text/csv"], {}])
def test_a_content_type_that_is_no_text_is_refused(content_type: Any) -> None:
    with pytest.raises(RequestRefused, match="content_type must be text"):
        parsed(content_type=content_type)


@pytest.mark.parametrize(
    ("content_type", "suffix"),
    [("application/json", ".json"), ("application/x-ndjson", ".jsonl"), ("text/csv", ".csv")],
)
def test_the_content_type_decides_the_suffix(content_type: str, suffix: str) -> None:
    assert parsed(content_type=content_type).suffix == suffix


@pytest.mark.parametrize(
    "value", ["", " a", "a ", "\t", "a\nb", "a\r\nx-amz-acl: public-read", "é", "x" * 257, 1, None]
)
def test_metadata_that_cannot_travel_in_a_header_is_refused(value: Any) -> None:
    with pytest.raises(RequestRefused, match=r"metadata\.data-source must be"):
        parsed(metadata={"data-source": value})


@pytest.mark.parametrize("delimiter", ['"', ";;", "TAB", "comma"])
def test_a_delimiter_that_is_none_is_refused(delimiter: str) -> None:
    with pytest.raises(RequestRefused, match=r"metadata\.delimiter must be one character"):
        parsed(metadata={"delimiter": delimiter})


@pytest.mark.parametrize("delimiter", [";", ",", "|", "tab"])
def test_a_delimiter_is_one_character_or_tab(delimiter: str) -> None:
    assert parsed(metadata={"delimiter": delimiter}).metadata == {"delimiter": delimiter}


@pytest.mark.parametrize("choice", ["absent", "empty"])
def test_what_an_empty_cell_is_can_be_chosen(choice: str) -> None:
    assert parsed(metadata={"empty-cells": choice}).metadata == {"empty-cells": choice}


@pytest.mark.parametrize("name", CHOICES)
def test_of_each_choice_every_word_is_taken(name: str) -> None:
    for choice in CHOICES[name]:
        assert parsed(metadata={name: choice}).metadata == {name: choice}


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("choice", ["null", "Empty", "UTF-8"])
def test_another_choice_is_refused_with_those_there_are(name: str, choice: str) -> None:
    known = ", ".join(CHOICES[name])
    with pytest.raises(RequestRefused, match=rf"metadata\.{name} must be one of: {known}"):
        parsed(metadata={name: choice})


def test_a_source_beyond_ascii_travels_as_rfc_2047_has_it() -> None:
    encoded = {"data-source": "=?UTF-8?B?WsO8cmljaA==?="}

    assert parsed(metadata=encoded).metadata == encoded


@pytest.mark.parametrize("metadata", [None, [], "a", 1])
def test_metadata_that_is_no_object_is_refused(metadata: Any) -> None:
    with pytest.raises(RequestRefused, match="metadata must be an object"):
        parsed(metadata=metadata)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"key": "../x"}, "field 'key' is unknown"),
        ({"metadata": {"acl": "public-read"}}, "metadata 'acl' is unknown"),
    ],
)
def test_what_is_unknown_is_refused_by_name(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        parsed(**changes)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not JSON"),
        ("[]", "no JSON object"),
        ('{"size": 1, "size": 2}', "stands twice"),
        ('{"size": NaN}', "NaN"),
        ("[" * 10_000, "nested too deeply"),
        ('{"size": ' + "9" * 2000 + "}", "digits"),
    ],
)
def test_a_body_that_is_no_json_object_is_refused(body: str, said: str) -> None:
    with pytest.raises(RequestRefused, match=said):
        parse(body, MAXIMUM)


def test_a_request_that_is_itself_too_large_is_413() -> None:
    with pytest.raises(TooLarge, match="not here"):
        parse(" " * (MAX_REQUEST_BYTES + 1), MAXIMUM)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("size", "content_type", "metadata"), JSON))
)
def test_whatever_comes_is_a_good_request_or_refused(document: dict[str, Any]) -> None:
    try:
        request = parse(json.dumps(document), MAXIMUM)
    except RequestRefused:
        return
    assert 0 < request.size <= MAXIMUM
    assert request.content_type in SUFFIXES
