"""What moto takes and AWS does not, each at its edge: the limit passes, one more is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from tests import moto_quotas as quotas

MIB = 1024 * 1024


def attributes(**values: str) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def messages(count: int, size: int) -> dict[str, Any]:
    return {"Entries": [{"Id": str(n), "MessageBody": "x" * size} for n in range(count)]}


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "leaf"}
    for _ in range(levels):
        value = {"M": {"m": value}}
    return {"x": value}


def puts(count: int, size: int = 1) -> list[dict[str, Any]]:
    return [{"PutRequest": {"Item": {"k": {"S": "x" * (size - 1)}}}} for _ in range(count)]


def transaction(count: int, size: int = 1) -> dict[str, Any]:
    return {"TransactItems": [{"Put": put["PutRequest"]} for put in puts(count, size)]}


def number(text: str) -> dict[str, Any]:
    return {"n": {"L": [{"N": text}]}}


@pytest.mark.parametrize(
    ("check", "passes", "refused", "code"),
    [
        (
            quotas.refused_notification,
            {"Message": "x" * (256 * 1024)},
            {"Message": "x" * (256 * 1024), "MessageAttributes": attributes(a="b")},
            "InvalidParameter",
        ),
        (
            quotas.refused_batch,
            {"Entries": [{"MessageBody": "x"}, {"MessageBody": "x", "MessageGroupId": "a"}]},
            {"Entries": [{"MessageBody": "x"}, {"MessageBody": "x", "MessageGroupId": "ы"}]},
            "InvalidParameterValue",
        ),
        (
            quotas.refused_item,
            {"k": {"S": "x" * (400 * 1024 - 1)}},
            {"k": {"S": "x" * (400 * 1024)}},
            "ValidationException",
        ),
        (quotas.refused_item, nested(31), nested(32), "ValidationException"),
        (quotas.refused_item, number("-" + "1" * 38), number("1" * 39), "ValidationException"),
        (quotas.refused_item, number("9.9e125"), number("1e126"), "ValidationException"),
        (quotas.refused_item, number("1E-130"), number("9e-131"), "ValidationException"),
        (quotas.refused_item, number("0.00"), number("one"), "ValidationException"),
        (
            quotas.refused_batch_write,
            {"RequestItems": {"a": puts(10), "b": puts(15)}},
            {"RequestItems": {"a": puts(10), "b": puts(16)}},
            "ValidationException",
        ),
        (
            quotas.refused_batch_get,
            {"RequestItems": {"a": {"Keys": [{}] * 100}}},
            {"RequestItems": {"a": {"Keys": [{}] * 101}}},
            "ValidationException",
        ),
        (quotas.refused_transaction, transaction(100), transaction(101), "ValidationException"),
        (
            quotas.refused_transaction,
            transaction(16, 256 * 1024),
            transaction(16, 256 * 1024 + 1),
            "ValidationException",
        ),
    ],
)
def test_what_is_at_a_limit_passes_and_one_more_is_refused(
    check: Any, passes: Mapping[str, Any], refused: Mapping[str, Any], code: str
) -> None:
    assert check(passes) is None
    assert check(refused).code == code


def test_the_size_of_an_item_is_that_of_the_documentation() -> None:
    item = {
        "s": {"S": "ыы"},
        "n": {"N": "-12.50"},
        "t": {"BOOL": True},
        "z": {"NULL": True},
        "b": {"B": b"abc"},
        "m": {"M": {"k": {"S": "v"}}},
        "l": {"L": [{"S": "v"}, {"S": "w"}]},
        "ns": {"NS": ["1", "22"]},
    }
    names = 7 + 2
    values = 4 + (2 + 1 + 1) + 1 + 1 + 3 + (3 + 1 + 2) + (3 + 2 + 2) + (2 + 2)
    assert quotas.item_bytes(item) == names + values


def test_a_client_that_is_held_to_quotas_raises_as_if_aws_had_answered() -> None:
    session = boto3.Session("id", "secret", region_name="us-east-1")
    quotas.enforce_on_clients(session.events)
    # Nothing listens there: what is refused is never sent.
    sqs: Any = session.client("sqs", endpoint_url="http://127.0.0.1:9")
    with pytest.raises(sqs.exceptions.BatchRequestTooLong) as too_long:
        sqs.send_message_batch(QueueUrl="http://127.0.0.1:9/q", **messages(9, MIB // 8))
    assert too_long.value.response["Error"]["Code"] == "AWS.SimpleQueueService.BatchRequestTooLong"
    table: Any = session.resource("dynamodb", endpoint_url="http://127.0.0.1:9").Table("table")
    with pytest.raises(ClientError, match="Item size has exceeded") as too_large:
        table.put_item(Item={"k": "x" * (400 * 1024)})
    assert too_large.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
