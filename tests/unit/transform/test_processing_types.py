from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core import exact_json
from pipeline_core.contract import InvalidRecord, StageRecord
from tests.events import ORDER, STANDARD, order, standard
from transform.handler import answers, transform
from transform.processing_types import PROCESSING_TYPES, money


def transformed(body: str) -> dict[str, object]:
    document: dict[str, object] = exact_json.loads(transform({"id": "a", "body": body})["data"])
    return document


def test_a_source_is_put_in_upper_case_and_metadata_added() -> None:
    document = transformed(standard(more=[1, "two"]))

    metadata = document.pop("processing_metadata")
    assert document == STANDARD | {"data_source": "TEST.CSV", "more": [1, "two"]}
    assert isinstance(metadata, dict)
    assert metadata["processing_type"] == "standard"
    assert metadata["processed_at"].endswith("Z")


def test_an_order_is_normalised_and_totalled() -> None:
    document = transformed(order(order_id="a-1", sku="tea", currency="usd", unit_price="0.1"))

    assert document["order_id"] == "A-1"
    assert document["sku"] == "TEA"
    assert document["currency"] == "USD"
    assert str(document["unit_price"]) == "0.10"
    assert str(document["total"]) == "0.30"
    assert document["ordered_at"] == "2026-03-01T08:30:00Z"


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [("1", "EUR", "1.00"), ("1.5", "JPY", "1.5"), ("2", "JPY", "2"), ("1", "KWD", "1.000")],
)
def test_money_has_at_least_the_digits_of_its_minor_unit(
    amount: str, currency: str, text: str
) -> None:
    assert str(money(amount, currency)) == text


@given(
    price=st.decimals("0", "999999999999999", places=10),
    quantity=st.integers(1, 1_000_000),
)
def test_a_total_is_exact(price: Decimal, quantity: int) -> None:
    document = transformed(order(unit_price=f"{price:f}", quantity=quantity))

    total = document["total"]
    assert isinstance(total, Decimal)
    assert total.as_integer_ratio()[0] * price.as_integer_ratio()[1] == (
        price.as_integer_ratio()[0] * quantity * total.as_integer_ratio()[1]
    )


@pytest.mark.parametrize("price", ["0", "-0.0", "0e500", "0e-999", "0.00000000000000"])
def test_a_price_of_nothing_is_nothing_however_it_is_written(price: str) -> None:
    body = json.dumps(ORDER)[:-1].replace('"12.5"', price) + "}"

    document = exact_json.loads(transform({"id": "a", "body": body})["data"])

    assert str(document["unit_price"]) == str(document["total"]) == "0.00"


def test_zeros_at_the_end_make_no_price_finer() -> None:
    body = json.dumps(ORDER)[:-1].replace('"12.5"', "12.5" + "0" * 60) + "}"

    document = exact_json.loads(transform({"id": "a", "body": body})["data"])

    assert str(document["unit_price"]) == "12.50"


def test_a_document_is_answered_in_its_own_letters() -> None:
    assert "\u0416" in transform({"id": "a", "body": standard(text="\u0416")})["data"]


def test_a_fault_of_a_type_s_function_is_the_failure_of_the_record_that_shows_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def transform_wrong(document: dict[str, Any]) -> dict[str, Any]:
        return document | {"half": document["private"] / 2}

    monkeypatch.setitem(PROCESSING_TYPES, "standard", transform_wrong)
    records: list[StageRecord] = [
        {"id": "a", "body": standard(private="private")},
        {"id": "b", "body": standard(private=4)},
    ]

    results = answers(records, transform)

    assert [result["outcome"] for result in results] == ["failed", "ok"]
    assert results[0]["reason"]["type"] == "TypeError"
    assert "private" not in results[0]["reason"]["message"]


def test_a_price_finer_than_any_is_refused() -> None:
    body = json.dumps(ORDER)[:-1].replace('"12.5"', "1e-99") + "}"

    with pytest.raises(InvalidRecord, match="at most 10 decimals"):
        transform({"id": "a", "body": body})


def test_a_type_without_a_function_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidRecord, match=f"known are: {', '.join(PROCESSING_TYPES)}$"):
        transform({"id": "a", "body": standard(processing_type="new")})
