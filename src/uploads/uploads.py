"""Presigned URLs: to put one object of a known size and type, and to get it again."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, TypedDict

from botocore.exceptions import ClientError

from uploads.errors import NoSuchUpload, RequestRefused
from uploads.settings import Settings
from uploads.upload_request import SUFFIXES, UploadRequest

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PREFIX = "messages/"
"""The door of the payload bucket: what is put below it is processed."""

_ID = re.compile(rf"[0-9a-f]{{32}}(?:{'|'.join(map(re.escape, SUFFIXES.values()))})")


class Upload(TypedDict):
    """Where and how to upload. ``headers`` are signed: send exactly these, or S3 refuses."""

    id: str
    method: Literal["PUT"]
    url: str
    headers: dict[str, str]
    expires_at: str
    max_size: int


class Download(TypedDict):
    """Where to get an upload again; ``size`` is in bytes."""

    id: str
    url: str
    size: int
    content_type: str
    expires_at: str


@dataclass(frozen=True)
class Uploads:
    """The uploads in one bucket.

    A URL bears the rights of whoever signed it. In Lambda these are the function's role's, by
    session credentials: the URL ends with them, which may be before ``expires_at`` where that is
    hours ahead.
    """

    client: S3Client
    settings: Settings
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def create(self, request: UploadRequest) -> Upload:
        """A URL for one object under a key of our own; nothing exists before it is used.

        Size, content type and metadata are signed, so S3 refuses anything else.
        """
        upload_id = f"{uuid.uuid4().hex}{request.suffix}"
        expires_at = self._expires_at()
        url = self.client.generate_presigned_url(
            "put_object",
            Params={
                **self._object(upload_id),
                "ContentLength": request.size,
                "ContentType": request.content_type,
                "Metadata": dict(request.metadata),
            },
            ExpiresIn=self.settings.url_lifetime,
        )
        return {
            "id": upload_id,
            "method": "PUT",
            "url": url,
            "headers": _headers(request),
            "expires_at": expires_at,
            "max_size": self.settings.maximum_size,
        }

    def find(self, upload_id: str) -> Download:
        """A URL to get what was uploaded under this id.

        Raises:
            RequestRefused: it is no id of an upload.
            NoSuchUpload: nothing was uploaded under it, or it has expired.
        """
        if not _ID.fullmatch(upload_id):
            raise RequestRefused(
                "the id must be 32 hexadecimal digits in lower case and one of "
                f"{', '.join(SUFFIXES.values())}: give it as POST /uploads answered it"
            )
        found = self._object(upload_id)
        expires_at = self._expires_at()
        try:
            head = self.client.head_object(**found)
        except ClientError as error:
            if error.response["Error"]["Code"] != "404":
                raise
            raise NoSuchUpload(
                f"upload {upload_id} does not exist, as nothing was uploaded under it or it has "
                "expired: upload the content (again)"
            ) from None
        return {
            "id": upload_id,
            "url": self.client.generate_presigned_url(
                "get_object", Params=found, ExpiresIn=self.settings.url_lifetime
            ),
            "size": head["ContentLength"],
            "content_type": head["ContentType"],
            "expires_at": expires_at,
        }

    def _object(self, upload_id: str) -> _ObjectParameters:
        return {"Bucket": self.settings.payload_bucket, "Key": f"{PREFIX}{upload_id}"}

    def _expires_at(self) -> str:
        """Asked for before a URL is signed, so that no URL ends earlier than is said."""
        moment = self.now() + timedelta(seconds=self.settings.url_lifetime)
        return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


class _ObjectParameters(TypedDict):
    Bucket: str
    Key: str


def _headers(request: UploadRequest) -> dict[str, str]:
    return {
        "Content-Length": str(request.size),
        "Content-Type": request.content_type,
        **{f"x-amz-meta-{name}": value for name, value in request.metadata.items()},
    }
