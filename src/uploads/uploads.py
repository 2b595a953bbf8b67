"""Uploads: what a request may ask for, and the URL that it gets."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, TypedDict

from botocore.exceptions import ClientError

from pipeline_core import exact_json
from pipeline_core.files import CHOICES, CONTENT_TYPES, METADATA, UPLOAD_ID

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class Settings:
    """Where uploads go, for how many seconds a URL lasts, how many bytes an upload may have."""

    payload_bucket: str
    upload_url_lifetime: int
    maximum_upload_size: int
    aws_endpoint_url_s3: str = ""
    aws_endpoint_url: str = ""

    @property
    def addressing_style(self) -> Literal["virtual", "path"]:
        """Where the bucket stands in a URL.

        On AWS in the host's name: only then botocore signs for the bucket's region, and a URL that
        S3 redirects there fails its signature. An endpoint of one's own has no host names for
        buckets.
        """
        return "path" if self.aws_endpoint_url_s3 or self.aws_endpoint_url else "virtual"


class RequestRefused(ValueError):
    """The request cannot be carried out; the message names the input, the rule and the remedy."""

    status = HTTPStatus.BAD_REQUEST
    type = "InvalidRequest"


class NoSuchUpload(RequestRefused):
    """Nothing was uploaded under the id, or it has expired."""

    status = HTTPStatus.NOT_FOUND
    type = "NoSuchUpload"


class TooLarge(RequestRefused):
    """The upload, or the request itself, is larger than is allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    type = "TooLarge"


class UnsupportedContentType(RequestRefused):
    """The pipeline does not process content of this type."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    type = "UnsupportedContentType"


# What a producer asks for when it wants to upload something. Every request may be hostile.

SUFFIXES = {CONTENT_TYPES[suffix]: suffix for suffix in (".json", ".jsonl", ".csv")}
"""The suffix of the key, by content type: it says how the object is read."""

MAX_REQUEST_BYTES = 16 * 1024
MAX_METADATA_LENGTH = 256
MAX_QUOTED = 100

_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""Printable ASCII without blanks at its ends: all that arrives in a header as it was sent."""

_DELIMITER = re.compile(r"[!#-~]|tab")


@dataclass(frozen=True)
class UploadRequest:
    """An upload of ``size`` bytes; ``metadata`` becomes the object's, by name."""

    size: int
    content_type: str
    metadata: Mapping[str, str]

    @property
    def suffix(self) -> str:
        """The suffix of the object's key."""
        return SUFFIXES[self.content_type]


def parse(body: str, maximum_size: int) -> UploadRequest:
    """The request in the JSON text ``body``.

    Raises:
        RequestRefused: it breaks a rule; of `TooLarge` and `UnsupportedContentType` where that is
            the rule.
    """
    document = _document(body)
    return UploadRequest(
        size=_size(document.get("size"), maximum_size),
        content_type=_content_type(document.get("content_type")),
        metadata=_metadata(document.get("metadata", {})),
    )


def _document(body: str) -> Mapping[str, Any]:
    if len(body) > MAX_REQUEST_BYTES:
        raise TooLarge(
            f"the request has {len(body):,} characters and may have {MAX_REQUEST_BYTES:,}: "
            "send what is to be uploaded to the URL of the answer, not here"
        )
    try:
        document = exact_json.loads(body)
    except exact_json.JsonError as error:
        raise RequestRefused(
            f"the request's body: {error}: send an object with size and content_type"
        ) from None
    if not isinstance(document, dict):
        raise RequestRefused(
            "the request's body is no JSON object: send one with size and content_type"
        )
    _refuse_unknown(document, ("size", "content_type", "metadata"), "field")
    return document


def _size(size: Any, maximum: int) -> int:
    # A bool is an int to Python.
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise RequestRefused(
            f"size must be a whole number from 1 to {maximum}: "
            "give the exact number of bytes of the upload"
        )
    if size > maximum:
        raise TooLarge(
            f"size is more than {maximum} bytes, the most an upload may have: split the content, "
            "or put it into the input bucket"
        )
    return size


def _content_type(content_type: Any) -> str:
    if isinstance(content_type, str) and content_type in SUFFIXES:
        return content_type
    allowed = ", ".join(SUFFIXES)
    if not isinstance(content_type, str):
        raise RequestRefused(f"content_type must be text: give one of {allowed}")
    raise UnsupportedContentType(
        f"content_type {_quoted(content_type)} is none the pipeline processes: "
        f"give one of {allowed}, without parameters"
    )


def _metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        raise RequestRefused(f"metadata must be an object: give any of {', '.join(METADATA)}")
    _refuse_unknown(metadata, METADATA, "metadata")
    values = {name: _header_value(name, value) for name, value in metadata.items()}
    if "delimiter" in values and not _DELIMITER.fullmatch(values["delimiter"]):
        raise RequestRefused(
            "metadata.delimiter must be one character, no quote, or the word tab: give what "
            "separates the columns"
        )
    for name, choices in CHOICES.items():
        if values.get(name, choices[0]) not in choices:
            raise RequestRefused(f"metadata.{name} must be one of: {', '.join(choices)}")
    return values


def _header_value(name: str, value: Any) -> str:
    if (
        isinstance(value, str)
        and len(value) <= MAX_METADATA_LENGTH
        and _HEADER_VALUE.fullmatch(value)
    ):
        return value
    raise RequestRefused(
        f"metadata.{name} must be 1 to {MAX_METADATA_LENGTH} printable ASCII characters without "
        "blanks at its ends, as it travels in a header: shorten it, or encode it by RFC 2047"
    )


def _refuse_unknown(found: Collection[str], known: Collection[str], what: str) -> None:
    if unknown := sorted(set(found) - set(known)):
        raise RequestRefused(
            f"{what} {_quoted(unknown[0])} is unknown: leave it out, or give any of "
            f"{', '.join(known)}"
        )


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}...")


# Presigned URLs: to put one object of a known size and type, and to get it again.

PREFIX = "messages/"
"""The door of the payload bucket: what is put below it is processed."""


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
            ExpiresIn=self.settings.upload_url_lifetime,
        )
        return {
            "id": upload_id,
            "method": "PUT",
            "url": url,
            "headers": _headers(request),
            "expires_at": expires_at,
            "max_size": self.settings.maximum_upload_size,
        }

    def find(self, upload_id: str) -> Download:
        """A URL to get what was uploaded under this id.

        Raises:
            RequestRefused: it is no id of an upload.
            NoSuchUpload: nothing was uploaded under it, or it has expired.
        """
        if not UPLOAD_ID.fullmatch(upload_id):
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
                "get_object", Params=found, ExpiresIn=self.settings.upload_url_lifetime
            ),
            "size": head["ContentLength"],
            "content_type": head["ContentType"],
            "expires_at": expires_at,
        }

    def _object(self, upload_id: str) -> _ObjectParameters:
        return {"Bucket": self.settings.payload_bucket, "Key": f"{PREFIX}{upload_id}"}

    def _expires_at(self) -> str:
        """Asked for before a URL is signed, so that no URL ends earlier than is said."""
        moment = self.now() + timedelta(seconds=self.settings.upload_url_lifetime)
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
