"""Reads the object: one state of it, never another, in blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from pipeline_core.objects import ObjectState
from pipeline_core.payloads import CHANGED, NOT_THERE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

BLOCK_BYTES = 1024 * 1024

HEAD_BYTES = 256 * 1024


class Gone(Exception):
    """The object was removed or replaced; this state of it is no more."""


@dataclass(frozen=True)
class Head:
    """How an object begins: up to `HEAD_BYTES`, and ``whole`` if these are all.

    ``state`` is the state asked for with the ETag, version and size that were found, ``put_at``
    when it was put, in milliseconds since 1970.
    """

    state: ObjectState
    metadata: Mapping[str, str]
    content: bytes
    whole: bool
    put_at: int = 0


def read_head(client: S3Client, state: ObjectState) -> Head:
    """The beginning of the object, and its metadata.

    Raises:
        Gone: the object is not, or no longer, in ``state``.
    """
    response = _get(client, state)
    found = state | {"etag": response["ETag"].strip('"'), "size": response["ContentLength"]}
    if version_id := response.get("VersionId"):
        found["version_id"] = version_id
    with closing(response["Body"]) as body:
        content = body.read(HEAD_BYTES)
    put_at = int(response["LastModified"].timestamp() * 1000)
    whole = len(content) == found["size"]
    return Head(found, response["Metadata"], content, whole, put_at)


@contextmanager
def blocks(
    client: S3Client, state: ObjectState, start: int, end: int | None = None
) -> Iterator[Iterator[bytes]]:
    """The bytes from ``start`` up to, not with, ``end``, in blocks of up to `BLOCK_BYTES`.

    Raises:
        Gone: the object is not, or no longer, in ``state``.
    """
    last = "" if end is None else end - 1
    with closing(_get(client, state, f"bytes={start}-{last}")["Body"]) as body:
        yield body.iter_chunks(BLOCK_BYTES)


def _get(client: S3Client, state: ObjectState, span: str | None = None) -> GetObjectOutputTypeDef:
    """The object as it is now, if that is ``state``.

    Its version is compared, not asked for: S3 would still give a version that was removed or
    replaced since, and work on it would be for nothing.
    """
    arguments = {"Bucket": state["bucket"], "Key": state["key"]}
    if etag := state.get("etag"):
        arguments["IfMatch"] = f'"{etag}"'
    if span:
        arguments["Range"] = span
    try:
        response = client.get_object(**arguments)  # type: ignore[arg-type]  # all are strings
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_THERE | CHANGED:
            raise Gone(f"s3://{state['bucket']}/{state['key']} is not as it was") from None
        raise
    if _version(state) not in (None, response.get("VersionId")):
        response["Body"].close()
        raise Gone(f"s3://{state['bucket']}/{state['key']} has another version")
    return response


def _version(state: ObjectState) -> str | None:
    """The version to expect, where there are versions: "null" is S3's word for none."""
    version_id = state.get("version_id")
    return None if version_id in ("", "null") else version_id
