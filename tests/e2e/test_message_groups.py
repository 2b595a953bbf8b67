"""Tenants: the group of a message, from where it is sent to its item, also by a dead letter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.conftest import Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.operator import Operator
from tests.events import order

GROUP = "tenant-7"
INLINE = ("--claim-check-above", "1000000")
CLAIM_CHECK = ("--claim-check-above", "0")


@pytest.fixture
def operator(stack: Stack) -> Iterator[Operator]:
    stack.take_dead_letters()
    yield Operator.of(stack)
    stack.take_dead_letters()


@pytest.mark.parametrize("how", [INLINE, CLAIM_CHECK])
def test_a_group_is_in_the_dead_letter_in_what_is_redriven_and_in_the_item(
    stack: Stack, operator: Operator, how: tuple[str, ...]
) -> None:
    before = in_group(operator.json("items", "--by-group"))
    operator.run("send", order(quantity=0), "--group", GROUP, *how)
    operator.run("send", order(quantity=0))

    letters = wait_for(lambda: two(operator.json("dlq", "list")))
    counted = operator.json("dlq", "list", "--by-group")
    (letter,) = [one for one in letters if one["message_group_id"]]
    operator.run("dlq", "redrive", "--group", GROUP, "--body", order(quantity=1))

    assert {one["message_group_id"]: one["dead_letters"] for one in counted} == {GROUP: 1, None: 1}
    assert letter["message_group_id"] == GROUP
    item = wait_for(lambda: stack.items().get(letter["execution_id"]))
    assert item["message_group_id"] == {"S": GROUP}
    assert in_group(operator.json("items", "--by-group")) == before + 1


def test_a_group_goes_from_the_item_into_what_is_processed_again(
    stack: Stack, operator: Operator
) -> None:
    operator.run("send", order(record_id="again-in-its-group"), "--group", GROUP, "--wait")
    first = stack.items()["again-in-its-group"]

    operator.run("reprocess", "again-in-its-group", "--wait")

    again = stack.items()["again-in-its-group"]
    assert first["message_group_id"] == again["message_group_id"] == {"S": GROUP}
    assert first["message_id"] != again["message_id"]


def two(letters: list[Any]) -> list[Any] | None:
    return letters if len(letters) == 2 else None


def in_group(counts: list[Any]) -> int:
    return sum(one["items"] for one in counts if one["message_group_id"] == GROUP)
