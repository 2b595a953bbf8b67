import json
import string
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.messages import MAX_MESSAGE_BYTES, Pointed, document_in
from pipelinectl import sending
from pipelinectl.errors import UsageError
from pipelinectl.sending import ATTEMPTS, BatchOutcome, Body, ClaimCheck, Sender, size_of


def test_each_line_with_text_is_a_body_that_knows_its_number() -> None:
    found = list(sending.from_lines(b'\xef\xbb\xbf{"a": 1}\r\n\n  \n{"b": 2}', "f.jsonl"))

    assert found == [Body('{"a": 1}', "f.jsonl line 1"), Body('{"b": 2}', "f.jsonl line 4")]


def test_byte_order_marks_and_an_end_of_file_mark_are_no_part_of_a_body() -> None:
    mark = b"\xef\xbb\xbf"
    content = mark * 2 + b"1\n" + mark + b"2\r\n" + mark + b"\r\n3\n\x1a"

    assert list(sending.from_lines(content, "f")) == [
        Body("1", "f line 1"),
        Body("2", "f line 2"),
        Body("3", "f line 4"),
    ]
    assert sending.from_whole(mark * 2 + b"1\n", "f") == Body("1", "f")


def test_other_line_separators_of_unicode_do_not_cut_a_body() -> None:
    (body,) = sending.from_lines('{"a": "x\u2028y"}'.encode(), "f")

    assert body.text == '{"a": "x\u2028y"}'


def test_the_whole_of_a_text_is_one_body_without_its_last_newline() -> None:
    assert sending.from_whole(b"a\nb\n", "stdin") == Body("a\nb", "stdin")


def test_a_line_that_is_not_utf8_is_named() -> None:
    with pytest.raises(UsageError, match="f line 2: byte 2 is not UTF-8"):
        list(sending.from_lines(b"ok\nx\xff", "f"))


def test_the_largest_body_passes_and_one_byte_more_does_not() -> None:
    sending.check([Body("é" * (MAX_MESSAGE_BYTES // 2), "f line 1")])

    with pytest.raises(UsageError, match="f line 2: 1,048,577 bytes"):
        sending.check([Body("é" * (MAX_MESSAGE_BYTES // 2) + "x", "f line 2")])


@pytest.mark.parametrize("character", ["\x00", "\x0b", "\x1f", "\ufffe", "\uffff"])
def test_a_character_that_sqs_refuses_is_named(character: str) -> None:
    with pytest.raises(UsageError, match=rf"f line 7: U\+{ord(character):04X} at character 3"):
        sending.check([Body(f"ab{character}", "f line 7")])


def test_characters_that_sqs_takes_pass() -> None:
    sending.check([Body("\t\n\r \x7f\ud7ff\ue000\ufffd\U00010000\U0010ffff", "f")])


def test_an_empty_body_is_refused() -> None:
    with pytest.raises(UsageError, match="empty"):
        sending.check([Body("", "the body")])


def test_record_ids_are_counted_up_and_leave_the_rest_exactly_as_it_is() -> None:
    body = Body('{"price": 1.10, "n": 12345678901234567890.0}', "f line 1")

    first, second = sending.with_record_ids([body, body], "run")

    assert first.text == '{"price": 1.10, "n": 12345678901234567890.0, "record_id": "run-00001"}'
    assert json.loads(second.text)["record_id"] == "run-00002"


@pytest.mark.parametrize("text", ["not json", "[1]", "1", '{"a": 1, "a": 2}'])
def test_what_is_no_json_object_cannot_have_a_record_id(text: str) -> None:
    with pytest.raises(UsageError, match="f line 1"):
        sending.with_record_id(Body(text, "f line 1"), "run-1")


def test_repeated_bodies_come_in_turn() -> None:
    one, two = Body("1", "a"), Body("2", "b")

    assert list(sending.repeated((one, two), 2)) == [one, two, one, two]


def test_what_does_not_travel_in_a_message_need_not_keep_the_rules_of_sqs() -> None:
    large = Body("\x01" * 11, "f line 1")

    sending.check([large, Body("x" * 10, "f line 2")], claim_checks_above=10)

    with pytest.raises(UsageError, match="U\\+0001"):
        sending.check([large], claim_checks_above=11)
    with pytest.raises(UsageError, match="empty"):
        sending.check([Body("", "f line 1")], claim_checks_above=0)


CHECK = ClaimCheck("line 1", {"bucket": "payloads", "key": "3f2a"}, 300_000)


def test_the_pipeline_takes_our_pointer_for_one() -> None:
    envelope = document_in(CHECK.text)

    assert isinstance(envelope, Pointed)
    assert envelope.pointer == {"bucket": "payloads", "key": "3f2a"}


def test_the_size_of_the_payload_is_in_the_reserved_attribute() -> None:
    assert CHECK.attributes == {
        "ExtendedPayloadSize": {"DataType": "Number", "StringValue": "300000"}
    }
    assert len(CHECK.text) < size_of(CHECK) < len(CHECK.text) + 50


QUEUE = "https://sqs.test/q"


class FakeQueue:
    """SQS that answers what it is told to, by message body and attempt."""

    def __init__(self, *refusals: tuple[str, int, bool]) -> None:
        self.requests: list[list[str]] = []
        self._refusals = {body: (times, fault) for body, times, fault in refusals}

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, str]]) -> Any:
        assert QueueUrl == QUEUE
        self.requests.append([entry["MessageBody"] for entry in Entries])
        answer: dict[str, list[Any]] = {"Successful": [], "Failed": []}
        for entry in Entries:
            kind, result = self._answer(entry)
            answer[kind].append(result)
        return answer

    def _answer(self, entry: dict[str, str]) -> tuple[str, dict[str, Any]]:
        body = entry["MessageBody"]
        times, fault = self._refusals.get(body, (0, False))
        if times == 0:
            return "Successful", {"Id": entry["Id"], "MessageId": f"id-{body[:10]}"}
        self._refusals[body] = (times - 1, fault)
        return "Failed", {"Id": entry["Id"], "Code": "Busy", "Message": "m", "SenderFault": fault}


def send(queue: FakeQueue, *texts: str) -> tuple[BatchOutcome[Body], list[float]]:
    slept: list[float] = []
    sender = Sender(queue, QUEUE, slept.append)  # type: ignore[arg-type]  # a fake of what it uses
    outcomes = list(sender.send(Body(text, "test") for text in texts))
    return (
        BatchOutcome(
            tuple(sent for outcome in outcomes for sent in outcome.sent),
            tuple(refused for outcome in outcomes for refused in outcome.refused),
        ),
        slept,
    )


def test_full_batches_are_sent_and_outcomes_come_in_order() -> None:
    queue = FakeQueue()
    texts = [str(number) for number in range(25)]

    outcome, slept = send(queue, *texts)

    assert [sent.message.text for sent in outcome.sent] == texts
    assert sorted(map(len, queue.requests)) == [5, 10, 10]
    assert slept == []


def test_a_request_holds_at_most_one_mebibyte() -> None:
    queue = FakeQueue()

    send(queue, "a" * (MAX_MESSAGE_BYTES // 2), "b" * (MAX_MESSAGE_BYTES // 2), "c")

    assert [len(request) for request in queue.requests] == [2, 1]


def test_what_sqs_did_not_take_is_sent_again_alone_and_later() -> None:
    queue = FakeQueue(("b", 2, False))

    outcome, slept = send(queue, "a", "b", "c")

    assert [sent.message.text for sent in outcome.sent] == ["a", "b", "c"]
    assert queue.requests == [["a", "b", "c"], ["b"], ["b"]]
    assert len(slept) == 2
    assert 0 < slept[0] < slept[1] * 2


def test_the_senders_fault_is_not_tried_again() -> None:
    queue = FakeQueue(("b", 1, True))

    outcome, slept = send(queue, "a", "b")

    assert [(refused.message.text, refused.code) for refused in outcome.refused] == [("b", "Busy")]
    assert queue.requests == [["a", "b"]]
    assert slept == []


def test_what_is_never_taken_is_refused_after_the_last_attempt() -> None:
    queue = FakeQueue(("a", 99, False))

    outcome, slept = send(queue, "a")

    assert len(queue.requests) == ATTEMPTS
    assert len(slept) == ATTEMPTS - 1
    assert [refused.reason for refused in outcome.refused] == ["m"]


def test_what_is_too_large_is_refused_and_the_others_are_sent() -> None:
    queue = FakeQueue()

    outcome = Sender(queue, QUEUE).send_batch(  # type: ignore[arg-type]  # a fake of what it uses
        [Body("x" * (MAX_MESSAGE_BYTES + 1), "test"), Body("a", "test")]
    )

    assert [refused.code for refused in outcome.refused] == ["MessageTooLong"]
    assert [sent.message.text for sent in outcome.sent] == ["a"]
    assert queue.requests == [["a"]]


def test_an_error_of_the_whole_request_is_raised() -> None:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    sqs = session.client("sqs", region_name="us-east-1")
    with Stubber(sqs) as stub:
        stub.add_client_error("send_message_batch", "QueueDoesNotExist")
        with pytest.raises(sqs.exceptions.ClientError, match="QueueDoesNotExist"):
            list(Sender(sqs, QUEUE).send([Body("a", "test")]))


@pytest.mark.parametrize("group", ["a", "tenant-7", "x" * 128, string.punctuation])
def test_a_group_that_sqs_takes_passes(group: str) -> None:
    sending.check_group(group)


@pytest.mark.parametrize(
    ("group", "said"),
    [
        ("", "the group '' of 0 characters"),
        ("x" * 129, f"the group '{'x' * 40}' of 129 characters"),
        ("арендатор", "the group 'арендатор' of 9 characters"),
        ("two words", "the group 'two words' of 9 characters"),
        ("a\n", r"the group 'a\\n' of 2 characters"),
    ],
)
def test_a_group_that_sqs_refuses_is_named_with_the_rule(group: str, said: str) -> None:
    with pytest.raises(UsageError, match=f"{said} is no MessageGroupId: give 1 to 128 letters"):
        sending.check_group(group)


def test_only_a_message_of_a_group_is_sent_in_one() -> None:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    sqs = session.client("sqs", region_name="us-east-1")
    check = replace(CHECK, message_group_id="b")
    messages: list[Body | ClaimCheck] = [Body("a", "1", "tenant-7"), check, Body("c", "3")]
    plain: list[dict[str, Any]] = [
        {"Id": str(n), "MessageBody": one.text, "MessageAttributes": one.attributes}
        for n, one in enumerate(messages)
    ]
    first, second, third = plain
    entries = [first | {"MessageGroupId": "tenant-7"}, second | {"MessageGroupId": "b"}, third]
    answers = [{"Id": str(n), "MessageId": "m", "MD5OfMessageBody": "x"} for n in range(3)]
    with Stubber(sqs) as stub:
        stub.add_response(
            "send_message_batch",
            {"Successful": answers, "Failed": []},
            {"QueueUrl": QUEUE, "Entries": entries},
        )
        (outcome,) = Sender(sqs, QUEUE).send(messages)

    assert len(outcome.sent) == 3


class Queue:
    """A FIFO queue that is busy `refusals` times, and takes what it has the id of only once."""

    def __init__(self, refusals: int) -> None:
        self.left = refusals
        self.taken: dict[str, tuple[str, str]] = {}
        self.requests = 0

    def send_message_batch(self, QueueUrl: str, Entries: list[Any]) -> Any:
        self.requests += 1
        groups = [entry["MessageGroupId"] for entry in Entries]
        assert len(groups) == len(set(groups))
        for entry in Entries:  # also what it then says that it has not taken
            said = (entry["MessageGroupId"], entry["MessageBody"])
            self.taken.setdefault(entry["MessageDeduplicationId"], said)
        if self.left:
            self.left -= 1
            return {
                "Failed": [{"Id": e["Id"], "Code": "Busy", "SenderFault": False} for e in Entries]
            }
        return {"Successful": [{"Id": e["Id"], "MessageId": e["Id"]} for e in Entries]}


@given(
    groups=st.lists(st.sampled_from("abc"), max_size=30),
    refusals=st.integers(0, ATTEMPTS - 1),
)
def test_a_fifo_queue_gets_each_message_once_and_each_group_in_its_order(
    groups: list[str], refusals: int
) -> None:
    queue: Any = Queue(refusals)
    bodies = [Body(f"{number}", "test", group) for number, group in enumerate(groups)]

    outcomes = list(Sender(queue, f"{QUEUE}.fifo", lambda _: None).send(bodies))

    assert [one.message for outcome in outcomes for one in outcome.sent] == bodies
    for group in "abc":
        found = [body for of, body in queue.taken.values() if of == group]
        assert found == [str(n) for n, of in enumerate(groups) if of == group]
