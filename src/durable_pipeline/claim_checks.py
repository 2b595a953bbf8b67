"""Puts documents that are too large to travel through the stages into S3, as claim checks.

An invoke takes 1 MiB, and a message may have as much. So from a size on, what came in with its
message goes the way of what came in as a pointer: the stages read it where it lies. It lies in the
bucket of payloads, where everything expires; the store stage keeps what an item points to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from aws_durable_execution_sdk_python import DurableContext, StepContext, StepError
from aws_lambda_powertools import Logger
from botocore.exceptions import BotoCoreError, ClientError

from durable_pipeline.records import MAX_INLINE_BYTES, OFFLOADED, Outcomes, Record, failure
from durable_pipeline.settings import ONE_ATTEMPT, Settings, s3
from pipeline_core.messages import pointer_to
from pipeline_core.objects import Pointer
from pipeline_core.sizes import text_size

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


logger = Logger(child=True)

NOT_OFFLOADED = failure("read", "BucketUnavailable", "the bucket of payloads did not take its body")


def offloaded(
    context: DurableContext, records: Sequence[Record], settings: Settings
) -> tuple[list[Record], Outcomes]:
    """``records``, large ones as pointers to their content, and outcomes of those S3 did not take.

    Costs one operation where there is a large one, and none otherwise.
    """
    large = [
        record
        for record in records
        if record.content is not None and record.travelling_size > MAX_INLINE_BYTES
    ]
    if not large:
        return list(records), {}

    def put_all(_: StepContext) -> list[str | None]:
        return [put(s3(), settings.payload_bucket, record) for record in large]

    try:
        etags: list[str | None] = context.step(put_all, name="offload", config=ONE_ATTEMPT)
    except StepError:
        etags = [None] * len(large)
    pointed = {
        record.id: replace(record, content=None, pointer=_pointer(record, etag, settings))
        for record, etag in zip(large, etags, strict=True)
        if etag
    }
    failed = {record.id: NOT_OFFLOADED for record in large if record.id not in pointed}
    return [pointed.get(r.id, r) for r in records if r.id not in failed], failed


def put(client: S3Client, bucket: str, record: Record) -> str | None:
    """Put what ``record`` says where it stays the record's; its ETag, or None if S3 refused."""
    body = _text(record).encode("utf-8", "surrogatepass")
    try:
        response = client.put_object(
            Bucket=bucket, Key=key_of(record), Body=body, ContentType="application/json"
        )
    except (ClientError, BotoCoreError) as error:
        logger.warning("not offloaded: %s", error)
        return None
    return response["ETag"].strip('"')


def in_place_of(client: S3Client, bucket: str, record: Record) -> str | None:
    """The body of a message that takes the place of one too large; None if S3 did not take that."""
    if put(client, bucket, record) is None:
        return None
    return pointer_to(bucket, key_of(record))


def key_of(record: Record) -> str:
    """Where what ``record`` says goes: the same at each delivery, and no other record's."""
    return f"{OFFLOADED}{hashlib.sha256(record.id.encode()).hexdigest()[:32]}.json"


def _pointer(record: Record, etag: str, settings: Settings) -> Pointer:
    return {
        "bucket": settings.payload_bucket,
        "key": key_of(record),
        "etag": etag,
        "size": text_size(_text(record)),
    }


def _text(record: Record) -> str:
    """The document, out of the envelope that it may have come in: nobody opens one in S3."""
    return record.body if record.content is None else record.content
