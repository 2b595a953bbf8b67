"""AWS's quotas, each at its edge: what is at the limit passes, one more is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from localcloud import quotas

MIB = 1024 * 1024


def attributes(**values: str) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in values.items()}


def message(size: int, **values: str) -> dict[str, Any]:
    return {"MessageBody": "x" * size, "MessageAttributes": attributes(**values)}


def messages(count: int, size: int) -> dict[str, Any]:
    return {"Entries": [{"Id": str(n), "MessageBody": "x" * size} for n in range(count)]}


def notifications(*sizes: int) -> dict[str, Any]:
    entries = [{"Id": str(n), "Message": "x" * size} for n, size in enumerate(sizes)]
    return {"PublishBatchRequestEntries": entries}


@pytest.mark.parametrize(
    ("check", "passes", "refused", "code"),
    [
        (quotas.refused_message, message(MIB), message(MIB + 1), "InvalidParameterValue"),
        (
            quotas.refused_message,
            # An attribute counts with its name, its type and its value.
            message(MIB - len("a" + "String" + "bc"), a="bc"),
            message(MIB - len("a" + "String" + "bc"), a="bcd"),
            "InvalidParameterValue",
        ),
        (
            quotas.refused_message,
            {"MessageBody": "ы" * (MIB // 2)},
            {"MessageBody": "ы" * (MIB // 2) + "x"},
            "InvalidParameterValue",
        ),
        (
            quotas.refused_message,
            message(1, **{f"a{n}": "x" for n in range(10)}),
            message(1, **{f"a{n}": "x" for n in range(11)}),
            "InvalidParameterValue",
        ),
        (quotas.refused_message, message(1, a="x"), message(1, a=""), "InvalidParameterValue"),
        (quotas.refused_message, message(1, a="\t"), message(1, a="\x0b"), "InvalidParameterValue"),
        (
            quotas.refused_message,
            message(1, **{"a.b-c_9": "x"}),
            message(1, **{"AWS.a": "x"}),
            "InvalidParameterValue",
        ),
        (
            quotas.refused_message,
            {"MessageBody": "\t\n\r \ud7ff\ue000\ufffd\U0010ffff"},
            {"MessageBody": "\ufffe"},
            "InvalidMessageContents",
        ),
        (
            quotas.refused_message,
            {"MessageBody": "x", "DelaySeconds": 900},
            {"MessageBody": "x", "DelaySeconds": 901},
            "InvalidParameterValue",
        ),
        *(
            (
                quotas.refused_message,
                {"MessageBody": "x", "MessageGroupId": "!~" * 64},
                {"MessageBody": "x", "MessageGroupId": group},
                "InvalidParameterValue",
            )
            for group in ("", "!~" * 64 + "x", "two words", "арендатор", "\n")
        ),
        (
            quotas.refused_messages,
            messages(8, MIB // 8),
            messages(8, MIB // 8 + 1),
            "BatchRequestTooLong",
        ),
        (
            quotas.refused_messages,
            messages(10, 1),
            messages(11, 1),
            "TooManyEntriesInBatchRequest",
        ),
        (
            quotas.refused_notifications,
            notifications(200 * 1024, 56 * 1024),
            notifications(200 * 1024, 56 * 1024 + 1),
            "BatchRequestTooLong",
        ),
        (
            quotas.refused_notifications,
            notifications(*[1] * 10),
            notifications(*[1] * 11),
            "TooManyEntriesInBatchRequest",
        ),
        (quotas.refused_key, {"Key": "ы" * 512}, {"Key": "ы" * 512 + "x"}, "KeyTooLongError"),
        (
            quotas.refused_environment,
            {"A": "x" * 4095},
            {"A": "x" * 4096},
            "InvalidParameterValueException",
        ),
    ],
)
def test_what_is_at_a_limit_passes_and_one_more_is_refused(
    check: Any, passes: Mapping[str, Any], refused: Mapping[str, Any], code: str
) -> None:
    assert check(passes) is None
    assert check(refused).code == code


@pytest.mark.parametrize("name", ["a" * 64, "-", "A_9"])
def test_a_name_of_a_function_and_of_an_execution(name: str) -> None:
    assert quotas.FUNCTION_NAME.fullmatch(name)
    assert quotas.EXECUTION_NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["a" * 65, "", "a b", "a.b", "ы"])
def test_what_is_no_name_of_a_function_nor_of_an_execution(name: str) -> None:
    assert not quotas.FUNCTION_NAME.fullmatch(name)
    assert not quotas.EXECUTION_NAME.fullmatch(name)
