from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipelinectl.sending import ATTEMPTS, MAX_BYTES, BatchOutcome, Body, Sender

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

    send(queue, "a" * (MAX_BYTES // 2), "b" * (MAX_BYTES // 2), "c")

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
        [Body("x" * (MAX_BYTES + 1), "test"), Body("a", "test")]
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
