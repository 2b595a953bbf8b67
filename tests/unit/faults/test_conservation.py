"""The bookkeeping of the chaos suite finds every way in which a message can go wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random
from typing import Any

import pytest

from tests.chaos.conservation import Doubles, Found, Item, Letter, doubles, unexplained, violations
from tests.chaos.messages import Kind, Message, messages
from tests.chaos.sending import Book, Sending

REASON = {
    "stage": "validate",
    "error_type": "InvalidJson",
    "error_message": "no JSON",
    "original_message_id": "m-bad",
    "durable_execution_arn": "arn-1",
    "failed_at": "2026-01-01T00:00:01Z",
}
GOOD = Message("good", Kind.STANDARD, "store", has_record_id=False)
MINE = Message("mine", Kind.STANDARD, "store", has_record_id=True)
BAD = Message("bad", Kind.INVALID, "store", has_record_id=False)

BOOK: Book = {
    "good": Sending(GOOD, ["m-good"]),
    "mine": Sending(MINE, ["m-mine", "m-again"]),
    "bad": Sending(BAD, ["m-bad"]),
}
DOCUMENTS = {"good": "good", "mine": "mine"}
ITEM = Item("chaos-m-good", "m-good", "good")
MINE_ITEM = Item("mine", "m-again", "mine")
LETTER = Letter("d-1", "bad", REASON)
RIGHT = Found([ITEM, MINE_ITEM], [LETTER], queued=0)


def test_all_is_well() -> None:
    assert violations(BOOK, DOCUMENTS, RIGHT) == []


WRONG: dict[str, Any] = {
    "still queued": replace(RIGHT, queued=1),
    "an item lost": replace(RIGHT, items=[MINE_ITEM]),
    "an item doubled": replace(RIGHT, items=[ITEM, MINE_ITEM, replace(ITEM, message_id="m-2")]),
    "a record doubled": replace(RIGHT, items=[ITEM, MINE_ITEM, replace(MINE_ITEM)]),
    "another's item": replace(RIGHT, items=[replace(ITEM, execution_id="chaos-m-2"), MINE_ITEM]),
    "an item of nobody": replace(RIGHT, items=[ITEM, MINE_ITEM, Item("x", "x", "x")]),
    "a letter lost": replace(RIGHT, letters=[]),
    "another body": replace(RIGHT, letters=[replace(LETTER, body="other")]),
    "a letter of a good one": replace(RIGHT, letters=[LETTER, replace(LETTER, body="good")]),
    "a letter without reason": replace(RIGHT, letters=[Letter("m-bad", "bad", {})]),
    "both": replace(
        RIGHT,
        letters=[
            LETTER,
            replace(LETTER, attributes=REASON | {"original_message_id": "m-good"}),
        ],
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_something_is_wrong(case: str) -> None:
    assert violations(BOOK, DOCUMENTS, WRONG[case])


GIVEN_UP = replace(
    LETTER,
    body="good",
    attributes=REASON | {"error_type": "Runtime.ExitError", "original_message_id": "m-good"},
)


def test_a_good_record_may_run_out_of_deliveries_and_then_is_a_dead_letter_and_no_item() -> None:
    instead = replace(RIGHT, items=[MINE_ITEM], letters=[LETTER, GIVEN_UP])
    beside = replace(RIGHT, letters=[LETTER, GIVEN_UP])

    assert violations(BOOK, DOCUMENTS, instead) == []
    assert violations(BOOK, DOCUMENTS, beside)


@pytest.mark.parametrize("items", [[ITEM], [ITEM, replace(ITEM, message_id="m-cut-off")]])
def test_a_send_that_was_cut_off_may_have_arrived_or_not(items: list[Item]) -> None:
    book = {"good": Sending(GOOD, ["m-good"], unknown=1)}

    assert violations(book, {"good": "good"}, Found(items, [], queued=0)) == []


def test_doubled_letters_are_told_apart_by_their_executions() -> None:
    again = replace(LETTER, message_id="d-2")
    later = {"durable_execution_arn": "arn-2", "failed_at": "2026-01-01T00:00:02Z"}
    elsewhere = replace(LETTER, attributes=REASON | later)

    assert doubles([LETTER]) == Doubles(0, 0, frozenset(), frozenset())
    assert doubles([LETTER, again]) == Doubles(1, 0, frozenset({"arn-1"}), frozenset())
    assert doubles([elsewhere, LETTER]) == Doubles(0, 1, frozenset(), frozenset({"arn-1"}))


def test_a_double_must_have_a_cause() -> None:
    twice = Doubles(1, 1, frozenset({"arn-1"}), frozenset({"arn-2"}))

    assert unexplained(twice, crashes=1, unheard=1) == []
    assert len(unexplained(twice, crashes=0, unheard=0)) == 2


def test_the_same_seed_sends_the_same_messages_in_the_announced_mix() -> None:
    mix = messages(Random(7), 1000)

    kinds = Counter(message.kind for message in set(mix))
    assert mix == messages(Random(7), 1000)
    assert len(mix) == 1000
    assert len(mix) - len(set(mix)) == 20
    assert kinds[Kind.INVALID] == 20
    assert kinds[Kind.POISON] == 10
    assert kinds[Kind.TRANSIENT] == 49
    assert len({message.body for message in mix}) == 980
