"""Claim checks: a body too large for a message lies in S3, and the message is a pointer to it.

The format is that of the Amazon SQS Extended Client, so its libraries read what we send and the
other way round. It is written here and not by its library for Python (amazon-sqs-extended-client),
which tests hold against this. Importing that replaces boto3's sessions for the whole process, and
from then on every client receives payloads for pointers: dead letters could neither be shown nor
sent again as they are. Its S3 client cannot be led to the endpoint that a connection here has
chosen, and it puts payloads within the request that sends their batch, so of a batch that fails
nobody could say which payloads are left behind.
"""

from __future__ import annotations

import json
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pipelinectl import envelopes, exact_json, message_attributes
from pipelinectl.objects import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mypy_boto3_s3.client import S3Client

    from pipelinectl.bodies import Body
    from pipelinectl.message_attributes import Attributes

POINTER_CLASSES = (
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
)
"""What a pointer says it is: of today's libraries, and of those before."""

SIZE_ATTRIBUTE = "ExtendedPayloadSize"
"""The reserved attribute that tells the libraries of a pointer."""

DEFAULT_THRESHOLD = 128 * 1024
"""Bytes of a message above which its body goes to S3: half of what the libraries have.

A body that travels in its message stays in its item, as it came and as it became, and an item has
at most 400 KiB: not enough for two of the libraries' 256 KiB."""

_WORKERS = 8
_GONE = frozenset({"NoSuchKey", "NoSuchBucket", "404"})
# The most that a document may have (MaximumDocumentSize of template.yaml).
_MAX_PAYLOAD_BYTES = 100 * 1024 * 1024


@dataclass(frozen=True)
class ClaimCheck:
    """A message whose body lies in S3, of `payload_size` bytes."""

    origin: str
    payload: ObjectPath
    payload_size: int

    @property
    def text(self) -> str:
        """The pointer."""
        place = {"s3BucketName": self.payload.bucket, "s3Key": self.payload.key}
        return json.dumps([POINTER_CLASSES[0], place])

    @property
    def attributes(self) -> Attributes:
        """The reserved attribute."""
        return {SIZE_ATTRIBUTE: message_attributes.number(self.payload_size)}

    @cached_property
    def size(self) -> int:
        """Bytes that SQS counts."""
        return len(self.text.encode()) + message_attributes.size(self.attributes)


@dataclass(frozen=True)
class PayloadStore:
    """The bucket of payloads, in which everything expires by itself."""

    s3: S3Client
    bucket: str

    def put_all(self, bodies: Sequence[Body]) -> Iterator[ClaimCheck]:
        """Put each body under a key of its own; its message is to be sent only after that.

        Nothing is taken back where that fails: payloads without a message expire.
        """
        pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="payload")
        try:
            yield from pool.map(self._put, bodies)
        finally:
            pool.shutdown(cancel_futures=True)

    def _put(self, body: Body) -> ClaimCheck:
        content = body.text.encode()
        path = ObjectPath(self.bucket, str(uuid.uuid4()))
        self.s3.put_object(Bucket=path.bucket, Key=path.key, Body=content)
        return ClaimCheck(body.origin, path, len(content))


@dataclass(frozen=True)
class PayloadReader:
    """Reads payloads in the pipeline's own buckets, and no others: a pointer may name any."""

    s3: S3Client
    buckets: frozenset[str]

    def read(self, payload: ObjectPath) -> str | None:
        """The text of a payload; None where it is gone, no text, or nothing the pipeline reads."""
        from botocore.exceptions import ClientError

        if payload.bucket not in self.buckets:
            return None
        try:
            response = self.s3.get_object(Bucket=payload.bucket, Key=payload.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in _GONE:
                return None
            raise
        if response["ContentLength"] > _MAX_PAYLOAD_BYTES:
            response["Body"].close()
            return None
        try:
            return response["Body"].read().decode("utf-8-sig")
        except UnicodeDecodeError:
            return None


def pointer_in(body: str) -> ObjectPath | None:
    """Where the payload lies, if `body` is a pointer."""
    body = envelopes.unwrapped(body)
    # Most bodies are none, and then need not be parsed.
    if not any(name in body for name in POINTER_CLASSES):
        return None
    try:
        content = exact_json.parse(body)
    except exact_json.NotJsonError:
        return None
    match content:
        case [str(name), {"s3BucketName": str(bucket), "s3Key": str(key)}]:
            return ObjectPath(bucket, key) if name in POINTER_CLASSES else None
    return None
