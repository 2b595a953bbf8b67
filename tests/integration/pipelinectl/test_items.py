import json
from decimal import Decimal
from typing import Any

import boto3
import pytest

from pipelinectl.items import Items
from tests.integration.pipelinectl.conftest import Deployed

PRICE = "12345678901234567890.123456789012345678"


def put(deployed: Deployed, execution_id: str, source: str = "test.csv") -> None:
    deployed.table.put_item(
        Item={
            "execution_id": execution_id,
            "data_source": source,
            "processing_type": "standard",
            "processed_at": "2026-01-01T00:00:00Z",
            "original_data": {"price": Decimal(PRICE), "tags": {"b", "a"}, "raw": b"\x00"},
            "transformed_data": {"data_source": source.upper()},
        }
    )


def test_items_are_a_table(deployed: Deployed) -> None:
    put(deployed, "run-1")

    result = deployed.run("items")

    assert result.exit_code == 0
    assert "run-1" in result.stdout
    assert "TEST.CSV" in result.stdout
    assert "1 item" in result.stderr
    assert "\x1b" not in result.stdout


def test_json_keeps_every_digit(deployed: Deployed) -> None:
    put(deployed, "run-1")

    result = deployed.run("items", "--json")

    (item,) = json.loads(result.stdout, parse_float=Decimal)
    assert f'"price": {PRICE}' in result.stdout
    assert item["original_data"] == {"price": Decimal(PRICE), "tags": ["a", "b"], "raw": "AA=="}
    assert result.stderr == ""


NUMBERS = [
    *("0", "-1", "1E+40", "-1.5E+100", "9.9999999999999999999999999999999999999E+125", "1E+125"),
    *("10000000000000000000000000000000000000000", "1E-130", "-1E-130", "1E-128", "1E-129"),
    *("1.2345678901234567890123456789012345678E-130", "12345678901234567890123456789012345678"),
]


@pytest.mark.parametrize("number", NUMBERS)
def test_no_number_that_dynamodb_holds_hides_the_table(deployed: Deployed, number: str) -> None:
    put(deployed, "other")
    document = {"M": {"n": {"N": number}, "list": {"L": [{"N": number}]}, "set": {"NS": [number]}}}
    item: Any = {
        "execution_id": {"S": "edge"},
        "data_source": {"S": "s"},
        "transformed_data": document,
    }
    boto3.client("dynamodb").put_item(TableName="processed", Item=item)

    result = deployed.run("items", "--json")

    assert result.exit_code == 0
    assert deployed.run("items").exit_code == 0
    items = {item["execution_id"]: item for item in json.loads(result.stdout, parse_float=Decimal)}
    assert items.keys() == {"edge", "other"}
    found = items["edge"]["transformed_data"]
    assert found["n"] == found["list"][0] == found["set"][0] == Decimal(number)


def test_source_limit_and_count(deployed: Deployed) -> None:
    for number in range(5):
        put(deployed, f"run-{number}", "a.csv" if number < 3 else "b.csv")

    assert {
        i["data_source"] for i in deployed.run("items", "--source", "a.csv", "--json").json
    } == {"a.csv"}
    assert len(deployed.run("items", "--limit", "2", "--json").json) == 2
    assert deployed.run("items", "--count").stdout == "5\n"
    assert deployed.run("items", "--count", "--source", "b.csv", "--json").json == {"count": 2}


def test_id_shows_the_whole_item(deployed: Deployed) -> None:
    put(deployed, "run-1")

    assert deployed.run("items", "--id", "run-1").json["data_source"] == "test.csv"


def test_an_unknown_id_is_1_and_says_where_else_to_look(deployed: Deployed) -> None:
    result = deployed.run("items", "--id", "nobody")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "pipelinectl dlq list" in result.stderr


def test_existing_finds_which_of_many_keys_are_there(deployed: Deployed) -> None:
    for number in range(0, 250, 50):
        put(deployed, f"run-{number}")

    items = Items(boto3.client("dynamodb"), "processed")

    assert items.existing(f"run-{number}" for number in range(250)) == {
        f"run-{number}" for number in range(0, 250, 50)
    }
