import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core import exact_json
from pipelinectl.exact_json import dumps

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON_VALUES, st.sampled_from([None, 2]))
def test_what_is_written_reads_back_the_same(value: object, indent: int | None) -> None:
    assert json.loads(dumps(value, indent=indent)) == value


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_every_digit_and_has_no_quotes(number: Decimal) -> None:
    written = dumps({"n": number})

    assert written == f'{{\n  "n": {number}\n}}'
    assert Decimal(exact_json.loads(written)["n"]).compare_total(number) == 0


def test_a_number_that_no_float_can_hold_is_not_changed() -> None:
    text = '{"price": 0.10000000000000000000000000000000000001}'

    assert dumps(exact_json.loads(text), indent=None) == text


def test_layout_is_that_of_the_standard_library() -> None:
    value = {"a": [1, {"b": []}], "c": {}, "d": "é"}

    assert dumps(value) == json.dumps(value, indent=2, ensure_ascii=False)
    assert dumps(value, indent=None) == json.dumps(value, ensure_ascii=False)


def test_what_dynamodb_answers_with_can_be_written() -> None:
    value = {"set": {"b", "a"}, "bytes": b"\x00", "at": datetime(2026, 1, 1, tzinfo=UTC)}

    assert json.loads(dumps(value)) == {
        "set": ["a", "b"],
        "bytes": "AA==",
        "at": "2026-01-01T00:00:00+00:00",
    }


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    assert dumps("\ud800") == '"\\ud800"'


WRONG = [
    *("", "{", "NaN", "[Infinity]", '{"a": 1, "a": 2}', "[" * 100_000, "\ufeff", "1\ufeff"),
    *("1e99999999999999999999", "1e-99999999999999999999", "[" * 100_000 + "]" * 100_000),
]


@pytest.mark.parametrize("text", WRONG)
def test_what_is_not_json_is_an_error(text: str) -> None:
    with pytest.raises(exact_json.JsonError):
        exact_json.loads(text)


@pytest.mark.parametrize("value", [Decimal("NaN"), object()])
def test_what_json_cannot_hold_is_an_error(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        dumps(value)


@pytest.mark.parametrize("text", ["\ufeff1", "\ufeff\ufeff1", "\ufeff 1"])
def test_a_byte_order_mark_before_a_text_is_dropped(text: str) -> None:
    assert exact_json.loads(text) == 1


@pytest.mark.parametrize("depth", [1, 200, 400, 500, exact_json.MAX_NESTING])
@pytest.mark.parametrize("indent", [None, 1])
def test_what_is_nested_deeply_is_written(depth: int, indent: int | None) -> None:
    value: object = "\u0416"
    for _ in range(depth):
        value = [value]

    written = dumps(value, indent=indent)

    assert "".join(written.split()) == "[" * depth + '"\u0416"' + "]" * depth
