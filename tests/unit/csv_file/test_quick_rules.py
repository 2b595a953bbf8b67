"""The rules' quick answer against their detailed one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.events import ORDER
from validate.rules import is_valid, property_types, schema_errors

values = st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(["", "x", "12.5", "EUR"])

changes = st.dictionaries(st.sampled_from([*ORDER, "record_id", "extra"]), values, max_size=3)


@given(change=changes, processing_type=st.sampled_from(["base", "order", "standard"]))
def test_quick_and_detailed_rules_agree(change: dict[str, Any], processing_type: str) -> None:
    document = ORDER | change

    assert is_valid(processing_type, document) == (not schema_errors(processing_type, document))


@given(document=values | st.lists(values, max_size=2))
def test_they_agree_on_what_is_no_object(document: Any) -> None:
    assert not is_valid("base", document)
    assert schema_errors("base", document) == ["record must be object"]


def test_the_types_of_properties_are_those_of_the_schema() -> None:
    types = property_types("order")

    assert types["quantity"] == {"integer"}
    assert types["unit_price"] == {"number", "string"}
    assert "data_source" not in types
    assert property_types("standard") == {}
