import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.following import Became, Followed, Following
from pipelinectl.items import Items
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import give_up

BODY = '{"data_source": "test.csv", "processing_type": "standard", "price": 1.10}'


def test_argument_is_one_body_sent_as_it_is(deployed: Deployed) -> None:
    result = deployed.run("send", BODY)

    assert result.exit_code == 0
    assert result.stdout.startswith("sent 1 message\n")
    assert deployed.bodies() == [BODY]


def test_dash_is_the_whole_of_stdin_as_one_body(deployed: Deployed) -> None:
    deployed.run("send", "-", stdin='{\n "a": 1\n}\n')

    assert deployed.bodies() == ['{\n "a": 1\n}']


def test_file_is_one_body_a_line(deployed: Deployed, tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("a\n\nb\n")

    assert deployed.run("send", "--file", str(path)).stdout == "sent 2 messages\n"
    assert sorted(deployed.bodies()) == ["a", "b"]


def test_file_dash_is_the_lines_of_stdin(deployed: Deployed) -> None:
    deployed.run("send", "--file", "-", stdin="a\r\nb\r\n")

    assert sorted(deployed.bodies()) == ["a", "b"]


def test_count_repeats_and_every_message_has_an_id(deployed: Deployed) -> None:
    document = deployed.run("send", BODY, "--count", "23", "--json").json

    assert document["sent"] == len(set(document["message_ids"])) == 23
    assert document["refused"] == []
    assert deployed.bodies() == [BODY] * 23


def test_record_ids_tell_repeated_bodies_apart(deployed: Deployed) -> None:
    deployed.run("send", BODY, "--count", "3", "--record-id-prefix", "run")

    bodies = deployed.bodies()
    assert sorted(json.loads(body)["record_id"] for body in bodies) == [
        "run-00001",
        "run-00002",
        "run-00003",
    ]
    assert all('"price": 1.10' in body for body in bodies)


def test_every_message_is_in_the_group_that_is_named_also_a_claim_check(
    deployed: Deployed, tmp_path: Path
) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f"small\n{'x' * 200_000}\n")

    done = deployed.run("send", "--file", str(path), "--group", "tenant-7", "--json").json

    assert done["claim_checks"] == 1
    groups = [message["Attributes"]["MessageGroupId"] for message in deployed.queued()]
    assert groups == ["tenant-7"] * 2


def test_without_a_group_messages_are_in_none(deployed: Deployed) -> None:
    deployed.run("send", BODY)

    (message,) = deployed.queued()
    assert not message.get("Attributes")


@pytest.mark.parametrize("group", ["", "x" * 129, "two words", "арендатор"])
def test_a_group_that_sqs_refuses_sends_nothing(deployed: Deployed, group: str) -> None:
    result = deployed.run("send", BODY, "--group", group)

    assert result.exit_code == 2
    assert "is no MessageGroupId: give 1 to 128 letters" in result.stderr
    assert result.stderr.count("\n") == 1
    assert deployed.bodies() == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (b"good\n\x01bad\n", "stdin line 2: U+0001 at character 1"),
        (b"good\n\xff\n", "stdin line 2: byte 1 is not UTF-8"),
        (b"\n \n", "nothing to send"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(
    deployed: Deployed, lines: bytes, said: str
) -> None:
    result = deployed.run("send", "--file", "-", stdin=lines)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert deployed.bodies() == []


def test_a_missing_queue_is_one_line_and_1(deployed: Deployed) -> None:
    deployed.sqs.delete_queue(QueueUrl=deployed.queue_url)

    result = deployed.run("send", BODY)

    assert result.exit_code == 1
    assert "NonExistentQueue" in result.stderr
    assert "Traceback" not in result.stderr


def test_wait_ends_when_all_are_items(deployed: Deployed, at_work: None) -> None:
    done = deployed.run("send", BODY, "--count", "12", "--wait")

    assert done.exit_code == 0
    assert done.stdout == "sent 12 messages\n12 stored, 0 dead letters\n"


def test_wait_tells_of_dead_letters_with_their_reason(deployed: Deployed, at_work: None) -> None:
    done = deployed.run("send", "--file", "-", "--wait", stdin="bad\ngood\n")

    assert done.exit_code == 1
    assert done.stdout.endswith("1 stored, 1 dead letter\n")
    assert "dead letter at validate: ValidationError: quantity: -1" in done.stdout
    assert "1 of 2 messages became dead letters" in done.stderr


def test_wait_says_what_is_on_its_way_when_the_time_is_over(
    deployed: Deployed, at_work: None
) -> None:
    done = deployed.run("send", "lost", "--wait", "--timeout", "1", "--json")

    assert done.exit_code == 1
    (one,) = done.json["became"]
    assert (one["fate"], one["dead_letter"]) == ("on its way", None)
    assert one["execution_id"] == f"test-{done.json['message_ids'][0]}"
    assert "still on the way after 1 s" in done.stderr


def test_what_a_record_had_before_is_not_what_it_became(deployed: Deployed) -> None:
    older = {
        "execution_id": "mine",
        "message_id": "older",
        "stored_at": "2026",
        "sent_timestamp": 1,
    }
    deployed.table.put_item(Item=older)

    done = deployed.run("send", '{"record_id": "mine"}', "--wait", "--timeout", "1", "--json")

    assert done.json["became"][0]["fate"] == "on its way"


@pytest.mark.parametrize("threshold", ["0", "100000"])
def test_a_record_is_followed_by_its_own_id(
    deployed: Deployed, at_work: None, monkeypatch: pytest.MonkeyPatch, threshold: str
) -> None:
    body = '{"record_id": "mine"}'
    # Whoever is at work here reads no payloads.
    monkeypatch.setattr("tests.integration.pipelinectl.conftest.record_id_in", lambda _: "mine")

    done = deployed.run("send", body, "--claim-check-above", threshold, "--wait", "--json")

    assert [one["execution_id"] for one in done.json["became"]] == ["mine"]
    assert done.exit_code == 0


def test_one_record_in_two_messages_is_told_of_by_message(
    deployed: Deployed, at_work: None
) -> None:
    lines = '{"record_id": "mine", "n": "bad"}\n{"record_id": "mine", "n": "lost"}\n'

    done = deployed.run("send", "--file", "-", "--wait", "--timeout", "4", "--json", stdin=lines)

    assert sorted(one["fate"] for one in done.json["became"]) == ["dead letter", "on its way"]


@pytest.mark.parametrize(
    ("message_id", "fate"), [("handed-over", "on its way"), ("another", "dead letter")]
)
def test_what_was_handed_over_is_found_by_its_record_unless_it_is_another_of_ours(
    deployed: Deployed, message_id: str, fate: str
) -> None:
    give_up(deployed, '{"record_id": "mine"}', message_id="handed-over")
    following = Following(
        Items(boto3.client("dynamodb"), "processed"),
        DeadLetterQueue(deployed.sqs, deployed.dead_letter_queue_url),
        "test",
        began=datetime(2025, 1, 1, tzinfo=UTC),
    )

    messages = [Followed("m-1", "mine"), Followed(message_id, "other")]
    became = {one.message.message_id: one.fate for one in following.outcomes(messages, 0)}

    assert became["m-1"] == fate


@pytest.mark.parametrize("command", [("send", "{}"), ("dlq", "redrive", "--all")])
@pytest.mark.parametrize(
    ("error", "exit_code"),
    [(KeyboardInterrupt(), 130), (EndpointConnectionError(endpoint_url="http://x"), 3)],
)
def test_what_was_sent_is_told_however_the_waiting_ends(
    deployed: Deployed,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    error: BaseException,
    exit_code: int,
) -> None:
    def ended(_: Following, messages: Sequence[Followed], __: float) -> Iterator[Became]:
        yield Became(messages[0], "stored")
        raise error

    monkeypatch.setattr(Following, "outcomes", ended)
    give_up(deployed)

    shown = deployed.run(*command, "--wait")
    give_up(deployed)
    told = deployed.run(*command, "--wait", "--json")

    assert (shown.exit_code, told.exit_code) == (exit_code, exit_code)
    assert shown.stdout.startswith("sent 1 ")
    assert told.json["sent"]
    assert [one["fate"] for one in told.json["became"]] == ["stored"]
