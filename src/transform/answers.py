"""The answer for a transformed record: with its document, or with where that lies."""

from __future__ import annotations

import os
from typing import Any

import simplejson

from shared.contracts import Result, StageRecord, Unavailable, ok
from shared.objects import ObjectState, Pointer, derived_folder
from shared.payloads import s3

MAX_INLINE_BYTES = 32 * 1024
"""Of the transformed document of a record that is a pointer; a larger one goes to S3 as well. What
came in with its message was small enough to travel, and stays so."""


def answer(record: StageRecord, document: dict[str, Any]) -> Result:
    """The result for ``record``: its ``document`` as JSON text, or the head of it and a pointer.

    Raises:
        Unavailable: S3 did not take the document.
    """
    text = simplejson.dumps(document, separators=(",", ":"))
    if "pointer" not in record or len(text) <= MAX_INLINE_BYTES:
        return ok(record["id"], text)
    head = {name: document[name] for name in ("data_source", "processing_type")}
    return ok(record["id"], simplejson.dumps(head), _put(record["pointer"], text.encode()))


def _put(source: Pointer | ObjectState, content: bytes) -> Pointer:
    """Put ``content`` where only a repetition for the same state of ``source`` replaces it."""
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, key = os.environ["OUTPUT_BUCKET"], f"{derived_folder(source)}transformed.json"
    try:
        response = s3().put_object(
            Bucket=bucket, Key=key, Body=content, ContentType="application/json"
        )
    except ClientError as error:
        raise Unavailable(error.response["Error"]["Code"], str(error)) from None
    except BotoCoreError as error:
        raise Unavailable(type(error).__name__, str(error)) from None
    return {"bucket": bucket, "key": key, "etag": response["ETag"].strip('"'), "size": len(content)}
