import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import boto3
import pytest

from pipelinectl.items import Items
from tests.events import sqs_message, standard
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import give_up
from tests.unit.pipelinectl.stories import Story, Told

UUID = "7f3c1d1e-58cf-4f8b-a9d2-0d4b36a1d0a1"

PRICE = "12345678901234567890.123456789012345678"


def put(deployed: Deployed, execution_id: str, source: str = "test.csv", **more: str) -> None:
    deployed.table.put_item(
        Item={
            "execution_id": execution_id,
            "data_source": source,
            "processing_type": "standard",
            "processed_at": "2026-01-01T00:00:00Z",
            "original_data": {"price": Decimal(PRICE), "tags": {"b", "a"}, "raw": b"\x00"},
            "transformed_data": {"data_source": source.upper()},
            **more,
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


def test_items_are_chosen_by_type_and_by_when_they_were_stored(deployed: Deployed) -> None:
    for number, processing_type in enumerate(("order", "order", "standard"), start=1):
        stored_at = f"2026-03-0{number}T12:00:00.000000Z"
        put(
            deployed, f"run-{number}", "a.csv", processing_type=processing_type, stored_at=stored_at
        )

    def shown(*narrowed: str) -> list[str]:
        found = deployed.run("items", "--json", *narrowed).json
        count = deployed.run("items", "--count", "--json", *narrowed).json["count"]
        assert count == len(found)
        return sorted(item["execution_id"] for item in found)

    assert shown("--type", "order") == ["run-1", "run-2"]
    assert shown("--since", "2026-03-02T00:00Z") == ["run-2", "run-3"]
    assert shown("--until", "2026-03-02T12:00Z") == ["run-1"]
    assert shown("--type", "order", "--since", "2026-03-02T00:00Z") == ["run-2"]
    assert shown("--since", "1h") == []
    assert deployed.run("items", "--since", "yesterday").exit_code == 2


def test_id_shows_the_whole_item(deployed: Deployed) -> None:
    put(deployed, "run-1")

    assert deployed.run("items", "--id", "run-1").json["data_source"] == "test.csv"


def test_id_takes_the_beginning_and_the_message(deployed: Deployed, told: Told) -> None:
    put(deployed, "run-1")

    assert deployed.run("items", "--id", "run").json["execution_id"] == "run-1"


def test_an_unknown_id_is_1_and_says_where_was_looked(deployed: Deployed, told: Told) -> None:
    result = deployed.run("items", "--id", "nobody")

    assert result.exit_code == 1
    assert result.stdout == ""
    assert "it may still wait in a queue" in result.stderr


def test_the_id_of_a_dead_letter_leads_to_it(deployed: Deployed, told: Told) -> None:
    letter = give_up(deployed, message_id=UUID)

    result = deployed.run("items", "--id", UUID)

    assert result.exit_code == 1
    assert f"it is a dead letter: see 'pipelinectl dlq show {letter}'" in result.stderr


def test_a_record_on_its_way_is_said_to_be(deployed: Deployed, told: Told) -> None:
    story = Story("a/1", [sqs_message(standard(), UUID)]).invoke("validate", [UUID])
    told.stories.append(story)

    result = deployed.run("items", "--id", UUID)

    assert result.exit_code == 1
    assert f"record 'test-{UUID}' has no item yet: it is on its way" in result.stderr


def put_number(deployed: Deployed, number: int) -> None:
    put(deployed, f"run-{number}")


def give_up_number(deployed: Deployed, number: int) -> None:
    give_up(deployed, message_id=f"m-{number}")


@pytest.mark.parametrize(
    ("command", "noun", "make"),
    [("items", "item", put_number), ("dlq list", "dead letter", give_up_number)],
)
def test_a_list_that_is_cut_says_so_and_json_is_not_cut(
    deployed: Deployed, command: str, noun: str, make: Callable[[Deployed, int], None]
) -> None:
    for number in range(102):
        make(deployed, number)

    cut = deployed.run(*command.split(), "--limit", "101").stdout.splitlines()[-1]
    whole = deployed.run(*command.split(), "--limit", "102").stdout

    assert cut.startswith(f"cut after 101 {noun}s")
    assert "cut after" not in whole
    assert len(deployed.run(*command.split(), "--json").json) == 102
    assert len(deployed.run(*command.split(), "--json", "--limit", "2").json) == 2


def test_existing_finds_which_of_many_keys_are_there(deployed: Deployed) -> None:
    for number in range(0, 250, 50):
        put(deployed, f"run-{number}")

    items = Items(boto3.client("dynamodb"), "processed")

    assert items.existing(f"run-{number}" for number in range(250)) == {
        f"run-{number}" for number in range(0, 250, 50)
    }


def test_items_are_counted_and_chosen_by_group(deployed: Deployed) -> None:
    for n, group in enumerate(["tenant-a", "tenant-b", "tenant-b", None]):
        put(deployed, f"run-{n}", "b" if n < 2 else "c")
        if group is not None:
            deployed.table.update_item(
                Key={"execution_id": f"run-{n}"},
                UpdateExpression="SET message_group_id = :group",
                ExpressionAttributeValues={":group": group},
            )

    shown = deployed.run("items", "--by-group").stdout
    of_one_source = deployed.run("items", "--by-group", "--source", "c", "--json").json

    lines = [line.split() for line in shown.splitlines()]
    assert lines[:2] == [["items", "group"], ["2", "tenant-b"]]
    assert sorted(lines[2:]) == [["1", "none"], ["1", "tenant-a"]]
    assert {one["message_group_id"]: one["items"] for one in of_one_source} == {
        "tenant-b": 1,
        None: 1,
    }
    assert deployed.run("items", "--by-group", "--group", "tenant-b", "--json").json == [
        {"message_group_id": "tenant-b", "items": 2}
    ]
    assert deployed.run("items", "--group", "tenant-b", "--count").stdout == "2\n"
    listed = deployed.run("items", "--group", "tenant-b", "--source", "c", "--json").json
    assert [item["execution_id"] for item in listed] == ["run-2"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--group", ""],
        ["--group", "x" * 129],
        ["--group", "a", "--id", "x"],
        ["--by-group", "--id", "x"],
    ],
)
def test_a_group_that_cannot_be_meant_is_2(deployed: Deployed, arguments: list[str]) -> None:
    result = deployed.run("items", *arguments)

    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
