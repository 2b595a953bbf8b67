"""What wraps ministack's functions refuses in ministack's shape, and passes on what is within."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localcloud import ministack_quotas
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
    ministack_quotas.hold_messages(sqs)
    # The batch looks the function up; the API looks into the handlers.
    for send in (sqs._act_send_message, sqs._HANDLERS["SendMessage"]):
        assert send({"MessageBody": "x" * MIB}, "url") == PASSED
        with pytest.raises(RefusedError) as refused:
            send({"MessageBody": "x" * (MIB + 1)}, "url")
        assert refused.value.code == "InvalidParameterValue"
    with pytest.raises(RefusedError, match="You have sent 1048577 bytes"):
        sqs._HANDLERS["SendMessageBatch"]({"Entries": [{"MessageBody": "x" * (MIB + 1)}]}, "url")


def test_a_batch_of_notifications_is_held() -> None:
    sns = SimpleNamespace(
        _error=error,
        _publish_batch=passes,
        _parse_batch_entries=lambda sizes: [
            {"message": "x" * size, "message_attributes": {}} for size in sizes
        ],
    )
    ministack_quotas.hold_notifications(sns)
    assert sns._publish_batch([128 * 1024, 128 * 1024]) == PASSED
    assert sns._publish_batch([128 * 1024, 128 * 1024 + 1]) == ("BatchRequestTooLong", 400)


def test_every_way_to_write_an_object_is_held() -> None:
    names = ("_put_object", "_copy_object", "_create_multipart_upload")
    s3 = SimpleNamespace(_error=error, **dict.fromkeys(names, passes))
    ministack_quotas.hold_keys(s3)
    for name in names:
        assert getattr(s3, name)("bucket", "k" * 1024, {}) == PASSED
        assert getattr(s3, name)("bucket", "k" * 1025, {}) == ("KeyTooLongError", 400)


def properties(size: int, **own: Any) -> dict[str, Any]:
    variables = {"A": "x" * (size - 1), "LOCALCLOUD_HANDLER_FUNCTION": "x" * 500}
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
    ministack_quotas.hold_functions(functions, provisioners)
    refused = ("InvalidParameterValueException", 400)
    assert functions._create_function(properties(4096)) == PASSED
    assert functions._create_function(properties(4097)) == refused
    assert functions._update_config("name", properties(4096)) == PASSED
    assert functions._update_config("name", properties(4097)) == refused
    for create in (provisioners._lambda_create, handlers["AWS::Lambda::Function"]["create"]):
        assert create("Id", properties(4096), "stack") == PASSED
        with pytest.raises(ValueError, match="exceeded the 4KB limit: A have 4097 bytes"):
            create("Id", properties(4097), "stack")


@pytest.mark.parametrize("name", ["a" * 64, "a" * 64 + "--handler"])
def test_a_name_and_that_of_its_twin_are_taken(name: str) -> None:
    assert ministack_quotas.refused_function(properties(1, FunctionName=name)) is None


def test_a_longer_name_is_refused() -> None:
    refusal = ministack_quotas.refused_function(properties(1, FunctionName="a" * 65))
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
    assert ministack_quotas.answering_what_fits(lambda: failed)() is failed


def _answer(body: str) -> Any:
    return ministack_quotas.answering_what_fits(lambda: {"body": body, "log": "log"})()
