import base64
import json
import os
import signal
import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.dead_letters import attributes
from durable_pipeline.intake import read
from pipeline_core import messages
from pipeline_core.messages import ATTRIBUTE, LETTER_ATTRIBUTES, MAX_MESSAGE_BYTES
from pipeline_core.objects import Pointer
from pipelinectl import redrive
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.errors import OperationFailedError, StackMissingError
from pipelinectl.redrive import Redelivery, held_back
from pipelinectl.sending import ClaimCheck, size_of
from tests.events import s3_event, sns_envelope, sqs_event, sqs_message
from tests.unit.durable_pipeline.settings import SETTINGS as ANY_SETTINGS

EVENT = s3_event(
    {"bucket": "input", "key": "direct/orders.csv", "size": 8, "sequencer": "66" + "0" * 30}
)
LAMBDAS = {
    "RequestID": {"stringValue": "req-1", "dataType": "String"},
    "ErrorCode": {"stringValue": "200", "dataType": "Number"},
    "ErrorMessage": {"stringValue": "no queue accepted it", "dataType": "String"},
}
ENVIRONMENT = "test"
SETTINGS = replace(ANY_SETTINGS, environment=ENVIRONMENT)

NAMES = st.text("abcdefghij", min_size=1, max_size=8) | st.sampled_from(
    ["execution_id", "sent_timestamp", "stage", "error_type", "original", ATTRIBUTE]
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


OBJECT = st.just(json.dumps(EVENT))
OBJECTS = OBJECT | OBJECT.map(sns_envelope)
CAME_IN: st.SearchStrategy[tuple[str, dict[str, Any], str]] = st.one_of(
    st.tuples(BODIES, PRODUCERS, st.just("queue")),
    st.tuples(OBJECTS, st.just({}), st.just("objects")),  # neither S3 nor SNS gives it attributes
)
"""A body, its producer's attributes, and the queue that it came in by."""

SOURCES = {"queue": "stack-data-processing", "objects": "stack-objects"}
"""How the queues of the reader's settings are called where they are deployed."""

POINTER = ClaimCheck("a body", {"bucket": "payloads", "key": "3f2a"}, 1).text


def in_the_form_of_an_event(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"stringValue": value["StringValue"], "dataType": value["DataType"]}
        for name, value in attributes.items()
    }


def from_queue(message: dict[str, Any], queue: str) -> dict[str, Any]:
    return message | {"eventSourceARN": f"arn:aws:sqs:us-east-1:000000000000:{queue}"}


def first_read(body: str, producers: Mapping[str, Any], queue: str = "queue") -> Any:
    message = from_queue(sqs_message(body, "m-1", attributes=producers), queue)
    return read(sqs_event(message), SETTINGS).all_records[0]


def read_again(message: Redelivery) -> Any:
    attributes = in_the_form_of_an_event(message.attributes)
    again = from_queue(sqs_message(message.text, "m-2", attributes=attributes), "internal")
    return read(sqs_event(again), SETTINGS).all_records[0]


def known_of(message: Redelivery) -> Any:
    """What the message says of its record."""
    assert message.attributes.keys() == {messages.ATTRIBUTE}
    return json.loads(message.attributes[messages.ATTRIBUTE]["StringValue"])


def given_up(record: Any, _: str = "queue") -> DeadLetter:
    """The dead letter that the pipeline itself sends, as it is received."""
    outcome: Any = {"outcome": "failed", "stage": "store", "reason": None}
    sent = attributes(record, outcome, "uuid/uuid", "2026-01-01T00:00:00Z")
    as_received = in_the_form_of_an_event(sent)
    return DeadLetter("dead-1", "handle", record.body, as_received, 1_800_000_000_000)


def moved(record: Any, queue: str = "queue") -> DeadLetter:
    """What SQS's redrive policy makes of the same message: only that it came from a queue."""
    return letter(record.body, record.attributes, SOURCES[queue], record.id)


def letter(
    body: str,
    producers: Mapping[str, Any],
    source: str | None = "stack-data-processing",
    message_id: str = "m-1",
) -> DeadLetter:
    return DeadLetter(message_id, "handle", body, producers, 1_772_354_400_000, source=source)


def texts(**values: str) -> dict[str, Any]:
    return {name: {"stringValue": text, "dataType": "String"} for name, text in values.items()}


def of_ours(original: Mapping[str, Any], execution_id: str = "own") -> dict[str, Any]:
    """The attributes of a dead letter that the pipeline sent, which kept this of the message."""
    return texts(
        stage="store",
        error_type="Odd",
        execution_id=execution_id,
        original_message_id="m-1",
        original=json.dumps(original),
    )


def test_the_attribute_is_the_one_that_the_pipeline_reads() -> None:
    known: messages.Carried = {
        "execution_id": "r-1",
        "sent_timestamp": 7,
        "door": "messages",
        "message_attributes": texts(source="Zürich"),
    }
    (name,) = expected = messages.attributes(known)

    message = redrive.of_letter(letter('{"record_id": "r-1"}', texts(source="Zürich")), ENVIRONMENT)

    assert message.attributes.keys() == expected.keys()
    assert message.attributes[name]["DataType"] == expected[name]["DataType"]
    assert known_of(message) == known | {"sent_timestamp": 1_772_354_400_000}


@pytest.mark.parametrize("dead", [given_up, moved])
@given(came_in=CAME_IN)
def test_the_pipeline_reads_a_redelivery_as_the_same_record(
    dead: Any, came_in: tuple[str, dict[str, Any], str]
) -> None:
    body, producers, queue = came_in
    record = first_read(body, producers, queue)

    message = redrive.of_letter(dead(record, queue), ENVIRONMENT)

    again = read_again(message)
    assert again.body == body
    assert again.execution_id == record.execution_id
    assert again.sent_timestamp == record.sent_timestamp
    assert again.attributes == producers
    assert again.state == record.state


@given(came_in=CAME_IN)
def test_of_an_event_the_same_is_made(came_in: tuple[str, dict[str, Any], str]) -> None:
    body, producers, queue = came_in
    message = from_queue(sqs_message(body, "m-1", attributes=producers), SOURCES[queue])

    (of_event,) = redrive.of_event(json.dumps(sqs_event(message)), ENVIRONMENT)

    of_letter = redrive.of_letter(letter(body, producers, SOURCES[queue]), ENVIRONMENT)
    assert of_event == of_letter


FORGED = texts(
    execution_id="somebody-else",
    sent_timestamp="7",
    error_type="Odd",
    original='{"sent_timestamp": 7, "door": "objects", "message_attributes": {}}',
    RequestID="r",
    ErrorCode="200",
    ErrorMessage="m",
) | {ATTRIBUTE: {"stringValue": '{"execution_id": "somebody-else"}', "dataType": "String"}}


@pytest.mark.parametrize("body", ["{}", json.dumps(EVENT)])
def test_nothing_is_believed_of_what_a_producer_says(body: str) -> None:
    """SQS moves a message with the attributes that it has, whoever gave it those."""
    dead = letter(body, FORGED)

    message = redrive.of_letter(dead, ENVIRONMENT)

    assert known_of(message) == {
        "execution_id": "test-m-1",
        "sent_timestamp": 1_772_354_400_000,
        "door": "messages",
        "message_attributes": FORGED,
    }
    assert (dead.stage, dead.request_id, dead.execution_id) == ("unknown", None, None)


@pytest.mark.parametrize("source", ["stack-internal", "stack-files"])
def test_what_the_pipeline_sent_itself_is_sent_again_as_it_is(source: str) -> None:
    known: messages.Carried = {
        "execution_id": "own",
        "sent_timestamp": 7,
        "door": "objects",
        "handed_over": 3,
        "continue_from": {"offset": 7, "row": 2, "line": 3},
    }
    record = in_the_form_of_an_event(messages.attributes(known))
    event = sqs_event(from_queue(sqs_message("a body", "m-1", attributes=record), source))

    of_letter = redrive.of_letter(letter("a body", record, source), ENVIRONMENT)
    (of_event,) = redrive.of_event(json.dumps(event), ENVIRONMENT)
    edited = redrive.of_letter(letter("a body", record, source), ENVIRONMENT, "edited")

    assert of_letter == of_event == Redelivery("m-1", "a body", known)
    assert edited == Redelivery("m-1", "edited", known)
    assert edited.execution_id == "own"


def test_a_dead_letter_that_was_sent_to_the_internal_queue_by_hand_is_the_same_record() -> None:
    """As the console's "Start DLQ redrive" sends it, with the attributes that it has."""
    dead = given_up(first_read("broken", texts(source="till-7")))
    by_hand = replace(dead, source="stack-internal", message_id="m-2")

    assert redrive.of_letter(by_hand, ENVIRONMENT).carried == (
        redrive.of_letter(dead, ENVIRONMENT).carried
    )


def test_what_was_noted_of_a_record_is_passed_on() -> None:
    cursor = {"offset": 7, "row": 2, "line": 3}
    original = {"sent_timestamp": 7, "door": "objects", "continue_from": cursor, "offloaded": True}
    dead = letter("{}", of_ours(original), None)

    assert known_of(redrive.of_letter(dead, ENVIRONMENT)) == original | {"execution_id": "own"}
    # A body that was edited is no pointer that the pipeline has put in the place of a large one.
    assert "offloaded" not in known_of(redrive.of_letter(dead, ENVIRONMENT, "edited"))


@pytest.mark.parametrize(
    ("body", "door"),
    [("{}", None), (json.dumps(EVENT), None), (sns_envelope(json.dumps(EVENT)), None)],
)
def test_a_dead_letter_from_before_has_no_door_and_keeps_its_identity_and_its_age(
    body: str, door: str | None
) -> None:
    producers = texts(source="till-7", execution_id="own", sent_timestamp="7")
    dead = letter(body, of_ours({"sent_timestamp": 7, "message_attributes": producers}), None)

    known = known_of(redrive.of_letter(dead, ENVIRONMENT, "edited"))

    assert known.get("door") == door
    assert (known["execution_id"], known["sent_timestamp"]) == ("own", 7)


def test_a_dead_letter_without_room_for_its_reason_says_what_failed_and_whose_record_it_is() -> (
    None
):
    attributes = {n: value for n, value in of_ours({}).items() if n in LETTER_ATTRIBUTES}
    dead = letter("{}", attributes, None)

    assert (dead.stage, dead.error_type, dead.error_message) == ("store", "Odd", "")
    assert known_of(redrive.of_letter(dead, ENVIRONMENT)) == {
        "execution_id": "own",
        "sent_timestamp": dead.sent_timestamp,
    }


TEN = {
    f"a{number}": {"stringValue": ('"ä\n' if number else "x") * 19_000, "dataType": "String"}
    for number in range(10)
}


def test_however_often_a_record_is_given_up_it_stays_the_same() -> None:
    record = first_read('{"broken": true}', TEN)
    sizes = []

    for _ in range(14):
        message = redrive.of_letter(given_up(record), ENVIRONMENT)
        assert size_of(message) <= MAX_MESSAGE_BYTES
        sizes.append(size_of(message))
        record = read_again(message)
        assert record.attributes == TEN
        assert (record.execution_id, record.sent_timestamp) == ("test-m-1", 1_772_354_400_000)

    assert len(set(sizes)) == 1


def test_an_edited_body_does_not_make_another_record() -> None:
    for body, own in (("broken", "test-m-1"), ('{"record_id": "old"}', "old")):
        dead = letter(body, {})

        message = redrive.of_letter(dead, ENVIRONMENT, '{"record_id": "new"}')

        assert message.execution_id == known_of(message)["execution_id"] == own


def test_an_id_that_the_pipeline_gave_needs_the_environment() -> None:
    with pytest.raises(StackMissingError, match="Environment"):
        redrive.of_letter(letter("{}", {}), None)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ("no", "it is not JSON"),
        ("[]", "no 'Records'"),
        ('{"Records": []}', "no 'Records'"),
        ('{"Records": "none"}', "no 'Records'"),
        ('{"Records": [{"body": "b"}]}', "no 'messageId'"),
        ('{"Records": [7]}', "no 'messageId'"),
        (
            '{"Records": [{"messageId": "m", "body": "b", "messageAttributes": {"a": 1}}]}',
            "the 'messageAttributes' of one of its records are none of SQS's",
        ),
    ],
)
def test_what_is_no_sqs_event_is_one(payload: str, said: str) -> None:
    with pytest.raises(OperationFailedError, match=said):
        redrive.of_event(payload, ENVIRONMENT)


@pytest.mark.parametrize(
    "original", ["", "no JSON", "[]", '{"message_attributes": 1, "sent_timestamp": "x"}']
)
def test_a_dead_letter_that_somebody_else_made_does_no_harm(original: str) -> None:
    for named in (texts(error_type="Odd"), of_ours({}, execution_id="test-m-1")):
        dead = letter("{}", named | texts(original=original), None)

        assert known_of(redrive.of_letter(dead, ENVIRONMENT))["execution_id"] == "test-m-1"


def with_the_payload(payload: str | None) -> Any:
    """Reads one payload, and knows no other."""

    def read(pointer: Pointer) -> str | None:
        return payload if pointer == {"bucket": "payloads", "key": "3f2a"} else None

    return read


@pytest.mark.parametrize(
    ("payload", "execution_id"),
    [
        ('{"record_id": "r-1"}', "r-1"),
        ('{"record_id": ""}', "test-m-1"),
        ("{}", "test-m-1"),
        ("not json", "test-m-1"),
        (None, "test-m-1"),
    ],
)
def test_a_record_that_is_a_pointer_is_known_by_its_payload(
    payload: str | None, execution_id: str
) -> None:
    message = redrive.of_letter(letter(POINTER, {}), ENVIRONMENT, read=with_the_payload(payload))

    assert message.text == POINTER
    assert known_of(message)["execution_id"] == execution_id


def test_a_payload_is_not_read_where_the_identity_is_known() -> None:
    message = redrive.of_letter(
        given_up(first_read(POINTER, {})),
        ENVIRONMENT,
        read=lambda _: pytest.fail("the payload was read"),
    )

    assert message.execution_id == "test-m-1"


@pytest.mark.parametrize("more", [{}, texts(TraceHeader="Root=1")])
def test_an_event_that_lambda_gave_up_is_sent_again_as_s3_sent_it(more: Any) -> None:
    dead = DeadLetter("dead-1", "handle", json.dumps(EVENT), LAMBDAS | more, 7)

    message = redrive.of_letter(dead, ENVIRONMENT)

    assert dead.request_id == "req-1"
    assert known_of(message) == {"sent_timestamp": 7, "door": "objects"}
    again = read_again(message)
    assert again.state == read(EVENT, SETTINGS).all_records[0].state
    assert again.execution_id == read(EVENT, SETTINGS).all_records[0].execution_id


def test_an_event_that_s3_sent_to_the_function_is_one_message() -> None:
    (message,) = redrive.of_event(json.dumps(EVENT), None)

    assert json.loads(message.text) == EVENT
    assert known_of(message) == {"door": "objects"}


def interrupted(times: int) -> list[str]:
    """What a block came to that is interrupted so often."""
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        work(done, times)
    return done


def work(done: list[str], times: int) -> None:
    with held_back():
        done.append("begun")
        for _ in range(times):
            os.kill(os.getpid(), signal.SIGINT)
        done.append("rest")


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    assert interrupted(times=1) == ["begun", "rest"]


def test_a_second_interrupt_does_not_wait() -> None:
    assert interrupted(times=2) == ["begun"]


def test_afterwards_interrupts_are_as_they_were() -> None:
    before = signal.getsignal(signal.SIGINT)

    with held_back():
        pass

    assert signal.getsignal(signal.SIGINT) is before


def test_another_thread_may_use_it() -> None:
    done: list[str] = []

    thread = threading.Thread(target=work, args=(done, 0))
    thread.start()
    thread.join()

    assert done == ["begun", "rest"]


@pytest.mark.parametrize("group", ["tenant-7", ""])
def test_a_message_of_an_event_is_sent_again_in_its_group(group: str) -> None:
    event = sqs_event(sqs_message("{}", "m-1", group=group))

    (again,) = redrive.of_event(json.dumps(event), ENVIRONMENT)

    assert again.message_group_id == group


@pytest.mark.parametrize("group", ["x" * 129, "two words", 7, None, ["a"], {"a": 1}])
def test_what_is_no_group_keeps_no_message_from_being_sent_again(group: Any) -> None:
    odd = sqs_message("{}", "m-1")
    odd["attributes"]["MessageGroupId"] = group

    found = redrive.of_event(json.dumps(sqs_event(odd, sqs_message("{}", "m-2"))), ENVIRONMENT)

    assert [one.message_group_id for one in found] == ["", ""]
