"""JSON values are what DynamoDB keeps, whichever way they were written."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.attribute_values import (
    MAX_NUMBER_DIGITS,
    NotHeld,
    attribute_value,
    attributes_of,
    number_text,
)

NUMBERS = st.integers(-(10**MAX_NUMBER_DIGITS) + 1, 10**MAX_NUMBER_DIGITS - 1).map(Decimal)
VALUES = st.recursive(
    st.none() | st.booleans() | st.text() | NUMBERS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(min_size=1), inner),
    max_leaves=10,
)


@given(VALUES)
def test_what_is_written_is_read_again(value: Any) -> None:
    assert attributes_of({"a": attribute_value(value)}) == {"a": value}


def test_what_others_keep_is_read_too() -> None:
    item: dict[str, dict[str, Any]] = {"ns": {"NS": ["1.5"]}, "ss": {"SS": ["a"]}, "b": {"B": b"x"}}

    assert attributes_of(item) == {"ns": {Decimal("1.5")}, "ss": {"a"}, "b": b"x"}


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_number_is_written_as_the_same_number_or_refused(number: Decimal | int) -> None:
    try:
        written = number_text(number)
    except NotHeld:
        digits = str(Decimal(number).copy_abs()).partition("E")[0].replace(".", "").strip("0")
        exponent = Decimal(number).adjusted()
        assert len(digits) > 38 or not -130 <= exponent <= 125
    else:
        assert Decimal(written) == number


@pytest.mark.parametrize(
    ("number", "written"),
    [
        *(
            ("1e125", "1E+125"),
            ("9" * 38, "9" * 38),
            ("-1e-130", "-1E-130"),
            ("1e37", "1" + "0" * 37),
        ),
        *(
            ("0", "0"),
            ("-0.0", "0"),
            ("0e-999", "0"),
            ("0e500", "0"),
            ("0e126", "0"),
            ("0e-166", "0"),
        ),
        *(("1e40", "1E+40"), ("1" + "0" * 40, "1E+40"), ("1.5" + "0" * 50, "1.5"), ("1.50", "1.5")),
        *(("-12e1", "-120"), ("0.001", "0.001"), ("1e-7", "1E-7"), ("9." + "9" * 37 + "e125",) * 2),
        ("1.2345678901234567890123456789012345678E-130",) * 2,
    ],
)
def test_a_number_is_written_without_what_says_nothing(number: str, written: str) -> None:
    expected = written.replace("e125", "E+125")

    assert number_text(Decimal(number)) == expected
    if Decimal(number) == int(Decimal(number)):
        assert number_text(int(Decimal(number))) == expected
