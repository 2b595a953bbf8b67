from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_pipeline.intake import read, read_once
from durable_pipeline.records import Record
from durable_pipeline.settings import Settings
from pipeline_core.messages import ATTRIBUTE, Carried
from pipeline_core.objects import ObjectId, ObjectState
from tests.events import (
    extended_client_pointer,
    s3_event,
    sns_envelope,
    sqs_event,
    sqs_message,
    standard,
)
from tests.unit.durable_pipeline.settings import SETTINGS

QUEUES = ("queue", "objects", "internal", "files")
UUID = "7f3c1d1e-58cf-4f8b-a9d2-0d4b36a1d0a1"
STATE: ObjectState = {"bucket": "input", "key": "input/a.json", "sequencer": "0A" + "0" * 30}
SENT = 1772354400000
"""When the messages of these tests were sent."""


def text(value: str) -> dict[str, str]:
    return {"stringValue": value, "dataType": "String"}


def carrying(carried: Carried | dict[str, Any]) -> dict[str, Any]:
    return {ATTRIBUTE: text(json.dumps(carried))}


def reading(body: str, queue: str = "queue", **attributes: Any) -> tuple[Record, Any]:
    """The record of one message, and its outcome if it has one."""
    batch = read(sqs_event(sqs_message(body, "m-1", attributes=attributes, queue=queue)), SETTINGS)
    (record,) = batch.all_records
    return record, batch.unreadable.get("m-1")


def reason(body: str, queue: str = "queue", **attributes: Any) -> str:
    _, outcome = reading(body, queue, **attributes)
    assert outcome["outcome"] == "rejected"
    return f"{outcome['reason']['type']}: {outcome['reason']['message']}"


def test_a_message_is_a_record_with_its_body_untouched() -> None:
    event = sqs_event(sqs_message(" {} ", "m-1", receive_count=4))

    (record,) = read(event, SETTINGS).records

    assert (record.id, record.body, record.receive_count) == ("m-1", " {} ", 4)
    assert record.receipt_handle == "receipt-m-1"


@pytest.mark.parametrize("body", ["{}", '{"note": "é"}', "no JSON"])
def test_a_document_is_its_own_content_at_the_door_of_messages_whatever_its_letters(
    body: str,
) -> None:
    record, outcome = reading(body)

    assert (record.content, record.door, record.by_producer) == (body, "messages", False)
    assert outcome is None


def test_a_body_that_is_no_text_is_rejected_and_its_neighbours_are_read() -> None:
    wrong = sqs_message("x", "m-1") | {"body": 5}

    batch = read(sqs_event(wrong, sqs_message("{}", "m-2")), SETTINGS)

    assert [record.id for record in batch.records] == ["m-2"]
    assert batch.unreadable["m-1"]["outcome"] == "rejected"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_read(body: str) -> None:
    assert reading(body)[0].body == body


def test_whatever_parsing_a_body_raises_belongs_to_its_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def loads(_: str) -> object:
        raise MemoryError

    monkeypatch.setattr("pipeline_core.exact_json.loads", loads)
    odd, neighbour = '{"record_id": "odd"}', '{"any": "document"}'
    batch = read(sqs_event(sqs_message(odd, "m-1"), sqs_message(neighbour, "m-2")), SETTINGS)

    assert batch.unreadable["m-1"]["outcome"] == "rejected"
    assert [record.id for record in batch.records] == ["m-2"]


def test_a_text_that_utf_8_cannot_hold_is_rejected_and_never_sent_on() -> None:
    assert "lone surrogate" in reason("\ud800")


@pytest.mark.parametrize(
    "event", [{}, {"detail": {}}, {"Records": "x"}, {"Records": [{"eventSource": "aws:sns"}]}]
)
def test_an_event_that_is_none_of_sqs_says_what_to_send(event: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="send the message to the queue"):
        read(event, SETTINGS)


def test_a_message_delivered_twice_in_a_batch_is_one_record() -> None:
    first, second = sqs_message("{}", "m-1"), sqs_message("{}", "m-1")
    second["receiptHandle"] = "newer"

    (record,) = read(sqs_event(first, second), SETTINGS).all_records

    assert record.receipt_handle == "newer"


def test_an_execution_that_is_resumed_is_read_once_and_the_next_one_anew() -> None:
    event, other = sqs_event(sqs_message("{}", "m-1")), sqs_event(sqs_message("{}", "m-2"))

    first = read_once("execution-1", event, SETTINGS)

    assert first == read(event, SETTINGS)
    assert read_once("execution-1", json.loads(json.dumps(event)), SETTINGS) is first
    assert read_once("execution-2", other, SETTINGS) == read(other, SETTINGS)
    assert read_once("execution-1", event, SETTINGS) is not first, "two batches were kept"


# --- Whose record it is ---------------------------------------------------------------------------


def test_identity_is_the_environment_and_the_message_id() -> None:
    assert reading(standard())[0].execution_id == "dev-m-1"


def test_identity_is_the_producers_record_id_if_there_is_one() -> None:
    assert reading(standard(record_id="mine"))[0].execution_id == "mine"


@pytest.mark.parametrize("record_id", [None, "", 1, ["x"], {"record_id": "inner"}])
def test_a_record_id_that_is_no_text_is_no_identity(record_id: object) -> None:
    assert reading(json.dumps({"record_id": record_id}))[0].execution_id == "dev-m-1"


@pytest.mark.parametrize(
    "taken", [f"dev-{UUID}", f"dev-{'0af' * 10}ff", ObjectId("input", "a.csv").execution_id("dev")]
)
def test_a_record_id_in_the_shape_of_the_pipelines_own_ids_is_refused(taken: str) -> None:
    assert "choose another one" in reason(standard(record_id=taken))


@pytest.mark.parametrize("free", ["dev-1", "dev-20260301", "prod-" + UUID, UUID, "development-a-b"])
def test_other_ids_are_the_producers_to_choose(free: str) -> None:
    assert reading(standard(record_id=free)) == (reading(standard(record_id=free))[0], None)


# --- What each door believes ----------------------------------------------------------------------

FORGERIES: dict[str, dict[str, Any]] = {
    "an execution_id": {"execution_id": text("run-7")},
    "a time in seconds": {"sent_timestamp": text("1772354400")},
    "a time of the year 33658": {"sent_timestamp": text("999999999999999")},
    "all that is carried": carrying(
        {"execution_id": "theirs", "sent_timestamp": 1, "door": "objects", "handed_over": 3}
    ),
    "a dead letter's attributes": {
        name: text("theirs") for name in ("stage", "error_type", "execution_id")
    }
    | {"original_message_id": text("x"), "original": text('{"sent_timestamp": 1}')},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_no_attribute_is_believed_at_the_door_that_is_open_to_all(forgery: str) -> None:
    record, outcome = reading(standard(record_id="mine"), **FORGERIES[forgery])

    assert (record.execution_id, record.sent_timestamp, record.handed_over) == ("mine", SENT, 0)
    assert outcome is None


EVENT = json.dumps(s3_event(STATE))


@pytest.mark.parametrize("body", [EVENT, sns_envelope(EVENT)])
def test_an_event_of_s3s_is_believed_from_s3_and_from_nobody_else(body: str) -> None:
    assert reading(body, "objects")[0].pointer == STATE
    assert "believed only from S3" in reason(body)


def test_an_event_as_eventbridge_sends_it_says_what_to_do() -> None:
    event = {"source": "aws.s3", "detail-type": "Object Created", "detail": {}}

    assert "EventBridge" in reason(json.dumps(event))


def test_where_s3_sends_nothing_else_is_read() -> None:
    assert "InvalidEvent" in reason(standard(), "objects")
    assert "InvalidEvent" in reason(extended_client_pointer("payloads", UUID), "objects")


def test_a_document_that_calls_itself_a_test_event_is_a_document() -> None:
    record, outcome = reading(standard(Event="s3:TestEvent"))

    assert (record.content, outcome) == (standard(Event="s3:TestEvent"), None)


def test_only_the_whole_test_event_of_s3s_is_acknowledged_and_forgotten() -> None:
    test_event = {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"}

    assert reading(json.dumps(test_event), "objects")[1]["outcome"] == "ignored"
    assert "InvalidEvent" in reason(json.dumps(test_event | {"data": 1}), "objects")
    assert "InvalidEvent" in reason('{"Event": "s3:TestEvent"}', "objects")
    assert "UnsupportedEvent" in reason(json.dumps(test_event))


@pytest.mark.parametrize("queue", ["internal", "files"])
def test_the_pipelines_own_queues_say_whose_record_it_is_and_how_old(queue: str) -> None:
    carried = {"execution_id": "kept", "sent_timestamp": 5, "door": "messages", "handed_over": 2}
    producers = {"color": text("red")}

    record, _ = reading(
        standard(record_id="x"), queue, **carrying(carried | {"message_attributes": producers})
    )

    assert (record.execution_id, record.sent_timestamp, record.handed_over) == ("kept", 5, 2)
    assert (record.attributes, record.by_producer) == (producers, True)


def test_nothing_was_sent_before_the_message_that_tells_of_it() -> None:
    record, _ = reading(standard(), "internal", **carrying({"sent_timestamp": 10**14}))

    assert record.sent_timestamp == SENT


def test_what_came_in_as_a_message_is_no_event_of_s3s_when_it_is_sent_again() -> None:
    assert "believed only" in reason(EVENT, "internal", **carrying({"door": "messages"}))
    assert reading(EVENT, "internal", **carrying({"door": "objects"}))[0].pointer == STATE
    assert reading(EVENT, "internal")[0].pointer == STATE


MALFORMED = """
no JSON
[]
{"execution_id": 1}
{"execution_id": ""}
{"sent_timestamp": -1}
{"sent_timestamp": 1.5}
{"door": "window"}
{"handed_over": "1"}
{"continue_from": {"offset": -1, "row": 1, "line": 1}}
{"offloaded": 1}
"""


@pytest.mark.parametrize("wrong", MALFORMED.split("\n"))
def test_what_is_carried_malformed_is_rejected_by_name(wrong: str) -> None:
    assert ATTRIBUTE in reason(standard(), "internal", **{ATTRIBUTE: text(wrong)})


def test_a_dead_letter_that_a_console_moved_to_the_own_queue_keeps_identity_and_age() -> None:
    producers = {"color": text("red")}
    original = {"sent_timestamp": 7, "message_attributes": producers, "door": "objects"}
    letter = {name: text("x") for name in ("stage", "error_type", "original_message_id")}
    letter |= {"execution_id": text("kept"), "original": text(json.dumps(original))}

    record, _ = reading(EVENT, "internal", **letter)
    moved_to_all, _ = reading(standard(), "queue", **letter)

    assert (record.door, record.sent_timestamp) == ("objects", 7)
    assert record.attributes == moved_to_all.attributes == producers
    assert moved_to_all.execution_id == "dev-m-1"


def test_a_claim_check_is_read_where_its_producer_may_have_put_it_and_nowhere_else() -> None:
    good = [UUID, f"any/prefix/{UUID}", f"{UUID}.json", "messages/x.json", "messages/a/b"]
    bad = ["offloaded/x.json", "x.json", f"{UUID}/secret", "", "secret"]

    for key in good:
        assert reading(extended_client_pointer("payloads", key)) == (
            reading(extended_client_pointer("payloads", key))[0],
            None,
        )
    for key in bad:
        assert "InvalidPointer" in reason(extended_client_pointer("payloads", key))
    for bucket in ("input", "output", "foreign"):
        assert "ForeignBucket" in reason(extended_client_pointer(bucket, UUID))


def test_what_the_pipeline_put_in_the_place_of_a_large_body_is_read_in_its_own_queues() -> None:
    body = extended_client_pointer("payloads", "offloaded/x.json")

    assert reading(body, "internal", **carrying({"offloaded": True}))[1] is None
    assert "InvalidPointer" in reason(body, "internal", **carrying({"door": "messages"}))


@pytest.mark.parametrize("where", [None, 1, [], {}, {"s3BucketName": "b", "s3Key": None}])
def test_a_pointer_that_is_malformed_is_told_so(where: object) -> None:
    pointer = ["software.amazon.payloadoffloading.PayloadS3Pointer", where]

    assert "InvalidPointer" in reason(json.dumps(pointer))


def test_a_pointer_of_a_class_that_nobody_knows_says_which_are() -> None:
    pointer = ["com.example.S3Pointer", {"s3BucketName": "payloads", "s3Key": UUID}]

    assert "PayloadS3Pointer" in reason(json.dumps(pointer))


@pytest.mark.parametrize(
    ("key", "size", "says"),
    [
        ("input/folder/", 0, None),
        ("input/_SUCCESS", 3, None),
        ("input/.DS_Store", 3, None),
        ("input/folder/", 3, "UnsupportedType"),
        ("input/a.csv.gz", 3, "decompress it"),
        ("input/a.txt", 3, "must end in"),
    ],
)
def test_objects_that_are_no_documents(key: str, size: int, says: str | None) -> None:
    _, outcome = reading(json.dumps(s3_event(STATE | {"key": key, "size": size})), "objects")

    if says is None:
        assert outcome["outcome"] == "ignored"
    else:
        assert says in f"{outcome['reason']}"


# --- Nothing that is sent makes it raise ----------------------------------------------------------


def look_alikes() -> Iterator[Any]:
    """Each envelope, and again with each of its fields missing, null, or of another type."""
    envelopes: list[Any] = [
        s3_event(STATE),
        json.loads(sns_envelope(EVENT)),
        json.loads(sns_envelope(sns_envelope(EVENT))),
        json.loads(extended_client_pointer("payloads", UUID)),
        {"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "input"},
        {"source": "aws.s3", "detail-type": "Object Created", "detail": {"object": {"key": "a"}}},
    ]
    for envelope in envelopes:
        yield envelope
        for path in list(paths(envelope)):
            for value in (None, 1, 2.5, "", "x", [], {}, True, [None], {"": None}, MISSING):
                yield changed(envelope, path, value)


MISSING = object()


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    entries = value.items() if isinstance(value, dict) else enumerate(value)
    for key, nested in entries:
        yield (*path, key)
        if isinstance(nested, dict | list):
            yield from paths(nested, (*path, key))


def changed(value: Any, path: tuple[Any, ...], to: object) -> Any:
    copy = json.loads(json.dumps(value))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    if to is MISSING:
        del holder[path[-1]]
    else:
        holder[path[-1]] = to
    return copy


def nested(levels: int, inner: str = "") -> str:
    return f'{{"record_id":"é","data_source":"aws:s3","x":{"[" * levels}{inner}{"]" * levels}}}'


BODIES = [json.dumps(document) for document in look_alikes()]
BODIES += [sns_envelope(body) for body in BODIES[::7]]
BODIES += [nested(n) for n in (1, 31, 32, 199, 200, 400, *range(960, 1010), 5000, 100_000)]
BODIES += [nested(n, '"\ud7ff"') for n in (400, *range(970, 1000), 10_000)]
BODIES += ["", " ", "\ufeff", "\ufeff{}", "\x00", "aws:s3", '"aws:s3"', "[" * 9999, '{"a":' * 999]
BODIES += ['{"aws:s3": 1e999999999999999999}', '["S3Pointer", -0.0]', "9" * 5000 + "aws:s3", "nul"]


@pytest.mark.parametrize("queue", QUEUES)
def test_no_body_whatever_it_looks_like_makes_the_reader_raise(queue: str) -> None:
    messages = [sqs_message(body, f"m-{n}", queue=queue) for n, body in enumerate(BODIES)]

    batch = read(sqs_event(*messages), SETTINGS)

    assert [record.id for record in batch.all_records] == [f"m-{n}" for n in range(len(BODIES))]
    assert len(BODIES) > 500
    for outcome in batch.unreadable.values():
        assert outcome["outcome"] in ("rejected", "ignored")
        assert "it cannot be read" not in str(outcome["reason"])


attributes_of_any_kind = st.dictionaries(
    st.sampled_from([ATTRIBUTE, "execution_id", "original", "stage"]) | st.text(min_size=1),
    st.none() | st.text() | st.dictionaries(st.text(), st.text()) | st.text().map(text),
)


@pytest.mark.parametrize("queue", QUEUES)
@given(attributes_of_any_kind)
def test_no_attributes_make_the_reader_raise(queue: str, attributes: dict[str, Any]) -> None:
    message = sqs_message(standard(), "m-1", attributes=attributes, queue=queue)

    assert [record.id for record in read(sqs_event(message), SETTINGS).all_records] == ["m-1"]


def test_no_event_of_s3s_without_a_queue_makes_the_reader_raise() -> None:
    event = s3_event(STATE)
    entries = [
        changed(event, path, value)["Records"]
        for path in paths(event)
        if path[:2] == ("Records", 0) and path[2:] not in ((), ("eventSource",))
        for value in (None, 1, 2.5, "", "\ud800", [], {}, MISSING)
    ]

    for records in entries:
        assert len(read({"Records": records}, SETTINGS).all_records) == 1
    assert len(entries) >= 80


# --- Its group ------------------------------------------------------------------------------------


@pytest.mark.parametrize("queue", QUEUES)
def test_a_record_is_in_the_group_of_its_message(queue: str) -> None:
    event = sqs_event(sqs_message("{}", "m-1", queue=queue, group="tenant-7"), sqs_message("{}"))

    records = read(event, SETTINGS).all_records

    assert [record.message_group_id for record in records] == ["tenant-7", ""]


def test_a_message_attribute_of_that_name_is_the_producers_and_no_group() -> None:
    record, _ = reading("{}", MessageGroupId=text("a"), message_group_id=text("b"))

    assert record.message_group_id == ""
    assert record.attributes.keys() == {"MessageGroupId", "message_group_id"}


def test_an_event_that_s3_sends_itself_has_no_group() -> None:
    (record,) = read(s3_event(STATE), SETTINGS).all_records

    assert record.message_group_id == ""


IN_ORDER = replace(
    SETTINGS,
    fifo_queue_url="https://sqs/000000000000/queue.fifo",
    fifo_internal_queue_url="https://sqs/000000000000/internal.fifo",
)


@pytest.mark.parametrize("settings", [SETTINGS, IN_ORDER])
def test_a_queue_without_a_name_is_that_of_producers(settings: Settings) -> None:
    (record,) = read(sqs_event(sqs_message(standard(), queue="")), settings).all_records

    assert record.queue_url == SETTINGS.data_processing_queue_url


def test_a_fifo_queue_is_none_of_a_stack_that_has_none() -> None:
    (record,) = read(sqs_event(sqs_message(standard(), queue="queue.fifo")), SETTINGS).all_records

    assert record.queue_url == SETTINGS.data_processing_queue_url
    assert not record.is_in_order


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.sampled_from(["{}", "wrong"]))))
def test_of_each_group_in_a_fifo_queue_the_first_goes_and_no_other(
    messages: list[tuple[str, str]],
) -> None:
    event = sqs_event(
        *(
            sqs_message(body, f"{group}-{number}", queue="queue.fifo", group=group)
            for number, (group, body) in enumerate(messages)
        )
    )

    batch = read(event, IN_ORDER)

    going = [record.message_group_id for record in batch.all_records if record in batch.records]
    assert going == list(dict.fromkeys(group for group, _ in messages))
    assert all("held_back" in outcome for outcome in batch.unreadable.values())
    assert len(batch.records) + len(batch.unreadable) == len(messages)


@given(st.lists(st.sampled_from(["a", "b", ""])))
def test_in_a_standard_queue_a_group_holds_nothing_back(groups: list[str]) -> None:
    event = sqs_event(*(sqs_message("{}", f"m-{n}", group=g) for n, g in enumerate(groups)))

    assert len(read(event, IN_ORDER).records) == len(groups)
