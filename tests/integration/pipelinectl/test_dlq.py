from typing import Any

import pytest

from pipelinectl.dead_letters import DeadLetterQueue, Held, grouped
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import (
    ARN,
    ERRORS,
    FIRST_SENT,
    give_up,
    move,
    move_in_group,
)
from tests.integration.pipelinectl.test_redrive import visible


def listed(deployed: Deployed, *arguments: str) -> list[Any]:
    documents: list[Any] = deployed.run("dlq", "list", "--json", *arguments).json
    return documents


def test_reasons_are_listed_and_counted(deployed: Deployed) -> None:
    give_up(deployed, message_id="m-1")
    give_up(deployed, message_id="m-2")

    result = deployed.run("dlq", "list")

    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "2 validate ValidationError" in words
    assert "test-m-1 validate ValidationError" in words
    assert "quantity: -1 is less than 1" in words
    assert "2 dead letters" in result.stderr


def test_json_has_everything_and_the_body_untouched(deployed: Deployed) -> None:
    give_up(deployed, '{"price": 1.10}')

    (letter,) = listed(deployed)

    assert letter["body"] == '{"price": 1.10}'
    assert letter["errors"] == list(ERRORS)
    assert letter["attempts"] == 1
    assert letter["failed_at"] == "2026-01-01T00:00:00+00:00"
    assert letter["attributes"]["durable_execution_arn"] == ARN
    assert len(letter["attributes"]) == 10


def test_reading_leaves_every_message_visible(deployed: Deployed) -> None:
    for number in range(23):
        give_up(deployed, message_id=f"m-{number}")

    assert len({letter["message_id"] for letter in listed(deployed)}) == 23
    assert len({letter["message_id"] for letter in listed(deployed)}) == 23


def test_messages_are_visible_again_when_reading_stops_early(deployed: Deployed) -> None:
    for _ in range(15):
        give_up(deployed)

    assert len(listed(deployed, "--limit", "3")) == 3
    assert len(listed(deployed)) == 15


def test_stage_and_reason_choose(deployed: Deployed) -> None:
    give_up(deployed)
    give_up(deployed, stage="store", error_type="TooManyRequestsException", message_id="s")

    ids = [
        [letter["execution_id"] for letter in listed(deployed, *options)]
        for options in (("--stage", "store"), ("--reason", "toomanyrequestsexception"))
    ]
    assert ids == [["test-s"], ["test-s"]]
    assert len(listed(deployed, "--reason", "SKU is missing")) == 2
    assert listed(deployed, "--reason", "nothing like it") == []


def test_a_message_that_sqs_moved_says_so_and_how_often_it_was_tried(deployed: Deployed) -> None:
    stage = {"DataType": "String", "StringValue": "the producer's own word"}
    move(deployed, "anonymous", stage=stage)

    (letter,) = listed(deployed, "--stage", "unknown", "--reason", "redrive policy")

    assert letter["error_message"] == (
        "moved by the queue's redrive policy after 3 receives: its execution ended as a whole"
    )
    assert (letter["execution_id"], letter["attempts"]) == (None, 3)
    assert "after 3 receives" in deployed.run("dlq", "list").stdout


def test_an_empty_queue_is_no_error(deployed: Deployed) -> None:
    assert listed(deployed) == []
    assert deployed.run("dlq", "list").stdout == ""


def test_groups_are_sorted_by_how_many(deployed: Deployed) -> None:
    give_up(deployed)
    for _ in range(2):
        give_up(deployed, stage="store", error_type="TooManyRequestsException")

    queue = DeadLetterQueue(deployed.sqs, deployed.dead_letter_queue_url)

    assert grouped(queue.peek()) == [
        ("store", "TooManyRequestsException", 2),
        ("validate", "ValidationError", 1),
    ]


def test_show_has_all_of_it(deployed: Deployed) -> None:
    producers = {
        "source": {"stringValue": "till-7", "dataType": "String"},
        "photo": {"binaryValue": "AAEC", "dataType": "Binary"},
    }
    message_id = give_up(deployed, '{"price":1.10,"big":1e400}', producers=producers)

    words = " ".join(deployed.run("dlq", "show", message_id[:8]).stdout.split())

    for said in (
        *ERRORS,
        '{ "price": 1.10, "big": 1E+400 }',
        "source till-7",
        "photo 3 bytes",
        "execution_id test-m-1",
        f"pipelinectl dlq redrive --id {message_id[:8]} --edit",
    ):
        assert said in words


def test_show_of_a_message_that_sqs_moved_knows_its_identity(deployed: Deployed) -> None:
    message_id = move(deployed, "not json")

    words = " ".join(deployed.run("dlq", "show", message_id).stdout.split())

    assert f"execution_id test-{message_id}" in words
    assert "not json" in words


@pytest.mark.parametrize("reference", ["m-1", "test-m-1"])
def test_show_finds_by_the_first_message_id_and_by_execution_id(
    deployed: Deployed, reference: str
) -> None:
    message_id = give_up(deployed)
    give_up(deployed, message_id="m-2")

    found = deployed.run("dlq", "show", reference, "--json").json

    assert [letter["message_id"] for letter in found] == [message_id]


def test_show_of_nothing_is_1_and_of_too_much_is_2(deployed: Deployed) -> None:
    for number in range(2):
        give_up(deployed, message_id=f"m-{number}")

    nothing, too_much = (deployed.run("dlq", "show", id_) for id_ in ("nobody", ""))

    assert (nothing.exit_code, too_much.exit_code) == (1, 2)
    assert "no dead letter 'nobody'" in nothing.stderr
    assert "2 dead letters begin with" in too_much.stderr
    assert len(listed(deployed)) == 2


def test_purge_with_yes_deletes_all(deployed: Deployed) -> None:
    give_up(deployed)

    assert deployed.run("dlq", "purge", "--yes", "--json").json == {"purged": 1}
    assert listed(deployed) == []


def test_purge_refuses_where_nobody_can_be_asked(deployed: Deployed) -> None:
    give_up(deployed)

    result = deployed.run("dlq", "purge")

    assert result.exit_code == 2
    assert "--yes" in result.stderr
    assert len(listed(deployed)) == 1


@pytest.mark.parametrize(("answer", "exit_code", "rest"), [("y\n", 0, 0), ("n\n", 1, 1)])
def test_purge_asks_with_the_count(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, answer: str, exit_code: int, rest: int
) -> None:
    give_up(deployed)
    monkeypatch.setattr("pipelinectl.commands.dlq.in_a_terminal", lambda: True)

    result = deployed.run("dlq", "purge", stdin=answer)

    assert result.exit_code == exit_code
    place = "AWS account 123456789012, us-east-1, stack test-stack"
    assert f"about 1 dead letter of {place} for good?" in result.stderr
    assert len(listed(deployed)) == rest


def test_the_time_it_was_first_sent_is_kept(deployed: Deployed) -> None:
    give_up(deployed)

    (letter,) = DeadLetterQueue(deployed.sqs, deployed.dead_letter_queue_url).peek()

    assert letter.first_sent == FIRST_SENT


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (("discard", "test-m-0", "test-m-1", "--note", "a test", "--yes"), 1),
        (("redrive", "--id", "test-m-0", "--id", "test-m-1"), 1),
        (("redrive", "--all"), 0),
    ],
)
def test_what_is_named_and_not_done_ends_it_with_1_after_the_output(
    deployed: Deployed,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    exit_code: int,
) -> None:
    for number in range(2):
        give_up(deployed, message_id=f"m-{number}")
    those = Held.those

    def one_is_gone(held: Held, message_ids: set[str], *more: Any) -> Any:
        return those(held, set(sorted(message_ids)[:1]), *more)

    monkeypatch.setattr(Held, "those", one_is_gone)

    done = deployed.run("dlq", *command)

    assert done.exit_code == exit_code
    assert "1 of 2" in done.stdout
    assert done.stderr.count("1 message gone, or held by another reader") == 1
    assert visible(deployed) == 1


@pytest.mark.parametrize(
    ("times", "count"),
    [
        (("--since", "2025-12-31"), 1),
        (("--since", "2026-01-02"), 0),
        (("--until", "2026-01-02"), 1),
        (("--until", "2025-12-31"), 0),
    ],
)
def test_dead_letters_are_listed_by_when_they_were_given_up(
    deployed: Deployed, times: tuple[str, ...], count: int
) -> None:
    give_up(deployed)  # on the first of January

    assert len(deployed.run("dlq", "list", "--json", *times).json) == count


def in_groups(deployed: Deployed) -> dict[str, str]:
    """Message ids of dead letters of several groups, some given up and one moved."""
    return {
        "a": give_up(deployed, message_id="m-1", group="tenant-a"),
        "moved": move_in_group(deployed, "tenant-b"),
        "b": give_up(deployed, message_id="m-2", group="tenant-b"),
        "none": give_up(deployed, message_id="m-3"),
    }


def test_dead_letters_are_counted_by_group(deployed: Deployed) -> None:
    in_groups(deployed)

    shown = deployed.run("dlq", "list", "--by-group")
    counted = deployed.run("dlq", "list", "--by-group", "--stage", "validate", "--json").json

    header, *lines = [line.split() for line in shown.stdout.splitlines()]
    assert header == ["dead", "letters", "group"]
    assert lines[0] == ["2", "tenant-b"]
    assert sorted(lines[1:]) == [["1", "none"], ["1", "tenant-a"]]
    assert {one["message_group_id"]: one["dead_letters"] for one in counted} == {
        "tenant-a": 1,
        "tenant-b": 1,
        None: 1,
    }


def test_a_group_chooses_and_is_shown(deployed: Deployed) -> None:
    ids = in_groups(deployed)

    listed = deployed.run("dlq", "list", "--group", "tenant-b", "--json").json
    shown = deployed.run("dlq", "show", ids["b"]).stdout

    assert {one["message_id"] for one in listed} == {ids["moved"], ids["b"]}
    assert {one["message_group_id"] for one in listed} == {"tenant-b"}
    assert "tenant-b" in shown
    assert deployed.run("dlq", "list", "--group", "x" * 129).exit_code == 2
    assert deployed.run("dlq", "list", "--by-group", "--limit", "1").exit_code == 2


def test_nothing_is_counted_of_an_empty_queue(deployed: Deployed) -> None:
    assert deployed.run("dlq", "list", "--by-group").stdout == ""
    assert deployed.run("dlq", "list", "--by-group", "--json").json == []
