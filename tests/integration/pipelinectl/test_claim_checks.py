"""Bodies too large for a message: what we send, and what the library of the format makes of it."""

import json
import uuid
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pipeline_core.messages import Pointed, document_in
from pipelinectl.aws import Connection
from pipelinectl.sending import PayloadStore, Sender
from tests.extended_client import session_class
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import known_of, move

LARGE = json.dumps({"text": "é" * 300_000}, ensure_ascii=False)
RECORD_ID = json.dumps({"record_id": "r-1", "text": "x" * 100})


@pytest.fixture
def library(deployed: Deployed) -> Any:
    """A client of the Amazon SQS Extended Client Library for Python."""
    client = session_class()().client("sqs")
    client.large_payload_support = "test-payloads"
    return client


def payloads(deployed: Deployed) -> dict[str, str]:
    """What is in the payload bucket, by key."""
    listing = deployed.s3.list_objects_v2(Bucket="test-payloads").get("Contents", [])
    keys = [found["Key"] for found in listing]
    return {
        key: deployed.s3.get_object(Bucket="test-payloads", Key=key)["Body"].read().decode()
        for key in keys
    }


def test_a_large_body_goes_to_s3_and_its_message_points_there(deployed: Deployed) -> None:
    result = deployed.run("send", "-", stdin=LARGE)

    ((key, payload),) = payloads(deployed).items()
    (message,) = deployed.queued()
    assert result.stdout.startswith("sent 1 message, 1 by claim check\n")
    assert payload == LARGE
    assert document_in(message["Body"]) == Pointed({"bucket": "test-payloads", "key": key})
    assert message["MessageAttributes"] == {
        "ExtendedPayloadSize": {"DataType": "Number", "StringValue": str(len(LARGE.encode()))}
    }


def test_small_and_large_bodies_keep_their_order(deployed: Deployed) -> None:
    lines = "\n".join(["small-1", "x" * 50, "small-2", "y" * 50])

    document = deployed.run(
        "send", "--file", "-", "--claim-check-above", "49", "--json", stdin=lines
    ).json

    assert (document["sent"], document["claim_checks"]) == (4, 2)
    one, two, three, four = deployed.bodies()
    assert (one, three) == ("small-1", "small-2")
    stored = payloads(deployed)
    found = [stored[json.loads(body)[1]["s3Key"]] for body in (two, four)]
    assert found == ["x" * 50, "y" * 50]


@pytest.mark.parametrize(("threshold", "checks"), [("7", 0), ("6", 1), ("0", 1)])
def test_the_threshold_can_be_chosen(deployed: Deployed, threshold: str, checks: int) -> None:
    options = ("--claim-check-above", threshold, "--json")

    assert deployed.run("send", "7 bytes", *options).json["claim_checks"] == checks


def test_each_repeated_body_has_a_payload_of_its_own(deployed: Deployed) -> None:
    options = ("--claim-check-above", "2", "--count", "12", "--record-id-prefix", "run")

    result = deployed.run("send", "{}", *options)

    assert result.stdout == "sent 12 messages, 12 by claim check\n"
    ids = {json.loads(payload)["record_id"] for payload in payloads(deployed).values()}
    assert len(ids) == 12


def test_no_message_is_sent_before_all_payloads_are_there(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "PutObject")

    monkeypatch.setattr(PayloadStore, "_put", fail)

    result = deployed.run("send", "--file", "-", "--claim-check-above", "5", stdin="a\nlarger\n")

    assert result.exit_code == 1
    assert "nothing was sent; payloads put so far stay in test-payloads" in result.stderr
    assert "PutObject: AccessDenied" in result.stderr
    assert deployed.bodies() == []


def test_payloads_of_messages_that_are_not_sent_are_left_to_expire(deployed: Deployed) -> None:
    deployed.sqs.delete_queue(QueueUrl=deployed.queue_url)

    result = deployed.run("send", "-", stdin=LARGE)

    assert result.exit_code == 1
    assert "payloads of messages that were not sent stay in test-payloads until" in result.stderr
    assert list(payloads(deployed).values()) == [LARGE]


def test_a_refused_message_leaves_its_payload_too(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Sender, pending: dict[int, Any], _ids: object) -> Any:
        failed = {"Code": "Busy", "SenderFault": True}
        return {"Failed": [failed | {"Id": str(index)} for index in pending]}

    monkeypatch.setattr(Sender, "_request", refuse)

    result = deployed.run("send", "-", stdin=LARGE)

    assert result.exit_code == 1
    assert "payloads of messages that were not sent stay" in result.stderr


def test_the_library_receives_what_we_send(deployed: Deployed, library: Any) -> None:
    deployed.run("send", "-", stdin=LARGE)

    (message,) = library.receive_message(QueueUrl=deployed.queue_url)["Messages"]

    assert message["Body"] == LARGE
    assert message.get("MessageAttributes", {}) == {}


def test_we_send_what_the_library_sends(deployed: Deployed, library: Any) -> None:
    library.send_message(QueueUrl=deployed.queue_url, MessageBody=LARGE)
    (theirs,) = deployed.queued()
    deployed.run("send", "-", stdin=LARGE)
    (ours,) = deployed.queued()

    their_class, their_place = json.loads(theirs["Body"])
    our_class, our_place = json.loads(ours["Body"])
    assert our_class == their_class
    assert our_place.keys() == their_place.keys()
    assert our_place["s3BucketName"] == their_place["s3BucketName"]
    # By such a key the pipeline knows a payload that is nobody else's.
    assert all(uuid.UUID(place["s3Key"]) for place in (our_place, their_place))
    assert ours["MessageAttributes"] == theirs["MessageAttributes"]
    assert set(payloads(deployed).values()) == {LARGE}


def give_up_a_pointer(deployed: Deployed, payload: str) -> str:
    """The id of a dead letter that SQS moved, whose body points to `payload`."""
    deployed.s3.put_object(Bucket="test-payloads", Key="k", Body=payload)
    place = {"s3BucketName": "test-payloads", "s3Key": "k"}
    body = json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", place])
    size = {"DataType": "Number", "StringValue": str(len(payload))}
    return move(deployed, body, ExtendedPayloadSize=size)


def test_show_says_where_the_payload_is(deployed: Deployed) -> None:
    message_id = give_up_a_pointer(deployed, "{}")

    words = " ".join(deployed.run("dlq", "show", message_id).stdout.split())
    (document,) = deployed.run("dlq", "show", message_id, "--json").json

    assert "payload s3://test-payloads/k" in words
    assert document["payload"] == "test-payloads/k"


@pytest.mark.parametrize(("payload", "named"), [(RECORD_ID, "r-1"), ("{}", None)])
def test_a_redriven_pointer_is_the_same_record(
    deployed: Deployed, payload: str, named: str | None
) -> None:
    message_id = give_up_a_pointer(deployed, payload)

    (done,) = deployed.run("dlq", "redrive", "--all", "--json").json["sent"]

    (message,) = deployed.again()
    known = known_of(message)
    assert known["message_attributes"]["ExtendedPayloadSize"]["stringValue"] == str(len(payload))
    assert done["execution_id"] == known["execution_id"] == (named or f"test-{message_id}")


def test_a_payload_that_is_gone_or_elsewhere_is_no_error(deployed: Deployed) -> None:
    give_up_a_pointer(deployed, RECORD_ID)
    deployed.s3.delete_object(Bucket="test-payloads", Key="k")
    boto3.client("s3").create_bucket(Bucket="foreign")
    boto3.client("s3").put_object(Bucket="foreign", Key="k", Body=RECORD_ID)
    place = {"s3BucketName": "foreign", "s3Key": "k"}
    move(deployed, json.dumps(["software.amazon.payloadoffloading.PayloadS3Pointer", place]))

    sent = deployed.run("dlq", "redrive", "--all", "--json").json["sent"]

    assert all(one["execution_id"].startswith("test-") for one in sent)
    assert len(sent) == 2


def test_a_payload_that_must_not_be_read_ends_it(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    give_up_a_pointer(deployed, RECORD_ID)

    class Denied:
        def get_object(self, **_: object) -> None:
            raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "GetObject")

    monkeypatch.setattr(Connection, "s3", Denied())

    result = deployed.run("dlq", "redrive", "--all")

    assert result.exit_code == 1
    assert "GetObject: AccessDenied: no: ask for this permission" in result.stderr
    assert deployed.bodies_again() == []


def test_the_library_is_not_what_our_own_clients_use(library: Any) -> None:
    assert not hasattr(boto3.client("sqs"), "large_payload_support")
