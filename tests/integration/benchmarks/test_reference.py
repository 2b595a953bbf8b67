"""What the pipeline is measured beside does its work: the plain function, and chunks as DBOS's."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from benchmarks import cells
from benchmarks.in_process import sqs_event

SOURCE = Path(cells.__file__).parent / "reference" / "src"
TABLE = "reference"


@pytest.fixture
def effects(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Where is noted what was done; the table is there, and the modules as in an artifact."""
    monkeypatch.syspath_prepend(str(SOURCE))
    for name, value in {
        "TABLE": TABLE,
        "EFFECTS": str(tmp_path / "effects"),
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
    }.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("dynamodb").create_table(
            TableName=TABLE,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "execution_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "execution_id", "KeyType": "HASH"}],
        )
        yield tmp_path / "effects"
        importlib.import_module("stages").table.cache_clear()


def items() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = boto3.client("dynamodb").scan(TableName=TABLE)["Items"]
    return found


def noted(effects: Path) -> list[str]:
    return sorted(line.split(" ")[1] for line in effects.read_text().splitlines())


def test_the_plain_function_stores_each_message_and_notes_each_stage(effects: Path) -> None:
    event = sqs_event(3)
    event["Records"][1]["body"] = json.dumps({"data_source": "no type"})

    response = importlib.import_module("plain").handler(event, None)

    failed = [failure["itemIdentifier"] for failure in response["batchItemFailures"]]
    assert failed == [event["Records"][1]["messageId"]]
    assert len(items()) == 2
    each = [*["invoke"], *["store"] * 2, *["take"] * 3, *["transform"] * 2, *["validate"] * 2]
    assert noted(effects) == each


def test_a_chunk_is_stored_as_a_whole(effects: Path) -> None:
    stages = importlib.import_module("stages")
    records = [{"message_id": f"m-{n}", "body": cells.body(n)} for n in range(30)]

    done = [stages.transform(stages.validate(record, None), None) for record in records]
    stages.store_many(done)

    assert len(items()) == 30
    assert noted(effects).count("store") == 30
