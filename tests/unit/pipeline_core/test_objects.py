from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core import objects
from pipeline_core.objects import (
    ObjectState,
    S3Event,
    created_event,
    following,
    is_s3_event,
    normalized_sequencer,
)
from tests.events import sns_envelope

TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-03-01T08:00:00.000Z",
    "Bucket": "in",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}


def notification(name: str = "ObjectCreated:Put", **found: Any) -> dict[str, Any]:
    """A notification as S3 sends it; ``found`` is what it says of the object beside the usual."""
    return {
        "Records": [
            {
                "eventVersion": "2.1",
                "eventSource": "aws:s3",
                "awsRegion": "us-east-1",
                "eventTime": "2026-03-01T08:00:00.000Z",
                "eventName": name,
                "userIdentity": {"principalId": "A3NL1KOZZKExample"},
                "requestParameters": {"sourceIPAddress": "127.0.0.1"},
                "responseElements": {"x-amz-request-id": "C3D13FE58DE4C810"},
                "s3": {
                    "s3SchemaVersion": "1.0",
                    "configurationId": "id",
                    "bucket": {
                        "name": "in",
                        "ownerIdentity": {"principalId": "A3NL1KOZZKExample"},
                        "arn": "arn:aws:s3:::in",
                    },
                    "object": {
                        "key": "input/my+orders%2Bmore.csv",
                        "size": 7,
                        "eTag": "d41d8cd98f00b204e9800998ecf8427e",
                        "versionId": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
                        "sequencer": "0055aed6dcd90281e5",
                        **found,
                    },
                },
            }
        ]
    }


STATE: ObjectState = {
    "bucket": "in",
    "key": "input/my orders+more.csv",
    "sequencer": "0055AED6DCD90281E500000000000000",
    "version_id": "096fKKXTRTtl3on89fVO.nfljtsv6qko",
    "etag": "d41d8cd98f00b204e9800998ecf8427e",
    "size": 7,
}


def test_an_event_says_what_happened_to_which_state_of_which_object() -> None:
    (event,) = objects.parse_events(json.dumps(notification()))

    assert event == S3Event("ObjectCreated:Put", STATE, "2026-03-01T08:00:00.000Z")
    assert event.is_creation
    assert not event.is_removal


def test_a_removal_has_the_version_that_is_gone_and_no_content() -> None:
    (event,) = objects.read_events(notification("ObjectRemoved:Delete", size=None, eTag=""))

    assert event.is_removal
    assert not event.is_creation
    assert event.state == {key: STATE[key] for key in STATE if key not in ("etag", "size")}  # type: ignore[literal-required]  # its own keys


def test_sns_may_have_put_it_into_an_envelope() -> None:
    body = json.dumps(notification())

    assert objects.parse_events(sns_envelope(body)) == objects.parse_events(body)
    assert objects.parse_events(sns_envelope(json.dumps(TEST_EVENT))) == []


def test_the_test_event_tells_of_nothing() -> None:
    assert objects.read_events(TEST_EVENT) == []


def test_a_notification_may_tell_of_several_objects() -> None:
    both = {"Records": notification()["Records"] + notification(key="input/b")["Records"]}

    assert [event.state["key"] for event in objects.read_events(both)] == [STATE["key"], "input/b"]


def test_what_is_not_known_is_left_out() -> None:
    (event,) = objects.read_events(notification(versionId=None, eTag=None, size=None))

    assert event.state.keys() == {"bucket", "key", "sequencer"}


@pytest.mark.parametrize(
    "document", [notification(), TEST_EVENT, {"Records": [{"eventSource": "aws:s3"}]}]
)
def test_a_notification_is_told_from_a_record_whether_well_formed_or_not(document: Any) -> None:
    assert is_s3_event(document)
    assert is_s3_event(json.loads(sns_envelope(json.dumps(document))))


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "aws:s3",
        {"data_source": "test.csv"},
        {"Records": []},
        {"Records": [{"eventSource": "aws:sqs"}]},
        {"Records": "aws:s3"},
        {"Type": "Notification", "TopicArn": "arn", "Message": "hello"},
    ],
)
def test_another_document_is_no_notification(document: Any) -> None:
    assert not is_s3_event(document)
    with pytest.raises(ValueError, match=r"Records|not JSON"):
        objects.read_events(document)


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ({"Records": []}, "Records is empty"),
        ({"Records": {}}, "Records is not of that type; it must be a list"),
        ({"Records": [1]}, r"Records\[0\] is not an event of S3's: eventSource is missing"),
        (
            {"Records": [{"eventSource": "aws:sqs"}]},
            "eventSource is 'aws:sqs'; it must be 'aws:s3'",
        ),
        (notification(name=""), "eventName is empty; it must be text"),
        (notification(key=None), "s3.object.key is missing; it must be text"),
        (notification(key=""), "s3.object.key is empty"),
        (notification(key=7), "s3.object.key is not of that type; it must be text"),
        (notification(key="%FF"), "s3.object.key is not UTF-8"),
        (notification(key="\ud800"), "s3.object.key has a lone surrogate"),
        (notification(key="x" * 1025), "s3.object.key has 1025 bytes; a key has at most 1024"),
        (notification(sequencer=None), "s3.object.sequencer is missing"),
        (notification(sequencer="xyz"), "s3.object.sequencer is not a hexadecimal number"),
        (notification(sequencer="A" * 33), "of at most 32 digits"),
        (notification(size="7"), "s3.object.size is not of that type; it must be a number"),
        (notification(size=True), "s3.object.size is not of that type"),
        (notification(size=-1), "s3.object.size is -1; it must not be negative"),
        (notification(versionId=7), "s3.object.versionId is not of that type"),
    ],
)
def test_what_is_wrong_with_a_notification_is_named(document: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        objects.read_events(document)


def test_the_event_at_fault_is_named() -> None:
    both = {"Records": notification()["Records"] + notification(key=None)["Records"]}

    with pytest.raises(ValueError, match=r"Records\[1\]"):
        objects.read_events(both)


def test_a_body_that_is_not_json_is_named() -> None:
    with pytest.raises(ValueError, match="not JSON"):
        objects.parse_events("nope")


keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)
states = st.fixed_dictionaries(
    {
        "bucket": st.just("in"),
        "key": keys,
        "sequencer": st.from_regex("[0-9A-F]{1,32}", fullmatch=True).map(normalized_sequencer),
    },
    optional={
        "version_id": st.just("v"),
        "etag": st.just("e"),
        "size": st.integers(0, 5 * 2**40),
    },
)


@given(states)
def test_an_event_of_our_own_reads_as_one_of_s3(state: ObjectState) -> None:
    assert objects.parse_events(json.dumps(created_event(state))) == [
        S3Event("ObjectCreated:Put", state)
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(place=st.sampled_from(["key", "sequencer", "size", "eTag", "versionId"]), value=json_values)
def test_whatever_stands_in_a_notification_is_read_or_refused(place: str, value: Any) -> None:
    document = notification(**{place: value})

    try:
        (event,) = objects.read_events(document)
    except ValueError:
        return
    assert event.state["key"]
    assert event.state["sequencer"] == normalized_sequencer(event.state["sequencer"])


@pytest.mark.parametrize("sequencer", ["0", "0055AED6DCD90281E5", "9" * 31, "f" * 31])
def test_the_following_sequencer_is_the_next_one(sequencer: str) -> None:
    normalized = normalized_sequencer(sequencer)

    assert normalized < following(normalized) == normalized_sequencer(following(normalized))
    assert int(following(normalized), 16) == int(normalized, 16) + 1
