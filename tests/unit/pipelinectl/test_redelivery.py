import base64
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.dead_letters import DeadLetter as Given
from durable_pipeline.dead_letters import attributes
from durable_pipeline.reader import read
from pipelinectl import redelivery
from pipelinectl.claim_checks import ClaimCheck
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.errors import OperationFailedError, StackMissingError
from pipelinectl.message_attributes import texts
from pipelinectl.objects import ObjectPath
from pipelinectl.redelivery import Redelivery
from tests.events import s3_event, sqs_event, sqs_message
from tests.unit.durable_pipeline.settings import SETTINGS as ANY_SETTINGS

EVENT = s3_event(
    {"bucket": "s-input", "key": "direct/orders.csv", "size": 8, "sequencer": "66" + "0" * 30}
)
LAMBDAS = {
    "RequestID": {"stringValue": "req-1", "dataType": "String"},
    "ErrorCode": {"stringValue": "200", "dataType": "Number"},
    "ErrorMessage": {"stringValue": "no queue accepted it", "dataType": "String"},
}
ENVIRONMENT = "test"
SETTINGS = replace(ANY_SETTINGS, environment=ENVIRONMENT)

NAMES = st.text("abcdefghij", min_size=1, max_size=8) | st.sampled_from(
    ["execution_id", "sent_timestamp", "stage", "error_type", "original"]
)
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF), min_size=1, max_size=20)
VALUES = st.one_of(
    TEXT.map(lambda text: {"stringValue": text, "dataType": "String"}),
    st.integers(0, 10**16).map(lambda n: {"stringValue": str(n), "dataType": "Number"}),
    st.binary(min_size=1, max_size=20).map(
        lambda content: {
            "binaryValue": base64.b64encode(content).decode(),
            "dataType": "Binary",
        }
    ),
)
PRODUCERS = st.dictionaries(NAMES, VALUES, max_size=10)
BODIES = st.one_of(
    TEXT,
    st.fixed_dictionaries({"record_id": TEXT | st.just("") | st.integers()}).map(json.dumps),
)


def through_sns(body: str) -> str:
    envelope = {"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": body}
    return json.dumps(envelope)


OBJECTS = st.just(json.dumps(EVENT))
MESSAGES = st.one_of(BODIES, OBJECTS, (BODIES | OBJECTS).map(through_sns))
POINTER = ClaimCheck("a body", ObjectPath("payloads", "3f2a"), 1).text


def in_the_form_of_sqs(attributes: dict[str, Any]) -> Any:
    return {
        name: {"DataType": value["dataType"]}
        | (
            {"StringValue": value["stringValue"]}
            if "stringValue" in value
            else {"BinaryValue": base64.b64decode(value["binaryValue"])}
        )
        for name, value in attributes.items()
    }


def in_the_form_of_an_event(message: Redelivery) -> dict[str, Any]:
    return {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        if "StringValue" in value
        else {
            "binaryValue": base64.b64encode(value["BinaryValue"]).decode(),
            "dataType": value["DataType"],
        }
        for name, value in message.attributes.items()
    }


def first_read(body: str, producers: dict[str, Any]) -> Any:
    event = sqs_event(sqs_message(body, "m-1", attributes=producers))
    return read(event, SETTINGS).all_records[0]


def read_again(message: Redelivery) -> Any:
    again = sqs_message(message.text, "m-2", attributes=in_the_form_of_an_event(message))
    return read(sqs_event(again), SETTINGS).all_records[0]


def given_up(record: Any) -> DeadLetter:
    """The dead letter that the pipeline itself sends, as it is received."""
    outcome: Any = {"outcome": "failed", "stage": "store", "reason": None}
    sent = attributes(Given(record, outcome), "uuid/uuid", "2026-01-01T00:00:00Z")
    return DeadLetter("dead-1", "handle", record.body, sent, 1_800_000_000_000)


def moved(record: Any) -> DeadLetter:
    """What SQS's redrive policy makes of the same message: nothing changes."""
    return DeadLetter(
        record.id, "handle", record.body, in_the_form_of_sqs(record.attributes), 1_772_354_400_000
    )


@pytest.mark.parametrize("dead", [given_up, moved])
@given(body=MESSAGES, producers=PRODUCERS)
def test_the_pipeline_reads_a_redelivery_as_the_same_record(
    dead: Any, body: str, producers: dict[str, Any]
) -> None:
    record = first_read(body, producers)

    message = redelivery.of_letter(dead(record), ENVIRONMENT)

    again = read_again(message)
    assert again.body == body
    assert again.execution_id == record.execution_id
    assert again.sent_timestamp == record.sent_timestamp
    assert len(message.attributes) <= 10
    for name, value in in_the_form_of_an_event(message).items():
        if name not in ("execution_id", "sent_timestamp"):
            assert value == producers[name]


@given(body=MESSAGES, producers=PRODUCERS)
def test_of_an_event_the_same_is_made(body: str, producers: dict[str, Any]) -> None:
    record = first_read(body, producers)
    event = sqs_event(sqs_message(body, "m-1", attributes=producers))

    (message,) = redelivery.of_event(json.dumps(event), ENVIRONMENT)

    again = read_again(message)
    assert (again.execution_id, again.sent_timestamp) == (
        record.execution_id,
        record.sent_timestamp,
    )


def test_a_mended_body_does_not_make_another_record() -> None:
    dead = moved(first_read("broken", {}))

    message = redelivery.of_letter(dead, ENVIRONMENT, '{"record_id": "new"}')

    assert read_again(message).execution_id == "test-m-1"


def test_an_id_that_the_pipeline_gave_needs_the_environment() -> None:
    with pytest.raises(StackMissingError, match="Environment"):
        redelivery.of_letter(moved(first_read("{}", {})), None)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("no", "it is not JSON"),
        ("[]", "no 'Records'"),
        ('{"Records": []}', "no 'Records'"),
        ('{"Records": "none"}', "no 'Records'"),
        ('{"Records": [{"body": "b"}]}', "no 'messageId'"),
        ('{"Records": [7]}', "no 'messageId'"),
    ],
)
def test_what_is_no_sqs_event_is_one(payload: str, said: str) -> None:
    with pytest.raises(OperationFailedError, match=said):
        redelivery.of_event(payload, ENVIRONMENT)


@pytest.mark.parametrize(
    "original", ["", "no JSON", "[]", '{"message_attributes": 1, "sent_timestamp": "x"}']
)
def test_a_dead_letter_that_somebody_else_made_does_no_harm(original: str) -> None:
    texts = {"error_type": "Odd", "original": original}
    dead = DeadLetter(
        "dead-1",
        "handle",
        "{}",
        {name: {"DataType": "String", "StringValue": value} for name, value in texts.items()},
        7,
    )

    assert read_again(redelivery.of_letter(dead, ENVIRONMENT)).sent_timestamp == 7


def with_the_payload(payload: str | None) -> Any:
    """Reads one payload, and knows no other."""
    return {ObjectPath("payloads", "3f2a"): payload}.get


@pytest.mark.parametrize(
    ("payload", "attribute"),
    [
        ('{"record_id": "r-1"}', None),
        ('{"record_id": ""}', "test-m-1"),
        ("{}", "test-m-1"),
        ("not json", "test-m-1"),
        (None, "test-m-1"),
    ],
)
def test_a_record_that_is_a_pointer_is_known_by_its_payload(
    payload: str | None, attribute: str | None
) -> None:
    dead = moved(first_read(POINTER, {}))
    event = json.dumps(sqs_event(sqs_message(POINTER, "m-1")))

    of_letter = redelivery.of_letter(dead, ENVIRONMENT, read=with_the_payload(payload))
    (of_event,) = redelivery.of_event(event, ENVIRONMENT, read=with_the_payload(payload))

    for message in (of_letter, of_event):
        assert message.text == POINTER
        assert texts(message.attributes).get("execution_id") == attribute


def test_a_payload_is_not_read_where_the_identity_is_known() -> None:
    dead = given_up(first_read(POINTER, {}))

    message = redelivery.of_letter(
        dead, ENVIRONMENT, read=lambda _: pytest.fail("the payload was read")
    )

    assert message.execution_id == "test-m-1"


SIZE = {"stringValue": "300000", "dataType": "Number"}
MANY = {f"a{number}": {"stringValue": "x", "dataType": "String"} for number in range(9)}


def test_what_says_that_it_is_a_pointer_is_the_last_attribute_to_be_dropped() -> None:
    dead = moved(first_read(POINTER, MANY | {"ExtendedPayloadSize": SIZE}))

    message = redelivery.of_letter(dead, ENVIRONMENT)

    assert message.attributes["ExtendedPayloadSize"]["StringValue"] == "300000"
    assert message.dropped == ("a7", "a8")


def test_a_record_mended_inline_is_no_pointer_any_more() -> None:
    dead = moved(first_read(POINTER, {"ExtendedPayloadSize": SIZE}))

    message = redelivery.of_letter(dead, ENVIRONMENT, "{}")

    assert "ExtendedPayloadSize" not in message.attributes
    assert message.execution_id == "test-m-1"


def test_an_event_that_lambda_gave_up_is_sent_again_as_s3_sent_it() -> None:
    dead = DeadLetter("dead-1", "handle", json.dumps(EVENT), in_the_form_of_sqs(LAMBDAS), 7)

    message = redelivery.of_letter(dead, ENVIRONMENT)

    assert message.attributes.keys() == {"sent_timestamp"}
    again = read_again(message)
    assert again.state == read(EVENT, SETTINGS).all_records[0].state
    assert again.execution_id == read(EVENT, SETTINGS).all_records[0].execution_id


def test_an_event_that_s3_sent_to_the_function_is_one_message() -> None:
    (message,) = redelivery.of_event(json.dumps(EVENT), None)

    assert json.loads(message.text) == EVENT
    assert message.attributes == {}
