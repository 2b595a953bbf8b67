"""What the gateway refuses, in Lambda's words."""

import json

import pytest

from localcloud import gateway
from localcloud.executions import ExecutionRecord, error_document
from localcloud.functions import DurableConfiguration
from localcloud.gateway import AwsError


def test_no_payload_is_an_empty_object() -> None:
    assert gateway._checked_input(b"", "RequestResponse") == "{}"


def test_a_payload_is_passed_on_character_by_character() -> None:
    text = '{"n": 1.10, "ü": "\\u00fc"}'
    assert gateway._checked_input(text.encode(), "Event") == text


@pytest.mark.parametrize(
    ("body", "kind", "error_type"),
    [
        (b"{", "RequestResponse", "InvalidRequestContentException"),
        (b"\xff", "RequestResponse", "InvalidRequestContentException"),
        (b"1" * (1024 * 1024 + 1), "Event", "RequestTooLargeException"),
        (b"1" * (6 * 1024 * 1024 + 1), "RequestResponse", "RequestTooLargeException"),
        (b"{}", "Other", "InvalidParameterValueException"),
    ],
)
def test_an_input_that_lambda_would_not_take(body: bytes, kind: str, error_type: str) -> None:
    with pytest.raises(AwsError) as caught:
        gateway._checked_input(body, kind)
    assert caught.value.error_type == error_type


@pytest.mark.parametrize(
    ("kind", "size"), [("RequestResponse", 6 * 1024 * 1024), ("Event", 1024 * 1024)]
)
def test_an_input_at_the_limit_is_taken(kind: str, size: int) -> None:
    assert len(gateway._checked_input(b'"' + b"x" * (size - 2) + b'"', kind)) == size


def test_who_waits_for_an_execution_waits_15_minutes_at_most() -> None:
    gateway._require_short(DurableConfiguration(900, 1))
    with pytest.raises(AwsError, match="cannot synchronously invoke a durable function"):
        gateway._require_short(DurableConfiguration(901, 1))


@pytest.mark.parametrize("name", ["", "a b", "a/b", "x" * 65])
def test_an_execution_name_that_lambda_would_not_take(name: str) -> None:
    with pytest.raises(AwsError, match="must match"):
        gateway._checked_name(name)


def test_the_same_name_takes_the_same_input_only() -> None:
    existing = ExecutionRecord("arn", "f", "1", "name", '{"a": 1, "b": 2}')
    gateway._require_same_input(existing, '{"b":2,"a":1}')
    with pytest.raises(AwsError) as caught:
        gateway._require_same_input(existing, '{"a": 2}')
    assert (caught.value.status, caught.value.error_type) == (
        409,
        "DurableExecutionAlreadyStartedException",
    )


def test_an_error_has_the_shape_that_boto3_reads() -> None:
    response = AwsError(404, "ResourceNotFoundException", "no").response()
    assert response.status == 404
    assert response.headers["x-amzn-ErrorType"] == "ResourceNotFoundException"
    assert json.loads(response.text or "")["Message"] == "no"


def test_an_execution_without_an_error_of_its_own_is_reported_by_its_status() -> None:
    document = error_document({"Error": {"ErrorMessage": "too late"}}, "TIMED_OUT")
    assert document == {"errorType": "TIMED_OUT", "errorMessage": "too late", "stackTrace": []}
