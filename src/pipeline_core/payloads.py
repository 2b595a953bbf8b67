"""Claim checks: a record's content, wherever it lies.

Content is read by the function that needs it, pinned to the state that the pointer names, and
bounded in size. It is never put into a checkpoint. A pointer that names no state is pinned by
whoever reads it first.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pipeline_core.contract import InvalidRecord, StageRecord, Superseded, Unavailable
from pipeline_core.objects import Pointer, derived_folder
from pipeline_core.settings import read_settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef


NOT_THERE = frozenset({"NoSuchKey", "NoSuchVersion", "404", "MethodNotAllowed", "405"})
"""S3's words for an object that is gone; 405 is its answer for a delete marker."""

CHANGED = frozenset({"PreconditionFailed", "412"})

INVALID = frozenset({"InvalidArgument", "InvalidURI", "KeyTooLongError"})


@dataclass(frozen=True)
class Limits:
    """The buckets that a pointer may point into, and the most bytes a document may have."""

    input_bucket: str
    payload_bucket: str
    maximum_document_size: int

    @property
    def buckets(self) -> list[str]:
        """Those buckets, sorted."""
        return sorted({self.input_bucket, self.payload_bucket})


@cache
def s3() -> S3Client:
    """The S3 client, once per execution environment, and only where a record has a pointer."""
    # Slow to import, and most records carry their content along.
    from botocore.config import Config

    from pipeline_core.clients import client

    return client("s3", config=Config(retries={"mode": "standard", "total_max_attempts": 3}))


def text_of(record: StageRecord) -> str:
    """The record's JSON text: its body, or what its pointer points to.

    Raises:
        InvalidRecord: ForeignBucket, PayloadMissing, PayloadTooLarge, PayloadChanged, NotUtf8.
        Superseded: the object of an S3 event was replaced or removed since.
        Unavailable: S3 did not answer, or not allow it; of S3's error code.
    """
    return read(record)[0]


def read(record: StageRecord) -> tuple[str, Pointer | None]:
    """The record's JSON text, and its pointer pinned to what was read if it was not pinned before.

    Raises as `text_of` does.
    """
    if "pointer" not in record:
        return record["body"], None
    pointer = record["pointer"]
    response = _get(s3(), pointer, read_settings(Limits, os.environ))
    text = _text(response, pointer)
    if pointer.get("etag") or pointer.get("version_id"):
        return text, None
    return text, _pinned_to(response, pointer)


def _pinned_to(response: GetObjectOutputTypeDef, pointer: Pointer) -> Pointer:
    """``pointer`` to the state that ``response`` is of."""
    pin: Pointer = {
        **pointer,
        "etag": response["ETag"].strip('"'),
        "size": response["ContentLength"],
    }
    if "VersionId" in response:
        pin["version_id"] = response["VersionId"]
    return pin


def _text(response: GetObjectOutputTypeDef, pointer: Pointer) -> str:
    try:
        return _read(response).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _invalid(
            "NotUtf8", f"{location(pointer)} is not UTF-8: {error.reason} at byte {error.start}"
        ) from None


def check_bucket(pointer: Pointer, limits: Limits) -> None:
    """Raise `InvalidRecord` ForeignBucket for a pointer to a bucket that is not the pipeline's."""
    if pointer["bucket"] not in limits.buckets:
        raise _invalid(
            "ForeignBucket",
            f"the pointer names the bucket {pointer['bucket'][:80]!r}; "
            f"it must be one of: {', '.join(limits.buckets)}",
        )


def message_folder(record_id: str) -> str:
    """The key prefix, in the output bucket, of what lies there of a record that came inline."""
    return f"payloads/{hashlib.sha256(record_id.encode()).hexdigest()[:32]}/"


def folder_of(record: StageRecord) -> str:
    """The key prefix, in the output bucket, of what is made of ``record``.

    Only a repetition of the same message, or of the same state of its object, writes there again.
    """
    if "pointer" in record:
        return derived_folder(record["pointer"])
    if "row" in record:
        return f"{derived_folder(record['row'])}rows/{record['row']['number']}/"
    return message_folder(record["id"])


def location(pointer: Pointer) -> str:
    """Where it points, for people."""
    return f"s3://{pointer['bucket']}/{pointer['key']}"


def pinned(pointer: Pointer) -> dict[str, str]:
    """The arguments of GetObject that read just this state of the object."""
    arguments = {"Bucket": pointer["bucket"], "Key": pointer["key"]}
    if pointer.get("version_id"):
        arguments["VersionId"] = pointer["version_id"]
    if pointer.get("etag"):
        arguments["IfMatch"] = f'"{pointer["etag"]}"'
    return arguments


def _get(client: S3Client, pointer: Pointer, limits: Limits) -> GetObjectOutputTypeDef:
    from botocore.exceptions import BotoCoreError, ClientError

    check_bucket(pointer, limits)
    try:
        response = client.get_object(**pinned(pointer))  # type: ignore[arg-type]  # all are strings
    except ClientError as error:
        raise reading_error(error.response["Error"]["Code"], str(error), pointer) from None
    except BotoCoreError as error:
        raise Unavailable(type(error).__name__, str(error)) from None
    if response["ContentLength"] > limits.maximum_document_size:
        response["Body"].close()
        raise _invalid(
            "PayloadTooLarge",
            f"{location(pointer)} has {response['ContentLength']} bytes; a document may have "
            f"{limits.maximum_document_size}. Send many records as CSV or JSON Lines instead",
        )
    return response


def reading_error(code: str, message: str, pointer: Pointer) -> Exception:
    """What S3's error ``code`` means for the record whose content it did not give."""
    where = location(pointer)
    if code in NOT_THERE | CHANGED and "sequencer" in pointer:
        return Superseded(f"{where} is no longer as its event said")
    if code in NOT_THERE:
        return _invalid("PayloadMissing", f"{where} does not exist, or has expired; send it again")
    if code in CHANGED:
        return _invalid(
            "PayloadChanged", f"{where} was overwritten while it was processed; send it again"
        )
    if code in INVALID:
        return _invalid("InvalidPointer", f"{where[:200]} cannot be read: {code}")
    return Unavailable(code, message)


def put_json(key: str, text: str) -> Pointer:
    """Put ``text`` into the output bucket, as ``key``; the pointer to it.

    Raises:
        Unavailable: S3 did not take it.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, content = os.environ["OUTPUT_BUCKET"], text.encode()
    try:
        response = s3().put_object(
            Bucket=bucket, Key=key, Body=content, ContentType="application/json"
        )
    except ClientError as error:
        raise Unavailable(error.response["Error"]["Code"], str(error)) from None
    except BotoCoreError as error:
        raise Unavailable(type(error).__name__, str(error)) from None
    return {"bucket": bucket, "key": key, "etag": response["ETag"].strip('"'), "size": len(content)}


def _read(response: GetObjectOutputTypeDef) -> bytes:
    from botocore.exceptions import BotoCoreError

    try:
        return response["Body"].read()
    except BotoCoreError as error:  # the connection broke
        raise Unavailable(type(error).__name__, str(error)) from None


def _invalid(reason_type: str, message: str) -> InvalidRecord:
    return InvalidRecord(reason_type, [message])
