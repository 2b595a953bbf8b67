import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline_core import messages
from pipelinectl.aws import Connection
from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.redrive import Redrive
from pipelinectl.sending import Pace, Sender
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import (
    FIRST_SENT,
    give_up,
    known_of,
    move,
    move_in_group,
)

SOURCE = {"stringValue": "till-7", "dataType": "String"}
PHOTO = {"binaryValue": "AAEC", "dataType": "Binary.png"}


class Sqs:
    """SQS with something happening before or after a request, by the operation's name."""

    def __init__(self, client: Any, **instead: Callable[..., Any]) -> None:
        self._client = client
        self._instead = instead

    def __getattr__(self, name: str) -> Any:
        return self._instead.get(name) or getattr(self._client, name)


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def visible(deployed: Deployed) -> int:
    """How many dead letters can be received now."""
    counted = deployed.sqs.get_queue_attributes(
        QueueUrl=deployed.dead_letter_queue_url, AttributeNames=["ApproximateNumberOfMessages"]
    )["Attributes"]["ApproximateNumberOfMessages"]
    return int(counted)


def failing(operation: str, code: str = "AccessDenied") -> Callable[..., Any]:
    def fail(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, operation)

    return fail


def test_a_redriven_message_is_the_same_record_with_its_producers_attributes(
    deployed: Deployed,
) -> None:
    producers = {"source": SOURCE, "photo": PHOTO}
    message_id = give_up(deployed, '{"price": 1.10}', producers=producers)

    done = deployed.run("dlq", "redrive", "--all", "--json").json

    (message,) = deployed.again()
    assert message["Body"] == '{"price": 1.10}'
    assert known_of(message) == {
        "execution_id": "test-m-1",
        "sent_timestamp": FIRST_SENT,
        "door": "messages",
        "message_attributes": producers,
    }
    assert [sent["message_id"] for sent in done["sent"]] == [message_id]
    assert visible(deployed) == 0


def test_a_message_that_sqs_moved_gets_the_identity_that_it_had(deployed: Deployed) -> None:
    message_id = move(deployed, "{}", source=text("till-7"))

    deployed.run("dlq", "redrive", "--all")

    (message,) = deployed.again()
    known = known_of(message)
    assert known["execution_id"] == f"test-{message_id}"
    assert known["sent_timestamp"] > FIRST_SENT
    assert known["message_attributes"] == {"source": SOURCE}


def test_a_message_that_brings_its_identity_along_keeps_it(deployed: Deployed) -> None:
    move(deployed, "{}", **messages.attributes({"execution_id": "own", "sent_timestamp": 7}))
    move(deployed, '{"record_id": "r-1"}', **messages.attributes({"sent_timestamp": 7}))

    deployed.run("dlq", "redrive", "--all")

    known = [known_of(message) for message in deployed.again()]
    assert {(one["execution_id"], one["sent_timestamp"]) for one in known} == {
        ("own", 7),
        ("r-1", 7),
    }


def test_all_ten_attributes_that_a_producer_may_give_are_kept(deployed: Deployed) -> None:
    names = [f"a{number}" for number in range(10)]
    move(deployed, "{}", **dict.fromkeys(names, text("x")))

    result = deployed.run("dlq", "redrive", "--all")

    (message,) = deployed.again()
    assert known_of(message)["message_attributes"].keys() == set(names)
    assert result.stderr == ""


def test_what_is_said_of_a_message_is_believed_by_the_queue_that_sqs_moved_it_out_of(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"execution_id": "own", "sent_timestamp": 7, "door": "objects"}
    by_pipeline = move(deployed, "1", **{messages.ATTRIBUTE: text(json.dumps(own))})
    by_producer = move(deployed, "2", **{messages.ATTRIBUTE: text(json.dumps(own))})
    sources = {by_pipeline: "stack-internal", by_producer: "stack-data-processing"}

    def receive(**request: Any) -> Any:
        """As SQS answers; moto does not know where a message was moved from."""
        assert "DeadLetterQueueSourceArn" in request["MessageSystemAttributeNames"]
        names = [n for n in request["MessageSystemAttributeNames"] if n == "SentTimestamp"]
        answer = deployed.sqs.receive_message(**request | {"MessageSystemAttributeNames": names})
        for message in answer.get("Messages", []):
            arn = f"arn:aws:sqs:us-east-1:123456789012:{sources[message['MessageId']]}"
            message["Attributes"]["DeadLetterQueueSourceArn"] = arn
        return answer

    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, receive_message=receive))

    deployed.run("dlq", "redrive", "--all")

    known = {message["Body"]: known_of(message) for message in deployed.again()}
    assert known["1"] == own
    assert (known["2"]["execution_id"], known["2"]["door"]) == (f"test-{by_producer}", "messages")


def test_only_what_matches_is_sent_and_the_rest_is_visible_at_once(deployed: Deployed) -> None:
    for number in range(25):
        give_up(
            deployed,
            message_id=f"m-{number}",
            error_type="TooManyRequestsException" if number % 2 else "Bad",
        )

    result = deployed.run("dlq", "redrive", "--reason", "TooManyRequestsException")

    assert result.stdout == "sent 12 of 12 messages\n"
    assert len(deployed.again()) == 12
    assert visible(deployed) == 13


def test_ids_choose_by_prefix_and_by_execution_id(deployed: Deployed) -> None:
    first = give_up(deployed, "first", message_id="m-1")
    give_up(deployed, "second", message_id="m-2")
    give_up(deployed, "third", message_id="m-3")

    deployed.run("dlq", "redrive", "--id", first[:13], "--id", "test-m-2")

    assert sorted(deployed.bodies_again()) == ["first", "second"]
    assert visible(deployed) == 1


def test_dry_run_only_lists(deployed: Deployed) -> None:
    give_up(deployed)

    result = deployed.run("dlq", "redrive", "--all", "--dry-run")
    listed = deployed.run("dlq", "redrive", "--all", "--dry-run", "--json").json

    assert "ValidationError" in result.stdout
    assert "would send 1 message;" in result.stderr
    assert [letter["execution_id"] for letter in listed] == ["test-m-1"]
    assert deployed.again() == []
    assert visible(deployed) == 1


def test_nothing_to_redrive_is_no_error_but_a_wrong_id_is(deployed: Deployed) -> None:
    assert deployed.run("dlq", "redrive", "--all").stdout == "sent 0 of 0 messages\n"
    assert deployed.run("dlq", "redrive", "--id", "nobody").exit_code == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--all alone, or any of --id"),
        (["--all", "--stage", "store"], "--all alone, or any of --id"),
        (["--all", "--edit", "--body", "x"], "give one of them"),
        (["--all", "--body", ""], "--body: the body is empty"),
        (["--all", "--body", "x"], "a body replaces that of one dead letter, and 2 match"),
        (["--all", "--rate", "0"], "--rate"),
    ],
)
def test_wrong_usage_is_2_and_changes_nothing(
    deployed: Deployed, arguments: list[str], said: str
) -> None:
    for _ in range(2):
        give_up(deployed)

    result = deployed.run("dlq", "redrive", *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert visible(deployed) == 2


@pytest.mark.parametrize(
    ("option", "stdin"), [(["--body", "edited"], None), (["--body", "-"], "edited\n")]
)
def test_a_body_can_be_given(deployed: Deployed, option: list[str], stdin: str | None) -> None:
    give_up(deployed, "broken")

    deployed.run("dlq", "redrive", "--all", *option, stdin=stdin)

    (message,) = deployed.again()
    assert message["Body"] == "edited"
    assert known_of(message)["execution_id"] == "test-m-1"


def test_a_body_can_come_from_a_file(deployed: Deployed, tmp_path: Any) -> None:
    give_up(deployed, "broken")
    (tmp_path / "body.json").write_text("edited\n")

    deployed.run("dlq", "redrive", "--all", "--body-file", str(tmp_path / "body.json"))

    assert deployed.bodies_again() == ["edited"]


def test_each_body_is_edited_and_what_is_left_unchanged_stays(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "sed -i s/broken/edited/")
    give_up(deployed, "broken 1", message_id="m-1")
    kept = give_up(deployed, "fine", message_id="m-2")
    give_up(deployed, "broken 2", message_id="m-3")

    result = deployed.run("dlq", "redrive", "--all", "--edit")

    assert sorted(deployed.bodies_again()) == ["edited 1", "edited 2"]
    assert f"dead letter {kept} was left unchanged or emptied" in result.stderr
    assert result.stdout == "sent 2 of 3 messages\n"
    assert visible(deployed) == 1


def test_what_sqs_would_not_take_after_editing_stays(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", r"sed -i s/b/\\x01/")
    give_up(deployed, "b")

    result = deployed.run("dlq", "redrive", "--all", "--edit", "--json")

    assert len(result.json["left"]) == 1
    assert "U+0001" in result.stderr
    assert visible(deployed) == 1


def test_an_editor_that_fails_ends_it_and_nothing_is_lost(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VISUAL", "false")
    give_up(deployed)

    result = deployed.run("dlq", "redrive", "--all", "--edit")

    assert result.exit_code == 1
    assert "editor 'false' ended with 1" in result.stderr
    assert visible(deployed) == 1


def test_what_is_refused_stays_and_is_reported(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_bad(**request: Any) -> Any:
        good = [entry for entry in request["Entries"] if entry["MessageBody"] != "bad"]
        answer = deployed.sqs.send_message_batch(**request | {"Entries": good})
        failed = [
            {"Id": entry["Id"], "Code": "InvalidMessage", "Message": "no", "SenderFault": True}
            for entry in request["Entries"]
            if entry not in good
        ]
        return answer | {"Failed": failed}

    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, send_message_batch=refuse_bad))
    give_up(deployed, "good")
    bad = give_up(deployed, "bad")

    result = deployed.run("dlq", "redrive", "--all")

    assert result.exit_code == 1
    assert f"SQS refused 1 message, which stay dead letters: {bad}: InvalidMessage" in result.stderr
    assert deployed.bodies_again() == ["good"]
    assert [m["Body"] for m in deployed.receive(deployed.dead_letter_queue_url)] == ["bad"]


def test_nothing_is_deleted_when_sending_fails(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Sqs(deployed.sqs, send_message_batch=failing("SendMessageBatch"))
    monkeypatch.setattr(Connection, "sqs", refusing)
    for _ in range(3):
        give_up(deployed)

    result = deployed.run("dlq", "redrive", "--all")

    assert result.exit_code == 1
    assert "sent 0 of 3 messages" in result.stderr
    assert "AccessDenied" in result.stderr
    assert visible(deployed) == 3


def test_what_was_sent_but_could_not_be_deleted_is_named(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_none(**request: Any) -> Any:
        return {"Failed": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, delete_message_batch=delete_none))
    message_id = give_up(deployed)

    result = deployed.run("dlq", "redrive", "--all")

    assert result.exit_code == 0
    assert "sent, but not deleted: 1 message" in result.stderr
    assert message_id in result.stderr
    assert visible(deployed) == 1


def test_a_delete_that_fails_as_a_whole_ends_it_and_says_so(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Sqs(deployed.sqs, delete_message_batch=failing("DeleteMessageBatch"))
    monkeypatch.setattr(Connection, "sqs", refusing)
    give_up(deployed)

    result = deployed.run("dlq", "redrive", "--all")

    assert result.exit_code == 1
    assert "sent, but not deleted: 1 message" in result.stderr
    assert "DeleteMessageBatch: AccessDenied" in result.stderr


def test_an_interrupt_leaves_each_message_in_one_place(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(**request: Any) -> Any:
        answer = deployed.sqs.send_message_batch(**request)
        os.kill(os.getpid(), signal.SIGINT)
        return answer

    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, send_message_batch=interrupted))
    for number in range(25):
        give_up(deployed, message_id=f"m-{number}")

    result = deployed.run("dlq", "redrive", "--all")

    assert result.exit_code == 130
    assert result.stderr == (
        "pipelinectl: interrupted: sent 10 of 25 messages; the others stay dead letters\n"
    )
    assert len(deployed.again()) == 10
    assert visible(deployed) == 15


def test_what_arrives_meanwhile_is_not_chased(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail_again(**request: Any) -> Any:
        for entry in request["Entries"]:
            give_up(deployed, entry["MessageBody"])
        return deployed.sqs.send_message_batch(**request)

    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, send_message_batch=fail_again))
    for _ in range(12):
        give_up(deployed)

    result = deployed.run("dlq", "redrive", "--all")

    assert result.stdout == "sent 12 of 12 messages\n"
    assert visible(deployed) == 12


class Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(("rate", "sizes"), [(2, [2, 2, 1]), (0.5, [1] * 5), (100, [5])])
def test_a_rate_spreads_the_messages_over_time(
    deployed: Deployed, rate: float, sizes: list[int]
) -> None:
    clock = Clock()
    sent: list[tuple[float, int]] = []

    def noted(**request: Any) -> Any:
        sent.append((clock.now, len(request["Entries"])))
        return deployed.sqs.send_message_batch(**request)

    ids = [give_up(deployed) for _ in range(5)]
    queue = DeadLetterQueue(deployed.sqs, deployed.dead_letter_queue_url, long_poll=0)
    sqs: Any = Sqs(deployed.sqs, send_message_batch=noted)
    pace = Pace(rate, clock.sleep, lambda: clock.now)

    sender = Sender(sqs, deployed.internal_queue_url)
    redrive = Redrive(queue, sender, deployed.audit, "test", pace)

    assert sum(redrive.run(ids)) == len(redrive.redriven.sent) == 5
    assert [size for _, size in sent] == sizes
    for index, (at, _) in enumerate(sent):
        assert at == sum(size for _, size in sent[:index]) / rate


def test_a_body_that_grew_too_large_stays_and_the_others_are_sent(deployed: Deployed) -> None:
    large = move(deployed, "x" * 1_048_576)
    move(deployed, "small")

    result = deployed.run("dlq", "redrive", "--all", "--json")

    assert result.exit_code == 1
    assert [refused["origin"] for refused in json.loads(result.stdout)["refused"]] == [large]
    assert deployed.bodies_again() == ["small"]
    assert visible(deployed) == 1


def test_wait_tells_what_became_of_each(deployed: Deployed, at_work: None) -> None:
    give_up(deployed, "good", message_id="m-1")
    give_up(deployed, "bad", message_id="m-2")

    done = deployed.run("dlq", "redrive", "--all", "--wait", "--json")

    assert done.exit_code == 1
    fates = {one["execution_id"]: one["fate"] for one in done.json["became"]}
    assert fates == {"test-m-1": "stored", "test-m-2": "dead letter"}
    assert "1 of 2 messages became dead letters" in done.stderr


def test_a_record_whose_item_is_newer_is_not_waited_for(deployed: Deployed) -> None:
    newer = {"execution_id": "test-m-1", "message_id": "m-9", "sent_timestamp": FIRST_SENT + 1}
    deployed.table.put_item(Item=newer)
    give_up(deployed, "lost", message_id="m-1")

    done = deployed.run("dlq", "redrive", "--all", "--wait")

    assert (done.exit_code, done.stdout) == (0, "sent 1 of 1 message\n1 stored, 0 dead letters\n")


def test_a_message_is_sent_again_in_its_group_and_a_group_alone_can_be(deployed: Deployed) -> None:
    give_up(deployed, message_id="m-1", group="tenant-a")
    give_up(deployed, message_id="m-2", group="tenant-b")
    move_in_group(deployed, "tenant-b")
    give_up(deployed, message_id="m-3")

    deployed.run("dlq", "redrive", "--group", "tenant-b")
    groups = [message["Attributes"]["MessageGroupId"] for message in deployed.again()]
    deployed.run("dlq", "redrive", "--all")

    assert groups == ["tenant-b"] * 2
    others = [message.get("Attributes", {}) for message in deployed.again()]
    assert sorted(others, key=len) == [{}, {"MessageGroupId": "tenant-a"}]
