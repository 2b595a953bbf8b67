from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.contract import InvalidRecord, StageRecord, each
from tests.events import ORDER, STANDARD
from transform.processing_types import PROCESSING_TYPES
from validate.rules import processing_types, validate


def errors_of(body: str) -> list[str]:
    with pytest.raises(InvalidRecord) as invalid:
        validate({"id": "a", "body": body})
    return invalid.value.reason["errors"]


def type_of_rejection(body: str) -> str:
    with pytest.raises(InvalidRecord) as invalid:
        validate({"id": "a", "body": body})
    return invalid.value.reason["type"]


@pytest.mark.parametrize("document", [STANDARD, STANDARD | {"more": [1, {}]}, ORDER])
def test_a_well_formed_record_passes_without_data(document: dict[str, Any]) -> None:
    assert validate({"id": "a", "body": json.dumps(document)}) == {"id": "a", "outcome": "ok"}


@pytest.mark.parametrize("field", ["data_source", "processing_type"])
@pytest.mark.parametrize("wrong", [None, "", 1, [], {}])
def test_source_and_type_are_required_texts(field: str, wrong: object) -> None:
    (error,) = errors_of(json.dumps(STANDARD | {field: wrong}))

    assert error.startswith(field)


def test_both_missing_are_both_named() -> None:
    assert errors_of("{}") == ["record must contain data_source, processing_type"]


def test_an_unknown_type_is_answered_with_the_known_ones() -> None:
    body = json.dumps(STANDARD | {"processing_type": "nope"})

    assert type_of_rejection(body) == "UnknownProcessingType"
    assert errors_of(body) == [
        f"processing_type 'nope' is unknown; it must be one of: {', '.join(processing_types())}"
    ]


@pytest.mark.parametrize("body", ["null", "[]", "1", '"text"', "true"])
def test_a_record_is_an_object(body: str) -> None:
    assert errors_of(body) == ["record must be object"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(
    st.dictionaries(st.sampled_from(["data_source", "processing_type", "quantity", "x"]), JSON),
    st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=256),
)
def test_whatever_is_wrong_with_a_document_in_s3_its_record_id_is_told(
    document: dict[str, Any], record_id: str
) -> None:
    text = json.dumps(document | {"record_id": record_id})
    pointed: StageRecord = {"id": "a", "pointer": {"bucket": "b", "key": "k"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validate.rules.read", lambda _: (text, None))
        (result,) = each([pointed], validate)

    assert json.loads(result["data"]) == {"record_id": record_id}


@pytest.mark.parametrize("record_id", [None, 1, "", [], "\x01", "x" * 2049, "\ufffe"])
def test_a_record_id_that_can_be_no_key_is_not_told(record_id: object) -> None:
    text = json.dumps({"record_id": record_id})
    pointed: StageRecord = {"id": "a", "pointer": {"bucket": "b", "key": "k"}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("validate.rules.read", lambda _: (text, None))
        (result,) = each([pointed], validate)

    assert result["outcome"] == "rejected"
    assert "data" not in result


@pytest.mark.parametrize("name", ["base", "__proto__", "../order", "order.json"])
def test_a_type_is_no_path(name: str) -> None:
    assert type_of_rejection(json.dumps(STANDARD | {"processing_type": name})) == (
        "UnknownProcessingType"
    )


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("order_id", "has spaces"),
        ("order_id", ""),
        ("sku", "x" * 65),
        ("quantity", 0),
        ("quantity", 1.5),
        ("quantity", "3"),
        ("quantity", True),
        ("unit_price", -1),
        ("unit_price", "-1"),
        ("unit_price", "12,50"),
        ("unit_price", "1e3"),
        ("currency", "ZZZ"),
        ("currency", 978),
        ("ordered_at", "2026-03-01"),
        ("ordered_at", "2026-03-01T09:30:00"),
        ("ordered_at", "2026-13-01T09:30:00Z"),
        ("ordered_at", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_each_field_of_an_order_has_its_rule(field: str, wrong: object) -> None:
    (error,) = errors_of(json.dumps(ORDER | {field: wrong}))

    assert error.startswith(field)


def test_every_reason_is_told_not_only_the_first() -> None:
    wrong = {"quantity": 0, "currency": "ZZZ", "ordered_at": "", "extra": 1, "data_source": ""}

    errors = errors_of(json.dumps(ORDER | wrong))

    assert len(errors) == len(wrong)


def test_many_or_long_unknown_fields_are_named_shortly() -> None:
    (error,) = errors_of(json.dumps(ORDER | {"a" * 100: 1} | {f"b{n}": n for n in range(20)}))

    named = ", ".join(["a" * 37 + "...", *(f"b{n}" for n in range(9))])
    assert error == f"record must not contain {named}, and 11 more"


@pytest.mark.parametrize(
    "number",
    [
        *("0e-999", "-0.0", "0e500", "1e40", "1e999999999999999999", "1e-999999999999999999"),
        *("9" * 1000, "1.5" + "0" * 990),
    ],
)
@pytest.mark.parametrize("field", sorted(ORDER))
def test_an_odd_number_in_any_field_is_right_or_wrong_and_no_crash(field: str, number: str) -> None:
    fields = json.dumps({name: value for name, value in ORDER.items() if name != field})

    (result,) = each([{"id": "a", "body": f'{fields[:-1]}, "{field}": {number}}}'}], validate)

    assert result["outcome"] in ("ok", "rejected")


def test_each_type_that_is_validated_is_transformed_and_the_other_way_round() -> None:
    assert processing_types() == sorted(PROCESSING_TYPES)
