"""The API as API Gateway calls it, over S3 by moto."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import boto3
import pytest
from moto import mock_aws

import uploads.handler
from pipeline_core import clients
from tests.presigned import refusal
from uploads.uploads import Settings

BUCKET = "stack-payloads-123456789012-eu-west-1"
CONTEXT = SimpleNamespace(
    function_name="uploads",
    memory_limit_in_mb=256,
    invoked_function_arn="arn",
    aws_request_id="request",
)
REQUEST: dict[str, Any] = {
    "size": 12,
    "content_type": "text/csv",
    "metadata": {"processing-type": "order", "data-source": "shop 7"},
}


@pytest.fixture(scope="module")
def client() -> Any:
    """One for all tests: to make it takes longer than most of them."""
    with mock_aws():
        return boto3.client("s3", region_name="eu-west-1")


@pytest.fixture
def s3(client: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name, value in {
        "AWS_DEFAULT_REGION": "eu-west-1",
        "PAYLOAD_BUCKET": BUCKET,
        "UPLOAD_URL_LIFETIME": "900",
        "MAXIMUM_UPLOAD_SIZE": "1000",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    _forget_clients()
    with mock_aws():
        where: Any = {"LocationConstraint": "eu-west-1"}
        client.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
        yield client
    _forget_clients()


def _forget_clients() -> None:
    uploads.handler.uploads.cache_clear()
    clients.session.cache_clear()


def secret_key() -> str:
    """The one that moto made up."""
    return os.environ["AWS_SECRET_ACCESS_KEY"]


def call(method: str, path: str, body: str | None = None, *, binary: bool = False) -> Any:
    """The status and the document of the API's answer."""
    event = {
        "version": "2.0",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {},
        "requestContext": {"stage": "$default", "http": {"method": method, "path": path}},
        "body": body,
        "isBase64Encoded": binary,
    }
    answer = uploads.handler.handler(event, CONTEXT)  # type: ignore[arg-type]  # all it uses
    assert answer["headers"]["Content-Type"] == "application/json"
    assert answer["headers"]["Cache-Control"] == "no-store"
    json.dumps(answer)
    return answer["statusCode"], json.loads(answer["body"])


def create(**changes: Any) -> Any:
    status, upload = call("POST", "/uploads", json.dumps(REQUEST | changes))
    assert status == 201
    return upload


def put(upload: Any, **changes: str) -> str | None:
    """What S3 says to the upload."""
    headers = upload["headers"] | changes
    return refusal(upload["method"], upload["url"], headers, secret_key=secret_key())


def test_an_upload_says_where_and_how(s3: Any) -> None:
    before = datetime.now(UTC)

    upload = create()

    assert upload["id"].endswith(".csv")
    assert upload["method"] == "PUT"
    assert upload["max_size"] == 1000
    assert upload["headers"] == {
        "Content-Length": "12",
        "Content-Type": "text/csv",
        "x-amz-meta-processing-type": "order",
        "x-amz-meta-data-source": "shop 7",
    }
    signed_at = datetime.fromisoformat(upload["expires_at"]) - timedelta(seconds=900)
    # In whole seconds, of before it was signed or after.
    assert before - timedelta(seconds=1) < signed_at < datetime.now(UTC) + timedelta(seconds=1)
    assert create()["id"] != upload["id"]


def test_s3_takes_what_was_asked_for(s3: Any) -> None:
    assert put(create()) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"Content-Length": "13"},
        {"Content-Type": "application/json"},
        {"x-amz-meta-processing-type": "standard"},
        {"x-amz-meta-delimiter": ";"},
        {"x-amz-acl": "public-read"},
    ],
)
def test_s3_refuses_anything_else(s3: Any, changes: dict[str, str]) -> None:
    assert put(create(), **changes) in ("SignatureDoesNotMatch", "AccessDenied")


def test_s3_refuses_headers_left_out_and_other_methods_and_keys(s3: Any) -> None:
    upload = create()
    bare = {name: value for name, value in upload["headers"].items() if "source" not in name}
    other_key = upload["url"].replace(".csv?", ".json?")

    assert refusal("PUT", upload["url"], bare, secret_key=secret_key())
    assert refusal("GET", upload["url"], upload["headers"], secret_key=secret_key())
    assert refusal("PUT", other_key, upload["headers"], secret_key=secret_key())


def test_a_url_ends(s3: Any) -> None:
    upload = create()
    late = datetime.now(UTC) + timedelta(seconds=901)

    assert refusal("PUT", upload["url"], upload["headers"], secret_key=secret_key(), now=late)


def test_on_aws_the_url_is_of_the_buckets_own_region(s3: Any) -> None:
    parts = urlsplit(create()["url"])

    assert parts.netloc == f"{BUCKET}.s3.eu-west-1.amazonaws.com"
    assert parts.path.startswith("/messages/")


def test_at_an_endpoint_of_ones_own_the_bucket_is_in_the_path(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://localhost:4566")

    upload = create()

    assert upload["url"].startswith(f"http://localhost:4566/{BUCKET}/messages/{upload['id']}?")
    assert put(upload) is None


def test_an_upload_can_be_got_again(s3: Any) -> None:
    upload = create()
    s3.put_object(
        Bucket=BUCKET, Key=f"messages/{upload['id']}", Body=b"x" * 12, ContentType="text/csv"
    )

    status, found = call("GET", f"/uploads/{upload['id']}")

    assert status == 200
    assert (found["id"], found["size"], found["content_type"]) == (upload["id"], 12, "text/csv")
    assert refusal("GET", found["url"], {}, secret_key=secret_key()) is None
    assert datetime.fromisoformat(found["expires_at"]) > datetime.now(UTC)


def test_what_was_not_uploaded_is_404(s3: Any) -> None:
    status, answer = call("GET", f"/uploads/{create()['id']}")

    assert status == 404
    assert answer["error"]["type"] == "NoSuchUpload"


@pytest.mark.parametrize(
    "upload_id",
    ["x", "0" * 32, "0" * 32 + ".txt", "0" * 31 + ".csv", "A" * 32 + ".csv", "0" * 32 + ".csv%0A"],
)
def test_what_is_no_id_is_400(s3: Any, upload_id: str) -> None:
    status, answer = call("GET", f"/uploads/{upload_id}")

    assert status in (400, 404)
    assert answer["error"]["type"] in ("InvalidRequest", "NoSuchRoute")


@pytest.mark.parametrize("path", ["/uploads/../x", "/uploads/a/b", "/", "/uploads/"])
def test_another_path_is_404(s3: Any, path: str) -> None:
    status, answer = call("GET", path)

    assert (status, answer["error"]["type"]) in (
        (404, "NoSuchRoute"),
        (400, "InvalidRequest"),
    )


@pytest.mark.parametrize(
    ("changes", "status", "error_type"),
    [
        ({"size": 0}, 400, "InvalidRequest"),
        ({"size": 1001}, 413, "TooLarge"),
        ({"content_type": "image/png"}, 415, "UnsupportedContentType"),
    ],
)
def test_a_refusal_has_its_status_and_type(
    s3: Any, changes: dict[str, Any], status: int, error_type: str
) -> None:
    answered, answer = call("POST", "/uploads", json.dumps(REQUEST | changes))

    assert (answered, answer["error"]["type"]) == (status, error_type)
    assert answer["error"]["message"]


def test_a_body_may_come_encoded(s3: Any) -> None:
    body = base64.b64encode(json.dumps(REQUEST).encode()).decode()

    assert call("POST", "/uploads", body, binary=True)[0] == 201


@pytest.mark.parametrize("body", [None, "", base64.b64encode(b"\xff").decode(), "!"])
def test_a_body_that_is_no_text_is_400(s3: Any, body: str | None) -> None:
    assert call("POST", "/uploads", body, binary=True)[0] == 400


def test_urls_are_not_logged(s3: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        upload = create()

    (said,) = [vars(record) for record in caplog.records if record.module == "handler"]
    assert said["upload_id"] == upload["id"]
    assert "X-Amz-Signature" not in str(said)


def test_a_url_has_the_bucket_in_its_path_only_at_an_endpoint_of_ones_own() -> None:
    assert Settings("b", 60, 5).addressing_style == "virtual"
    assert Settings("b", 60, 5, aws_endpoint_url="http://s3.test").addressing_style == "path"
