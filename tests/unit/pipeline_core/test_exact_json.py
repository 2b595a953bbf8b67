from __future__ import annotations

import json
import sys
import threading
from decimal import Decimal
from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core import exact_json

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
        ("[1e-99999999999999999999]", "exponent"),
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


ACCEPTED = [
    *("null", "true", "false", "0", "-0", "1", "-1", '""', "[]", "{}", " 1 ", "\t1\r\n", "[null]"),
    *("0.5", "-0.0", "0e0", "0e-999", "0e500", "-0e500", "1E5", "1e+5", "1e-5", "1.50", "-1.5e-7"),
    *("1e125", "1e126", "1e-130", "1e-131", "1e999999", "0e126", "0e127", "0e-166"),
    *("99999999999999999999999999999999999999", "10000000000000000000000000000000000000000"),
    *("1e999999999999999999", '"a"', '"\\u0041"', '"\\\\"', '"\\""', '"\\/"', '"\\b\\f\\n\\r\\t"'),
    *('"\\u0000"', '"\\u2028"', '"\u2028"', '"\u0416"', '"\U0001f600"', '"\\ud83d\\ude00"'),
    *('"\\uD83D\\uDE00"', '"\\\\ud800"', '"\x7f"', '"\ufeff"', '"\ufffe"', '"[[[["', '"{"'),
    *('"\\"["', '["\\\\", "[", "]"]', "[1]", "[1,2]", "[ 1 , 2 ]", "[[]]", "[{}]", '[""]'),
    *("[true,false,null]", "[[],[[]],[[[]]]]", '{"": 1}', '{"a": 1}', '{"a": {"a": 1}}'),
    *('{"\\u0000": 1}', '{"__proto__": 1}', '{"a.b": 1}', "\ufeff1", "\ufeff{}"),
    *('\ufeff{"a": "\ufeff"}', "\ufeff\ufeff[]", "\ufeff 1"),
    *("9" * 1000, "0." + "0" * 990 + "1", f'["{"9" * 1001}", 1.5, {"9" * 1000}]'),
]

REFUSED = [
    *("", " ", "\n", "\x00", "\ufeff", "\x0c1", "\xa01", "\u20601", "nul", "nulll", "True", "None"),
    *("nan", "NaN", "-NaN", "Infinity", "-Infinity", "[NaN]", "[1,Infinity]", '{"a": NaN}', "inf"),
    *("undefined", "+1", "01", "-01", "-", "--1", "1.", ".1", "-.1", "1e", "1e+", "1.e1", "0x1"),
    *("1_000", "1 000", "1,5", "\uff11", "\u0663", "1f", "0b1", "1e1.5", "1ee5", "2.e-3", "-1x"),
    *("1e99999999999999999999", '"', '"a', 'a"', "'a'", '"\\x41"', '"\\u12"', '"\\u00GG"', '"\\'),
    *('"\\"', '"\n"', '"\t"', '"\x00"', '"\\ud800"', '"\\udc00"', '"\\udc00\\ud800"', '"\\ud800a"'),
    *('"\\ud800\\u0041"', '"\ud800"', '"\udfff"', '{"\\ud800": 1}', '"\\\\\\ud800"', '["\\uD800"]'),
    *('"\ud83d\ude00"', '"\\u\ud800"', "[", "]", "[1", "[1,", "[,1]", "[1,]", "[1 2]", "[1,,2]"),
    *("[1]]", "[1}", "[[1]", "[1:2]", "(1)", "{", "}", "{]", '{"a"', '{"a":', '{"a":1', '{"a":1,'),
    *('{"a":1,}', "{a:1}", "{1:1}", "{null:1}", "{'a':1}", '{"a" 1}', '{"a"::1}', '{"a":1 "b":2}'),
    *('{"a":1,,"b":2}', '{"a":1}}', "{,}", "{[]:1}", '{"a":1,"a":1}', '{"a":1,"\\u0061":2}'),
    *('[{"b":{"a":1,"a":2}}]', '{"":1,"":2}', "1 2", "{}{}", "[][]", "1\ufeff", "[\ufeff]", "{}x"),
    *("null null", "//\n1", "/**/1", "1//", "#1", "[1] // a", '{"a":/**/1}', "<a/>", "a=1", "*"),
    *("\\", "\\u0031", "[\\n]", "--", "\xe9", "\ufffd", "00", "1e-99999999999999999999"),
    *("9" * 1001, "-" + "9" * 1000, "0." + "9" * 999, "9" * 5000, "9" * 100_000, "1e" + "9" * 5000),
    *(f'["{"9" * 1001}", 1e99999999999999999999]', f'["\u0416", {"9" * 1001}]'),
    *("1" * 4301, "[" + "1" * 4301 + "]", '{"a":' + "7" * 4400 + "}"),
]


@pytest.mark.parametrize("text", ACCEPTED)
def test_a_right_text_is_read(text: str) -> None:
    standard = json.loads(text.lstrip("\ufeff"), parse_float=Decimal)

    assert exact_json.loads(text) == standard


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_text_is_refused_and_nothing_else_raised(text: str) -> None:
    with pytest.raises(exact_json.JsonError):
        exact_json.loads(text)


BROKEN = st.lists(
    st.sampled_from([*ACCEPTED, *REFUSED, *'[]{}":,\\ue.-019\ud800\ufeff\n']), max_size=12
)


@given(st.text() | BROKEN.map("".join))
def test_no_text_raises_anything_but_a_json_error(text: str) -> None:
    try:
        exact_json.loads(text)
    except exact_json.JsonError as error:
        str(error).encode()  # and what it says can be sent on


NESTED = {
    "lists": ("[", "]"),
    "objects": ('{"a":', "}"),
    "brackets in strings beside": ('{"[[{{\\"[":"[[\\\\","a":', "}"),
    "letters beyond ASCII": ('{"\u0416":"\u0416","a":', "}"),
    "surrogate escapes": ('["\\ud83d\\ude00",', "]"),
    "neighbours": ('["]",' + "[]," * 50 + "[", "]]"),
}
DEPTHS = [1, 31, 32, 33, 199, 200, 201, 400, 511, 512, 513, 985, 986, 987, 1500, 10_000, 100_000]


def innermost(opening: str) -> str:
    return "1" if opening.endswith((":", ",")) else ""


@pytest.mark.parametrize("kind", NESTED)
def test_the_same_depth_is_read_whatever_python_takes(kind: str) -> None:
    opening, closing = NESTED[kind]
    for depth in DEPTHS:
        text = opening * depth + innermost(opening) + closing * depth

        if depth * len(closing) <= exact_json.MAX_NESTING:
            assert exact_json.loads(text) is not None
        else:
            with pytest.raises(exact_json.JsonError, match="nested too deeply"):
                exact_json.loads(text)


@pytest.mark.parametrize("kind", NESTED)
def test_brackets_that_are_never_closed_are_refused(kind: str) -> None:
    for depth in DEPTHS:
        with pytest.raises(exact_json.JsonError):
            exact_json.loads(NESTED[kind][0] * depth)


def test_brackets_side_by_side_or_in_strings_are_no_nesting() -> None:
    many = 2 * exact_json.MAX_NESTING

    assert exact_json.loads(f"[{'[],' * many}1]")[-1] == 1
    assert exact_json.loads(json.dumps(["[" * many, "\\", '"{' * many]))[1] == "\\"


def test_where_the_stack_is_nearly_used_up_a_deep_text_is_refused_not_a_crash() -> None:
    """Read at any depth of the stack: the value, or that it is nested too deeply."""
    said: set[str] = set()

    def descend(text: str, frames: int) -> None:
        if frames:
            return descend(text, frames - 1)
        try:
            exact_json.loads(text)
            said.add("read")
        except exact_json.JsonError as error:
            said.add(str(error))
        return None

    def run() -> None:
        text = '["\u0416\\ud83d\\ude00",' * 300 + "1" + "]" * 300
        for frames in chain(range(0, sys.getrecursionlimit() - 60, 40)):
            descend(text, frames)

    thread = threading.Thread(target=run)  # whose stack is empty, so that the numbers are the same
    thread.start()
    thread.join()

    assert "read" in said
    assert all(text == "read" or text.startswith("nested too deeply") for text in said)


@pytest.mark.parametrize(
    ("written", "means"),
    [
        *(("0", "0"), ("-0.0", "0"), ("0e500", "0"), ("0e-999", "0"), ("1.50", "1.5")),
        *(
            ("1.5" + "0" * 60, "1.5"),
            ("1" + "0" * 40, "1E+40"),
            ("1e40", "1E+40"),
            ("-1200", "-1.2E+3"),
        ),
        *(("9" * 38, "9" * 38), ("1e999999999999999999", "1E+999999999999999999")),
    ],
)
def test_a_plain_number_has_no_zeros_that_say_nothing(written: str, means: str) -> None:
    assert str(exact_json.plain(exact_json.loads(written))) == means


@given(st.decimals(allow_nan=False, allow_infinity=False) | st.integers())
def test_a_plain_number_is_the_same_number(number: Decimal | int) -> None:
    plain = exact_json.plain(number)

    assert plain == number
    assert not plain or plain.as_tuple().digits[-1] != 0
