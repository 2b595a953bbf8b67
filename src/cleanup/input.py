"""The objects as they are now, and the queue that has them processed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared import carried
from shared.objects import ObjectId, ObjectState, Pointer
from shared.s3_events import created_event

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

NOT_THERE = frozenset({"404", "NoSuchKey", "NotFound"})
"""What S3 answers for an object that is gone, to a role that may list the bucket; else 403."""


@dataclass(frozen=True)
class Objects:
    """The objects that came in."""

    client: S3Client

    def current(self, object_id: ObjectId) -> Pointer | None:
        """The object's current version, or None if there is none, as below a delete marker.

        Only where the bucket is versioned does the pointer have a ``version_id``.
        """
        try:
            head = self.client.head_object(Bucket=object_id.bucket, Key=object_id.key)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return None
            raise
        current: Pointer = {
            "bucket": object_id.bucket,
            "key": object_id.key,
            "etag": head["ETag"].strip('"'),
            "size": head["ContentLength"],
        }
        if head.get("VersionId", "null") != "null":
            current["version_id"] = head["VersionId"]
        return current


@dataclass(frozen=True)
class Queue:
    """The pipeline's internal queue, in which what is known of an object is believed."""

    client: SQSClient
    url: str

    def send(self, state: ObjectState, now: str) -> None:
        """Have ``state`` processed, as if S3 told of it."""
        self.client.send_message(
            QueueUrl=self.url,
            MessageBody=json.dumps(created_event(state, now)),
            MessageAttributes=carried.attributes({"door": "objects"}),
        )
