import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.files import FILE_SUFFIXES
from pipeline_core.objects import ObjectId
from pipelinectl import objects
from pipelinectl.aws import Stack
from pipelinectl.errors import UsageError
from pipelinectl.objects import ObjectPath, content_type, reference_to, resolve
from uploads.uploads import SUFFIXES

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
)
UPLOAD_ID = "0123456789abcdef" * 2 + ".csv"


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("input/orders.csv", ObjectPath("s-input", "input/orders.csv")),
        ("direct/a/b.json", ObjectPath("s-input", "direct/a/b.json")),
        ("messages/x.jsonl", ObjectPath("s-payloads", "messages/x.jsonl")),
        (UPLOAD_ID, ObjectPath("s-payloads", f"messages/{UPLOAD_ID}")),
        ("bucket/some/key", ObjectPath("bucket", "some/key")),
        ("s3://bucket/key", ObjectPath("bucket", "key")),
        ("s3://input/key", ObjectPath("input", "key")),
        ("bucket/", None),
        ("orders.csv", None),
        ("/key", None),
        ("", None),
    ],
)
def test_a_reference_means_one_object(reference: str, path: ObjectPath | None) -> None:
    if path is None:
        with pytest.raises(UsageError, match="is no object"):
            resolve(reference, STACK)
    else:
        assert resolve(reference, STACK) == path


@pytest.mark.parametrize(
    ("path", "reference"),
    [
        (ObjectPath("s-input", "direct/a.csv"), "direct/a.csv"),
        (ObjectPath("s-payloads", "messages/a.csv"), "messages/a.csv"),
        (ObjectPath("s-payloads", "input/a.csv"), "s-payloads/input/a.csv"),
        (ObjectPath("s-input", "input"), "s-input/input"),
        (ObjectPath("elsewhere", "input/a.csv"), "elsewhere/input/a.csv"),
    ],
)
def test_an_object_is_named_as_briefly_as_it_is_found(path: ObjectPath, reference: str) -> None:
    assert reference_to(path, STACK) == reference
    assert resolve(reference, STACK) == path


@given(st.text(min_size=1), st.text(min_size=1, max_size=200))
def test_results_lie_where_the_pipeline_puts_them(bucket: str, key: str) -> None:
    assert ObjectPath(bucket, key).results_prefix == ObjectId(bucket, key).results_prefix
    assert str(ObjectPath(bucket, key)) == ObjectId(bucket, key).path


def test_files_that_can_be_uploaded_are_those_that_are_processed() -> None:
    assert set(objects.CONTENT_TYPES) == {".json", *FILE_SUFFIXES}
    assert set(objects.CONTENT_TYPES.values()) == set(SUFFIXES)


def test_a_file_is_known_by_its_suffix() -> None:
    assert content_type("2026/A.CSV") == "text/csv"
    with pytest.raises(UsageError, match=r"a\.txt: the pipeline reads \.csv"):
        content_type("a.txt")


@pytest.mark.parametrize("name", ["a.csv.gz", "A.ZIP", "sub/a.jsonl.zst"])
def test_what_is_compressed_is_to_be_decompressed_not_renamed(name: str) -> None:
    with pytest.raises(UsageError, match=r"it is compressed, .* decompress it first"):
        content_type(name)
