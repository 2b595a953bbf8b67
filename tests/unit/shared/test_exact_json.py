from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import exact_json

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
)


@given(documents)
def test_what_json_can_say_is_read_as_it_was_written(document: Any) -> None:
    assert exact_json.loads(json.dumps(document)) == document
    assert exact_json.loads(json.dumps(document, ensure_ascii=False)) == document


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_number_keeps_every_digit(number: Decimal) -> None:
    assert str(Decimal(exact_json.loads(f"[{number:f}]")[0])) == str(Decimal(f"{number:f}"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON: Expecting value at line 1, column 1"),
        ("{", "not JSON"),
        ("nope", "not JSON"),
        ('{"a": 1} x', "not JSON: Extra data"),
        ("[NaN]", "NaN is not a JSON number"),
        ("[-Infinity]", "-Infinity is not a JSON number"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("9" * 5000, "more than 1000 digits"),
        ("0." + "9" * 5000, "more than 1000 digits"),
        ("1e99999999999999999999", "exponent"),
        ('"\\ud800"', "lone surrogate"),
        ('{"\\udfff": 1}', "lone surrogate"),
        ('"\ud800"', "lone surrogate"),
    ],
)
def test_what_is_not_exact_json_is_refused_with_the_reason(text: str, says: str) -> None:
    with pytest.raises(exact_json.JsonError, match=says):
        exact_json.loads(text)


def test_a_surrogate_pair_is_a_character() -> None:
    assert exact_json.loads('"\\ud83d\\ude00"') == "\U0001f600"
