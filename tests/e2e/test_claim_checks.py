"""Large payloads, end to end: the features C1 to C6."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
import urllib3

from tests.e2e.conftest import PAGE, PATIENCE, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.objects import Objects
from tests.e2e.uploads_api import UploadsApi
from tests.events import extended_client_pointer, standard
from tests.extended_client import session_class

FIVE_MEGABYTES = "x" * 5_000_000


@pytest.fixture(scope="module")
def objects(stack: Stack) -> Objects:
    return Objects(stack)


@pytest.fixture(scope="module")
def api(stack: Stack) -> UploadsApi:
    return UploadsApi.of(stack)


def put(upload: dict[str, Any], body: bytes) -> int:
    """Send ``body`` where the API said; S3's status."""
    response = urllib3.request(
        upload["method"], upload["url"], headers=upload["headers"], body=body, timeout=PATIENCE
    )
    return response.status


def test_c1_a_producer_gets_a_presigned_upload_and_needs_to_know_no_bucket(
    api: UploadsApi, objects: Objects
) -> None:
    body = standard(row="c1").encode()

    status, upload = api.post({"size": len(body), "content_type": "application/json"})

    assert status == 201
    assert put(upload, body) == 200
    item = objects.wait_for_item(f"messages/{upload['id']}", objects.payloads)
    assert item["transformed_data"]["row"] == "c1"


def test_c1_nobody_without_credentials_gets_one(api: UploadsApi) -> None:
    assert api.post_unsigned({"size": 1, "content_type": "application/json"}) == 403


def test_c2_only_this_bucket_may_send_to_the_queue(stack: Stack) -> None:
    policy = queue_attributes(stack, "ObjectsQueueUrl")["Policy"]

    (statement,) = [
        statement
        for statement in json.loads(policy)["Statement"]
        if statement.get("Principal") == {"Service": "s3.amazonaws.com"}
    ]
    bucket = f"arn:aws:s3:::{stack.outputs['PayloadBucketName']}"
    assert bucket in json.dumps(statement["Condition"])


def test_c3_who_polls_a_queue_gets_the_content_by_a_presigned_download(api: UploadsApi) -> None:
    body = standard(row="c3").encode()
    _, upload = api.post({"size": len(body), "content_type": "application/json"})
    put(upload, body)

    status, download = api.get(upload["id"])

    assert status == 200
    assert urllib3.request("GET", download["url"], timeout=PATIENCE).data == body


def test_a_page_in_the_browser_sends_to_an_upload_if_it_is_named(api: UploadsApi) -> None:
    body = standard(row="page").encode()
    _, upload = api.post({"size": len(body), "content_type": "application/json"})
    preflight = {
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "content-type,x-amz-meta-data-source",
    }
    for page, allowed in (("https://other.example", None), (PAGE, PAGE)):
        asked = urllib3.request(
            "OPTIONS", upload["url"], headers={"Origin": page} | preflight, timeout=PATIENCE
        )
        headers = {"Origin": page, **upload["headers"]}
        sent = urllib3.request("PUT", upload["url"], headers=headers, body=body, timeout=PATIENCE)
        for answer in (asked, sent):
            assert answer.status == (200 if allowed else 403)
            assert answer.headers.get("Access-Control-Allow-Origin") == allowed


def queue_attributes(stack: Stack, output: str) -> dict[str, str]:
    response = stack.client("sqs").get_queue_attributes(
        QueueUrl=stack.outputs[output], AttributeNames=["All"]
    )
    attributes: dict[str, str] = response["Attributes"]
    return attributes


def test_c4_both_queues_keep_messages_for_14_days_and_five_attempts_are_made(stack: Stack) -> None:
    queue = queue_attributes(stack, "DataProcessingQueueUrl")
    dead_letters = queue_attributes(stack, "DeadLetterQueueUrl")

    assert queue["MessageRetentionPeriod"] == dead_letters["MessageRetentionPeriod"] == "1209600"
    assert int(json.loads(queue["RedrivePolicy"])["maxReceiveCount"]) == 5


def extended_client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The Amazon SQS Extended Client, as its documentation sets it up."""
    for name, value in stack.cloud.settings.client_environment().items():
        monkeypatch.setenv(name, value)
    client = session_class()(region_name=stack.cloud.settings.region).client("sqs")
    client.large_payload_support = stack.outputs["PayloadBucketName"]
    client.use_legacy_attribute = False
    client.s3_client = boto3.client("s3", region_name=stack.cloud.settings.region)
    return client


def test_c5_a_message_of_the_extended_client_is_understood_as_it_is(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = standard(row="c5", text=FIVE_MEGABYTES)

    sent = extended_client(stack, monkeypatch).send_message(
        QueueUrl=stack.outputs["DataProcessingQueueUrl"], MessageBody=body
    )

    (item,) = stack.wait_for_items([sent["MessageId"]]).values()
    pointer = item["transformed_data_pointer"]["M"]
    content = stack.client("s3").get_object(Bucket=pointer["bucket"]["S"], Key=pointer["key"]["S"])[
        "Body"
    ]
    assert json.loads(content.read())["text"] == FIVE_MEGABYTES


def test_c6_an_upload_of_another_size_or_type_is_refused_before_it_is_made(
    api: UploadsApi,
) -> None:
    status, error = api.post({"size": 10**12, "content_type": "application/json"})
    assert (status, error["error"]["type"]) == (413, "TooLarge")

    status, error = api.post({"size": 10, "content_type": "application/pdf"})
    assert status == 415


def test_c6_a_pointer_to_any_other_bucket_is_a_dead_letter_with_the_reason(
    stack: Stack, objects: Objects
) -> None:
    stack.send([extended_client_pointer("somebody-elses", "c6-secret")])

    letter = objects.dead_letter_of("c6-secret")

    assert letter["error_type"] == "ForeignBucket"
    assert "somebody-elses" in letter["error_message"]


def test_c6_a_pointer_to_an_object_that_has_expired_says_so(stack: Stack, objects: Objects) -> None:
    stack.send([extended_client_pointer(objects.payloads, "messages/c6-expired")])

    letter = wait_for(lambda: objects.dead_letter_of("messages/c6-expired"))

    assert letter["error_type"] == "PayloadMissing"
