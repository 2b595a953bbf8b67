"""Keeps the content that an item points to: what was uploaded for the way only expires there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from shared.contracts import StageRecord, Unavailable
from shared.objects import Pointer, derived_folder
from shared.payloads import reading_error, s3

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


def with_kept_original(record: StageRecord) -> StageRecord:
    """``record`` with the place where its original content stays; most records carry theirs along.

    Raises:
        InvalidRecord, Superseded: the payload is gone, or was overwritten.
        Unavailable: S3 did not copy it.
    """
    if "pointer" not in record:
        return record
    return record | {"original": kept(s3(), record["pointer"], os.environ)}


def kept(client: S3Client, pointer: Pointer, environment: Mapping[str, str]) -> Pointer:
    """Where the content of ``pointer`` stays: there, or for a payload its copy in the output.

    The copy is of the state that the pointer names, or not made.
    """
    if pointer["bucket"] != environment["PAYLOAD_BUCKET"]:
        return pointer
    bucket, key = environment["OUTPUT_BUCKET"], f"{derived_folder(pointer)}original"
    try:
        response = client.copy_object(
            Bucket=bucket,
            Key=key,
            CopySource=_source(pointer),
            TaggingDirective="REPLACE",  # copying tags would need permissions of its own
            **_if_unchanged(pointer),
        )
    except ClientError as error:
        raise reading_error(error.response["Error"]["Code"], str(error), pointer) from None
    except BotoCoreError as error:
        raise Unavailable(type(error).__name__, str(error)) from None
    copy: Pointer = {"bucket": bucket, "key": key}
    copy["etag"] = response["CopyObjectResult"]["ETag"].strip('"')
    if "size" in pointer:
        copy["size"] = pointer["size"]
    return copy


def _source(pointer: Pointer) -> Any:
    source = {"Bucket": pointer["bucket"], "Key": pointer["key"]}
    if pointer.get("version_id"):
        source["VersionId"] = pointer["version_id"]
    return source


def _if_unchanged(pointer: Pointer) -> Any:
    return {"CopySourceIfMatch": f'"{pointer["etag"]}"'} if pointer.get("etag") else {}
