import contextlib
import json
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline_core.messages import (
    EXTENDED_CLIENT_CLASSES,
    Envelope,
    Pointed,
    Unreadable,
    document_in,
    in_group,
    is_message_group_id,
    message_group_id_in,
    pointer_to,
)

NAMES = st.just("MessageGroupId") | st.text()
POINTED = Pointed({"bucket": "payloads", "key": "3f2a"})


def test_what_points_there_is_read_as_a_pointer() -> None:
    assert document_in(pointer_to("payloads", "3f2a")) == POINTED


@pytest.mark.parametrize("name", sorted(EXTENDED_CLIENT_CLASSES))
def test_a_pointer_is_found_also_in_an_envelope_of_sns(name: str) -> None:
    body = json.dumps([name, {"s3BucketName": "payloads", "s3Key": "3f2a"}])
    wrapped = {"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": body}

    assert document_in(body) == document_in(json.dumps(wrapped)) == POINTED


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "software.amazon.payloadoffloading.PayloadS3Pointer",
        '["software.amazon.payloadoffloading.PayloadS3Pointer"]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer", {"s3BucketName": 1, "s3Key": "k"}]',
        '["other", {"s3BucketName": "PayloadS3Pointer", "s3Key": "k"}]',
        '{"Type": "Notification", "TopicArn": "t", "MessageId": "m", "Message": 1}',
        '"Notification',
    ],
)
def test_nothing_else_is_a_pointer(body: str) -> None:
    found: Envelope | None = None
    with contextlib.suppress(Unreadable):
        found = document_in(body)

    assert not isinstance(found, Pointed)


@pytest.mark.parametrize("group", ["a", "x" * 128, "!~", string.punctuation, "Tenant-7"])
def test_letters_digits_and_punctuation_are_a_group(group: str) -> None:
    assert message_group_id_in({"MessageGroupId": group}) == group


@pytest.mark.parametrize("group", ["", "x" * 129, "a b", "a\n", "\x7f", "é", "арендатор", "\ud800"])
def test_what_sqs_would_not_take_is_none(group: str) -> None:
    assert message_group_id_in({"MessageGroupId": group}) == ""


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(NAMES, inner),
    )
)
def test_no_attributes_whatever_raise(attributes: Any) -> None:
    group = message_group_id_in(attributes)

    assert group == "" or is_message_group_id(group)


def test_a_message_of_no_group_is_as_it_was() -> None:
    assert in_group({"MessageBody": "x"}, "") == {"MessageBody": "x"}
    assert in_group({"MessageBody": "x"}, "a") == {
        "MessageBody": "x",
        "MessageGroupId": "a",
    }
