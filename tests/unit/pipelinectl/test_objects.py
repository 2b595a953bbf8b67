import pytest

from pipeline_core.objects import ObjectId
from pipelinectl.aws import Stack
from pipelinectl.errors import UsageError
from pipelinectl.objects import read, reference_to, resolve

STACK = Stack(
    arn="arn:aws:cloudformation:eu-west-1:111122223333:stack/p/x",
    name="s",
    queue_url="q",
    dead_letter_queue_url="d",
    table_name="t",
    durable_function_arn="arn:aws:lambda:us-east-1:1:function:f:live",
    objects_queue_url="o",
    internal_queue_url="i",
    files_queue_url="f",
    input_bucket="s-input",
    payload_bucket="s-payloads",
    output_bucket="s-output",
    catalog_table="c",
    uploads_api_url="https://a.test",
    uploads_api_id="a",
    operators_topic_arn="o",
    processing_events_topic_arn="p",
    audit_log_group="a",
)
UPLOAD_ID = "0123456789abcdef" * 2 + ".csv"


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("input/orders.csv", ObjectId("s-input", "input/orders.csv")),
        ("direct/a/b.json", ObjectId("s-input", "direct/a/b.json")),
        ("messages/x.jsonl", ObjectId("s-payloads", "messages/x.jsonl")),
        (UPLOAD_ID, ObjectId("s-payloads", f"messages/{UPLOAD_ID}")),
        ("bucket/some/key", ObjectId("bucket", "some/key")),
        ("s3://bucket/key", ObjectId("bucket", "key")),
        ("s3://input/key", ObjectId("input", "key")),
        ("bucket/", None),
        ("orders.csv", None),
        ("/key", None),
        ("", None),
    ],
)
def test_a_reference_means_one_object(reference: str, path: ObjectId | None) -> None:
    if path is None:
        with pytest.raises(UsageError, match="is no object"):
            resolve(reference, STACK)
    else:
        assert resolve(reference, STACK) == path


@pytest.mark.parametrize(
    ("path", "reference"),
    [
        (ObjectId("s-input", "direct/a.csv"), "direct/a.csv"),
        (ObjectId("s-payloads", "messages/a.csv"), "messages/a.csv"),
        (ObjectId("s-payloads", "input/a.csv"), "s-payloads/input/a.csv"),
        (ObjectId("s-input", "input"), "s-input/input"),
        (ObjectId("elsewhere", "input/a.csv"), "elsewhere/input/a.csv"),
    ],
)
def test_an_object_is_named_as_briefly_as_it_is_found(path: ObjectId, reference: str) -> None:
    assert reference_to(path, STACK) == reference
    assert resolve(reference, STACK) == path


def test_a_reject_that_is_no_json_is_shown_as_it_is() -> None:
    assert read("broken").raw == "broken"
    assert read("[1]").raw == "[1]"
