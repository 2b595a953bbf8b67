"""Each door's messages are believed as far as its senders may be: the attacks that fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline_core import messages
from pipeline_core.objects import ObjectState
from tests.e2e.conftest import ACCOUNT, OPERATOR, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.objects import Objects
from tests.e2e.operator import Operator
from tests.events import order, s3_event, sns_envelope, standard

PUBLIC = "DataProcessingQueueUrl"
S3S = "ObjectsQueueUrl"
BELIEVED = (
    "InternalQueueUrl",
    "FilesQueueUrl",
    "DeadLetterQueueUrl",
    "FifoInternalQueueUrl",
    "FifoDeadLetterQueueUrl",
)
QUEUES = (PUBLIC, S3S, *BELIEVED)

Sender = Callable[..., Any]


@pytest.fixture(scope="module")
def clients(stack: Stack) -> dict[str, Any]:
    """Clients of SQS by who they are: a producer, somebody who may all by IAM, an operator."""
    return {
        "producer": assumed(stack, "producer", PUBLIC),
        "stranger": assumed(stack, "stranger", *QUEUES),
        OPERATOR: assumed(stack, OPERATOR, *QUEUES),
        "root": stack.client("sqs"),
    }


def assumed(stack: Stack, role: str, *outputs: str) -> Any:
    """A client with the rights to send to these queues."""
    iam, arns = stack.client("iam"), [arn_of(stack, output) for output in outputs]
    trust = {"Effect": "Allow", "Principal": {"AWS": f"{ACCOUNT}:root"}, "Action": "sts:AssumeRole"}
    # Where ministack authorizes a batch by a name of its own, AWS does by that of the single call.
    actions = ["sqs:SendMessage", "sqs:SendMessageBatch"]
    may = {"Effect": "Allow", "Action": actions, "Resource": arns}
    iam.create_role(RoleName=role, AssumeRolePolicyDocument=policy(trust))
    iam.put_role_policy(RoleName=role, PolicyName="send", PolicyDocument=policy(may))
    session = stack.client("sts").assume_role(
        RoleArn=f"{ACCOUNT}:role/{role}", RoleSessionName="somebody"
    )["Credentials"]
    return stack.client("sqs", session)


def policy(statement: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def arn_of(stack: Stack, output: str) -> str:
    attributes = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs[output], AttributeNames=["QueueArn"]
    )
    return str(attributes["Attributes"]["QueueArn"])


def text(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}


def alone(client: Any, url: str) -> None:
    client.send_message(QueueUrl=url, MessageBody="{}")


def in_a_batch(client: Any, url: str) -> None:
    entries = [{"Id": "0", "MessageBody": "{}"}]
    assert not client.send_message_batch(QueueUrl=url, Entries=entries).get("Failed")


@pytest.mark.parametrize("send", [alone, in_a_batch])
@pytest.mark.parametrize(
    ("who", "where"),
    [
        *(("producer", queue) for queue in QUEUES if queue != PUBLIC),
        *(("stranger", queue) for queue in (S3S, *BELIEVED)),
        (OPERATOR, S3S),
        ("root", S3S),
    ],
)
def test_nobody_sends_where_others_are_believed(
    stack: Stack, clients: dict[str, Any], who: str, where: str, send: Callable[[Any, str], None]
) -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        send(clients[who], stack.outputs[where])


def test_an_operator_may_send_what_is_believed(stack: Stack, clients: dict[str, Any]) -> None:
    known = messages.attributes({"execution_id": "by-operator", "sent_timestamp": 7})

    clients[OPERATOR].send_message(
        QueueUrl=stack.outputs["InternalQueueUrl"],
        MessageBody=standard(),
        MessageAttributes=known,
    )

    item = wait_for(lambda: stack.items().get("by-operator"))
    assert item["sent_timestamp"]["N"] == "7"


def test_a_producer_cannot_say_whose_record_its_message_is(
    stack: Stack, clients: dict[str, Any]
) -> None:
    (victim,) = stack.wait_for_items(stack.send([standard(row="victim")])).values()
    execution_id = victim["execution_id"]["S"]
    forged = {
        "execution_id": text(execution_id),
        "sent_timestamp": text("7"),
        messages.ATTRIBUTE: text(json.dumps({"execution_id": execution_id, "sent_timestamp": 7})),
    }

    sent = clients["producer"].send_message(
        QueueUrl=stack.outputs[PUBLIC], MessageBody=standard(row="forged"), MessageAttributes=forged
    )["MessageId"]

    (item,) = stack.wait_for_items([sent]).values()
    assert item["execution_id"]["S"] == f"test-{sent}"
    assert item["sent_timestamp"]["N"] != "7"
    assert stack.items()[execution_id] == victim


@pytest.mark.parametrize("wrapped", [str, sns_envelope], ids=["as S3 sends it", "through SNS"])
def test_a_producer_cannot_speak_for_s3(
    stack: Stack, clients: dict[str, Any], wrapped: Callable[[str], str]
) -> None:
    objects = Objects(stack)
    key = f"input/victim-{wrapped.__name__}.json"
    objects.put(key, standard(row="victim"))
    item = objects.wait_for_item(key)
    entry = objects.wait_for_state(key, "done")
    stack.take_dead_letters()
    # By a sequencer that is later than all of S3's, nothing of this object would count any more.
    latest: ObjectState = {"bucket": objects.input, "key": key, "sequencer": "F" * 32}

    sent = clients["producer"].send_message(
        QueueUrl=stack.outputs[PUBLIC], MessageBody=wrapped(json.dumps(s3_event(latest)))
    )["MessageId"]

    (letter,) = wait_for(stack.take_dead_letters)
    said = {name: value["StringValue"] for name, value in letter["MessageAttributes"].items()}
    assert (said["original_message_id"], said["stage"]) == (sent, "read")
    assert objects.item(key) == item
    assert objects.entry(key) == entry


def test_an_edited_dead_letter_comes_back_through_the_internal_queue(
    stack: Stack, clients: dict[str, Any]
) -> None:
    stack.take_dead_letters()
    operator = Operator.of(stack)
    ten = {f"a{number}": text(f"value {number}") for number in range(10)}
    sent = clients["producer"].send_message(
        QueueUrl=stack.outputs[PUBLIC], MessageBody=order(quantity=0), MessageAttributes=ten
    )["MessageId"]

    (first,) = wait_for(lambda: operator.json("dlq", "list"))
    operator.json("dlq", "redrive", "--all", "--body", order(quantity=-1))
    (again,) = wait_for(lambda: operator.json("dlq", "list"))
    operator.json("dlq", "redrive", "--all", "--body", order(quantity=1))
    item = wait_for(lambda: stack.items().get(f"test-{sent}"))

    originals = [json.loads(letter["attributes"]["original"]) for letter in (first, again)]
    assert originals[0] == originals[1]
    assert originals[0]["door"] == "messages"
    assert originals[0]["message_attributes"].keys() == ten.keys()
    assert int(item["sent_timestamp"]["N"]) == originals[0]["sent_timestamp"]
    assert operator.json("dlq", "list") == []
