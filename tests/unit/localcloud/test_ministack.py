"""What wraps ministack's functions does as AWS does, and passes on what needs no change."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import tempfile
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from localcloud import ministack
from localcloud.credentials import Credentials
from localcloud.ministack import (
    Response,
    SharedCode,
    issued_by,
    keyed_by,
    naming_roles,
    naming_whom_it_asks_about,
    put_back,
    receiving_large_batches,
    record_bytes,
    serving_ranges,
)
from localcloud.quotas import MAX_RESPONSE_BYTES

MIB = 1024 * 1024
PASSED = "passed"


class RefusedError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def error(code: str, message: str, status: int, *rest: str) -> tuple[str, int]:
    return code, status


def passes(*_: Any) -> str:
    return PASSED


def test_every_way_to_send_a_message_is_held() -> None:
    sqs = SimpleNamespace(
        _Err=RefusedError, _act_send_message=passes, _act_send_message_batch=passes, _HANDLERS={}
    )
    ministack.hold_messages(sqs)
    # The batch looks the function up; the API looks into the handlers.
    for send in (sqs._act_send_message, sqs._HANDLERS["SendMessage"]):
        assert send({"MessageBody": "x" * MIB}, "url") == PASSED
        with pytest.raises(RefusedError) as refused:
            send({"MessageBody": "x" * (MIB + 1)}, "url")
        assert refused.value.code == "InvalidParameterValue"
    with pytest.raises(RefusedError, match="You have sent 1048577 bytes"):
        sqs._HANDLERS["SendMessageBatch"]({"Entries": [{"MessageBody": "x" * (MIB + 1)}]}, "url")


def test_every_way_to_give_a_queue_its_dead_letters_is_held() -> None:
    handlers = {"AWS::SQS::Queue": {"create": passes, "update": passes}}
    names = ("_act_create_queue", "_act_set_queue_attributes")
    sqs = SimpleNamespace(_Err=RefusedError, _HANDLERS={}, **dict.fromkeys(names, passes))
    ministack.hold_queues(sqs, SimpleNamespace(_RESOURCE_HANDLERS=handlers))
    fifo, standard = (
        {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:1:{name}", "maxReceiveCount": 5}
        for name in ("dead.fifo", "dead")
    )
    for action, by in (("CreateQueue", "QueueName"), ("SetQueueAttributes", "QueueUrl")):
        act = sqs._HANDLERS[action]
        for name, right, wrong in (("q.fifo", fifo, standard), ("q", standard, fifo)):
            assert act({by: name, "Attributes": {"RedrivePolicy": json.dumps(right)}}, "") == PASSED
            assert act({by: name, "Attributes": {"RedrivePolicy": ""}}, "") == PASSED
            assert act({by: name, "Attributes": {"RedrivePolicy": "no json"}}, "") == PASSED
            assert act({by: name}, "") == PASSED
            with pytest.raises(RefusedError, match="must be same type of queue as the source"):
                act({by: name, "Attributes": {"RedrivePolicy": json.dumps(wrong)}}, "")
    of_stack = handlers["AWS::SQS::Queue"]
    new: dict[str, Any]
    for write, before in ((of_stack["create"], ()), (of_stack["update"], ({},))):
        for new in ({"FifoQueue": True, "RedrivePolicy": fifo}, {"RedrivePolicy": standard}, {}):
            assert write("id", *before, new, "stack") == PASSED
        for new in ({"FifoQueue": "true", "RedrivePolicy": standard}, {"RedrivePolicy": fifo}):
            with pytest.raises(ValueError, match="must be same type of queue as the source"):
                write("id", *before, new, "stack")


def test_every_way_to_make_a_mapping_of_a_fifo_queue_is_held() -> None:
    handlers = {"AWS::Lambda::EventSourceMapping": {"create": passes, "update": passes}}
    source = {"EventSourceArn": "arn:aws:sqs:us-east-1:1:q.fifo"}
    lambdas = SimpleNamespace(
        error_response_json=error,
        _create_esm=passes,
        _update_esm=passes,
        _esms={"fifo": source, "other": {"EventSourceArn": "arn:aws:sqs:us-east-1:1:q"}},
    )
    ministack.hold_mappings(lambdas, SimpleNamespace(_RESOURCE_HANDLERS=handlers))
    refused = ("InvalidParameterValueException", 400)
    for wrong in ({"BatchSize": 11}, {"BatchSize": 10, "MaximumBatchingWindowInSeconds": 1}):
        assert lambdas._create_esm({**source, "BatchSize": 10}) == PASSED
        assert lambdas._create_esm(lambdas._esms["other"] | wrong) == PASSED
        assert lambdas._create_esm({**source, **wrong}) == refused
        assert lambdas._update_esm("fifo", wrong) == refused
        assert lambdas._update_esm("fifo", {"BatchSize": 1}) == PASSED
        assert lambdas._update_esm("other", wrong) == PASSED
        assert lambdas._update_esm("gone", wrong) == PASSED  # ministack's to refuse
        of_stack = handlers["AWS::Lambda::EventSourceMapping"]
        with pytest.raises(ValueError, match="FIFO queues"):
            of_stack["create"]("Id", {**source, **wrong}, "stack")
        with pytest.raises(ValueError, match="FIFO queues"):
            of_stack["update"]("id", source, {**source, **wrong}, "stack")
        assert of_stack["create"]("Id", {**source, "BatchSize": "1"}, "stack") == PASSED


def test_groups_of_a_fifo_queue_are_worked_on_side_by_side() -> None:
    def counted(_mapping: Any, _function: Any, _configuration: Any, queue: Any = None) -> int:
        return 1 if (queue or {}).get("is_fifo") else 5

    count = ministack.by_groups(counted)

    assert count({}, {}, {}, {"is_fifo": True}) == count({}, {}, {}, {}) == count({}, {}, {}) == 5


def test_a_batch_of_notifications_is_held() -> None:
    sns = SimpleNamespace(
        _error=error,
        _publish_batch=passes,
        _parse_batch_entries=lambda sizes: [
            {"message": "x" * size, "message_attributes": {}} for size in sizes
        ],
    )
    ministack.hold_notifications(sns)
    assert sns._publish_batch([128 * 1024, 128 * 1024]) == PASSED
    assert sns._publish_batch([128 * 1024, 128 * 1024 + 1]) == ("BatchRequestTooLong", 400)


def test_every_way_to_write_an_object_is_held() -> None:
    names = ("_put_object", "_copy_object", "_create_multipart_upload")
    s3 = SimpleNamespace(_error=error, **dict.fromkeys(names, passes))
    ministack.hold_keys(s3)
    for name in names:
        assert getattr(s3, name)("bucket", "k" * 1024, {}) == PASSED
        assert getattr(s3, name)("bucket", "k" * 1025, {}) == ("KeyTooLongError", 400)


def properties(size: int, **own: Any) -> dict[str, Any]:
    variables = {"A": "x" * (size - 1)}
    return {"Environment": {"Variables": variables}, "FunctionName": "name", **own}


def test_every_way_to_make_a_function_is_held() -> None:
    functions = SimpleNamespace(
        error_response_json=error,
        _create_function=passes,
        _update_config=passes,
        _execute_function_dispatch=passes,
    )
    handlers: dict[str, Any] = {"AWS::Lambda::Function": {"create": passes}}
    provisioners = SimpleNamespace(_lambda_create=passes, _RESOURCE_HANDLERS=handlers)
    ministack.hold_functions(functions, provisioners)
    refused = ("InvalidParameterValueException", 400)
    assert functions._create_function(properties(4096)) == PASSED
    assert functions._create_function(properties(4097)) == refused
    assert functions._update_config("name", properties(4096)) == PASSED
    assert functions._update_config("name", properties(4097)) == refused
    for create in (provisioners._lambda_create, handlers["AWS::Lambda::Function"]["create"]):
        assert create("Id", properties(4096), "stack") == PASSED
        with pytest.raises(ValueError, match="exceeded the 4KB limit: A have 4097 bytes"):
            create("Id", properties(4097), "stack")


def test_a_name_has_64_characters() -> None:
    assert ministack.refused_function(properties(1, FunctionName="a" * 64)) is None
    refusal = ministack.refused_function(properties(1, FunctionName="a" * 65))
    assert refusal
    assert refusal.code == "ValidationException"


@pytest.mark.parametrize("unit", ["x", "ы"])
def test_an_answer_is_measured_as_lambda_writes_it(unit: str) -> None:
    fits = unit * ((MAX_RESPONSE_BYTES - 2) // len(unit.encode()))
    assert _answer(fits) == {"body": fits, "log": "log"}
    assert _answer(fits + unit) == {
        "body": {
            "errorType": "Function.ResponseSizeTooLarge",
            "errorMessage": "Response payload size exceeded maximum allowed payload size "
            "(6291556 bytes).",
        },
        "error": True,
        "log": "log",
    }


def test_an_error_stays_as_it_is() -> None:
    failed = {"body": "x" * (MAX_RESPONSE_BYTES + 1), "error": True}
    assert ministack.answering_what_fits(lambda: failed)() is failed


def _answer(body: str) -> Any:
    return ministack.answering_what_fits(lambda: {"body": body, "log": "log"})()


_NOT_RECEIVED = {"receipt_handle": None, "visible_at": 0, "receive_count": 0}


class Queue:
    def __init__(self, messages: int, body: str = "") -> None:
        self.messages: list[dict[str, Any]] = [
            {"id": number, "body": body, **_NOT_RECEIVED} for number in range(messages)
        ]
        self.asked: list[int] = []

    def receive(self, queue_url: str, count: int) -> list[dict[str, Any]]:
        assert queue_url == "url"
        self.asked.append(count)
        taken = [m for m in self.messages if not m["visible_at"]][:count]
        for message in taken:
            message |= {"receipt_handle": "r", "visible_at": 99, "receive_count": 1}
        return taken


@pytest.mark.parametrize(
    ("there", "wanted", "asked", "left"),
    [
        (30, 25, [10, 10, 5], 5),
        (12, 100, [10, 10, 10], 0),
        (3, 1, [1], 2),
        (0, 10, [10], 0),
    ],
)
def test_a_batch_is_received_in_requests_of_ten(
    there: int, wanted: int, asked: list[int], left: int
) -> None:
    queue = Queue(there)
    batch = receiving_large_batches(queue.receive, put_back)("url", wanted)
    assert [message["id"] for message in batch] == list(range(min(there, wanted)))
    assert queue.asked == asked
    assert len([m for m in queue.messages if not m["visible_at"]]) == left


def test_a_batch_ends_where_the_event_would_be_larger_than_6_mb() -> None:
    queue = Queue(13, body="ы" * (512 * 1024))
    receive = receiving_large_batches(queue.receive, put_back)
    batches = [receive("url", 100) for _ in range(4)]
    assert [[m["id"] for m in batch] for batch in batches] == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12],
        [],
    ]
    assert {m["receive_count"] for m in queue.messages} == {1}, "what was put back is not counted"


def test_a_batch_of_exactly_6_mb_passes_and_of_one_byte_more_does_not() -> None:
    def batch_of(body: str) -> int:
        queue = Queue(4, body)
        return len(receiving_large_batches(queue.receive, put_back)("url", 10))

    envelope = record_bytes({"body": ""})
    assert batch_of("x" * (6 * MIB // 4 - envelope)) == 4
    assert batch_of("x" * (6 * MIB // 4 - envelope + 1)) == 3


def test_a_message_that_was_received_before_keeps_that_when_it_is_put_back() -> None:
    message = {"receipt_handle": "r", "visible_at": 9, "receive_count": 2, "first_receive_at": 5}
    put_back(message)
    assert message == {
        "receipt_handle": None,
        "visible_at": 0,
        "receive_count": 1,
        "first_receive_at": 5,
    }


SESSION = "arn:aws:sts::000000000000:assumed-role/operator/jane"
USER = "arn:aws:iam::000000000000:user/jane"


@pytest.mark.parametrize(
    ("key", "found", "resolved"),
    [
        ("aws:PrincipalArn", SESSION, "arn:aws:iam::000000000000:role/operator"),
        ("AWS:principalarn", SESSION, "arn:aws:iam::000000000000:role/operator"),
        ("aws:PrincipalArn", USER, USER),
        ("aws:PrincipalArn", "*", "*"),  # of a service
        ("aws:PrincipalArn", None, None),
        ("aws:userid", SESSION, SESSION),
    ],
)
def test_the_role_stands_for_its_session(key: str, found: object, resolved: object) -> None:
    asked = []

    def resolve(key: str, context: object) -> object:
        asked.append((key, context))
        return found

    assert naming_roles(resolve)(key, "context") == resolved
    assert asked == [(key, "context")]


@pytest.mark.parametrize(
    ("service", "asked", "resource"),
    [
        ("iam", {"PolicySourceArn": ["arn:aws:iam::0:role/asked"]}, "arn:aws:iam::0:role/asked"),
        ("iam", {"PolicySourceArn": "arn:aws:iam::0:role/asked"}, "arn:aws:iam::0:role/asked"),
        ("iam", {}, "*"),
        ("sns", {"PolicySourceArn": "arn:aws:iam::0:role/asked"}, "*"),
    ],
)
def test_a_simulation_is_about_the_role_that_it_asks_about(
    service: str, asked: Any, resource: str
) -> None:
    found = naming_whom_it_asks_about(lambda *_: "*")

    assert found(service, "POST", "/", {}, b"", asked, "region", "0") == resource


HEADERS = {"Content-Length": "10", "ETag": '"e"', "x-amz-checksum-crc32": "c"}
WHOLE: Response = (200, HEADERS, b"0123456789")


def read(answer: Response, parsed: tuple[int, int] | None, **headers: str) -> Response:
    def get_object(*_: Any) -> Response:
        return answer

    def parse_range(text: str, size: int) -> tuple[int, int] | None:
        assert (text, size) == (headers["range"], len(answer[2]))
        return parsed

    return serving_ranges(get_object, parse_range)("bucket", "key", headers, {"versionId": ["v"]})


def test_a_range_is_cut_out_of_the_whole() -> None:
    assert read(WHOLE, (2, 4), range="bytes=2-4") == (
        206,
        {"Content-Length": "3", "ETag": '"e"', "Content-Range": "bytes 2-4/10"},
        b"234",
    )


def test_a_range_outside_of_the_object_is_refused() -> None:
    status, headers, body = read(WHOLE, None, range="bytes=20-")
    assert (status, headers["Content-Range"]) == (416, "bytes */10")
    assert b"<Code>InvalidRange</Code>" in body


def test_a_read_of_the_whole_stays_as_it_is() -> None:
    assert read(WHOLE, None) == WHOLE


def test_what_ministack_cuts_itself_or_refuses_stays_as_it_is() -> None:
    for status in (206, 304, 404, 412):
        answer: Response = (status, HEADERS, b"234")
        assert read(answer, (2, 4), range="bytes=2-4") == answer


def test_it_ends_as_soon_as_its_state_is_saved() -> None:
    happened: list[object] = []

    async def handle_lifespan(*_: object) -> None:
        happened.append("saved")

    handle = ministack.ending_at_once(handle_lifespan, happened.append)
    asyncio.run(handle({}, None, None))

    assert happened == ["saved", 0]


def test_workers_share_the_code_that_they_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def extract(worker: str, text: str) -> Path:
        directory = tmp_path / worker / "code"
        directory.mkdir(parents=True)
        archive = tmp_path / worker / "code.zip"
        with zipfile.ZipFile(archive, "w") as code:
            code.writestr(zipfile.ZipInfo("package/handler.py"), text)
        with SharedCode(archive) as code:
            code.extractall(directory)
        assert (directory / "package" / "handler.py").read_text() == text
        return directory.resolve()

    one, two, other = (extract(*which) for which in (("1", "a"), ("2", "a"), ("3", "b")))
    assert one == two
    assert one != other
    assert not list(tmp_path.glob("draft-*"))


def test_workers_that_start_at_once_share_the_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as code:
        for number in range(200):
            code.writestr(f"package/module_{number}.py", "")

    def extract(worker: int) -> int:
        directory = tmp_path / str(worker)
        directory.mkdir()
        with SharedCode(archive) as code:
            code.extractall(directory)
        return len(list((directory / "package").iterdir()))

    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(extract, range(16))) == {200}
    assert not list(tmp_path.glob("draft-*"))


def test_of_code_that_workers_share_the_latest_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ministack, "_MOST_SHARED", 2)
    for age, name in enumerate("abc"):
        (tmp_path / f"code-{name}").mkdir()
        os.utime(tmp_path / f"code-{name}", (age, age))
    ministack._forget_old_code(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["code-b", "code-c"]


def test_who_knows_only_names_cannot_derive_a_sessions_credentials() -> None:
    digests = set()
    for secret in ("one", "other"):
        sha256 = keyed_by(Credentials("LOCLROOT", secret))
        assert sha256(b"arn:role").hexdigest() == sha256(b"arn:role").hexdigest()
        digests.add(sha256(b"arn:role").hexdigest())
    assert len(digests | {hashlib.sha256(b"arn:role").hexdigest()}) == 3


@pytest.mark.parametrize(
    ("access_key", "found"),
    [
        ("ASIASESSION", Credentials("ASIASESSION", "of 1", "token")),
        ("AKIAUSER", Credentials("AKIAUSER", "of 2", "token")),
        ("unknown", None),
        ("test", None),
        ("", None),
        ("000000000000", None),
    ],
)
def test_whom_ministack_takes_for_root_it_has_issued_nothing(
    access_key: str, found: Credentials | None
) -> None:
    failure = type("CredentialResolutionError", (), {})

    def resolve(key: str, account: str | None) -> Any:
        if account is None and key not in ("test", "", "000000000000"):
            return failure()
        return SimpleNamespace(secret_access_key=f"of {account}", session_token="token")

    evaluator = SimpleNamespace(
        is_root_access_key=lambda key: key in ("test", "", "000000000000"),
        find_iam_access_key_account={"AKIAUSER": "2"}.get,
        resolve_credential=resolve,
        CredentialResolutionError=failure,
    )
    responses = SimpleNamespace(_account_from_sts_session={"ASIASESSION": "1"}.get)
    assert issued_by(evaluator, responses)(access_key) == found
