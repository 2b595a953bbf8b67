"""What was made of a file: a segment for each execution, and the manifest when all is done.

Executions of one file may be repeated, at any time, and may get further or less far than before.
So it is the parts of all segments that count, wherever they lead on from one to the next. What is
written is the same when written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from pipeline_core.contract import utc_now
from pipeline_core.files import Counts, Cursor, File, Part
from pipeline_core.objects import Pointer, results_folder
from pipeline_core.payloads import NOT_THERE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DESCRIPTION = (
    "format",
    "delimiter",
    "header",
    "processing_type",
    "data_source",
    "empty_cells",
    "decimal",
    "encoding",
    "rows",
)

STATE = ("bucket", "key", "version_id", "etag", "size", "sequencer")


class IncompleteResults(Exception):
    """The parts do not lead from the first row to the last; those missing may still be written."""


class Segment(TypedDict):
    """What one execution did: adjoining parts, and where the rows after them start."""

    parts: list[Part]
    next: Cursor | None
    durable_execution_arn: str
    written_at: str


class Finished(TypedDict):
    """Counts over all segments so far, and where the manifest is, once all is done."""

    manifest: Pointer | None
    counts: Counts


def finish(
    client: S3Client,
    bucket: str,
    file: File,
    parts: Sequence[Part],
    following: Cursor | None,
    durable_execution_arn: str,
) -> Finished:
    """Write the segment that ``parts`` are, and the manifest if no row follows.

    Raises:
        IncompleteResults: no row follows, but parts before these are missing.
    """
    segment: Segment = {
        "parts": list(parts),
        "next": following,
        "durable_execution_arn": durable_execution_arn,
        "written_at": utc_now(),
    }
    _write_segment(client, bucket, file, segment)
    segments = list(_segments(client, bucket, file))
    done = list(_in_order(segments))
    counts = _total(done)
    if file.get("rows") == "items":
        counts["items"] = counts["results"]
    if following is not None:
        return {"manifest": None, "counts": counts}
    _check_complete(done, segments, file)
    manifest: Pointer = {"bucket": bucket, "key": f"{results_folder(file)}manifest.json"}
    swallowed = sum(part.get("swallowed", 0) for part in done)
    summary = _summary(segments, counts) | {"swallowed_lines": swallowed}
    _put(client, manifest, {**_description(file), **summary, "parts": done})
    return {"manifest": manifest, "counts": counts}


def _write_segment(client: S3Client, bucket: str, file: File, segment: Segment) -> None:
    """Unless one is there that says as much or more: who did it first, and when, stays true."""
    parts = segment["parts"]
    key = f"{_folder(file)}{parts[0]['start'] if parts else 0:015d}.json"
    there = _read(client, bucket, key)
    if there is None or there["parts"][: len(parts)] != parts:
        _put(client, {"bucket": bucket, "key": key}, segment)


def _segments(client: S3Client, bucket: str, file: File) -> Iterator[Segment]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=_folder(file))
    for page in pages:
        for item in page.get("Contents", []):
            if segment := _read(client, bucket, item["Key"]):
                yield segment


def _in_order(segments: Iterable[Segment]) -> Iterator[Part]:
    """The parts from the first row on, each where the one before ends, as far as they lead.

    Where a range was cut twice, and differently, the later one was written over the earlier.
    """
    by_start: dict[int, Part] = {}
    for segment in sorted(segments, key=lambda segment: segment["written_at"]):
        by_start |= {part["start"]: part for part in segment["parts"]}
    part = by_start.get(min(by_start, default=0))
    row = 1
    while part and part["row"] == row:
        yield part
        row += part["rows"]
        part = by_start.get(part["end"])


def _check_complete(done: Sequence[Part], written: Sequence[Segment], file: File) -> None:
    """Raise `IncompleteResults` unless the parts in order reach the end of the file."""
    if done and done[-1]["end"] == file["size"]:
        return
    if not any(segment["parts"] for segment in written):
        return  # a file without rows
    row = done[-1]["row"] + done[-1]["rows"] if done else 1
    at = f" at byte {done[-1]['end']}" if done else ""
    raise IncompleteResults(
        f"the results of s3://{file['bucket']}/{file['key']} lack the part that begins with row "
        f"{row}{at}; finish again when the execution that works on it has, or put the object again"
    )


def _description(file: File) -> dict[str, object]:
    content: Mapping[str, object] = {**file}
    state = {name: content[name] for name in STATE if name in content}
    return {"object": state} | {name: content[name] for name in DESCRIPTION if name in content}


def _summary(segments: Sequence[Segment], counts: Counts) -> dict[str, object]:
    """Counts, who worked on the file, and when the last of them had done it."""
    arns = dict.fromkeys(segment["durable_execution_arn"] for segment in segments)
    written_at = max(segment["written_at"] for segment in segments)
    return {"counts": counts, "durable_execution_arns": list(arns), "written_at": written_at}


def _total(parts: Iterable[Part]) -> Counts:
    total: Counts = {"rows": 0, "results": 0, "rejects": 0}
    for part in parts:
        total["rows"] += part["rows"]
        total["results"] += part["results"]
        total["rejects"] += part["rejects"]
    return total


def _folder(file: File) -> str:
    return f"{results_folder(file)}segments/"


def _read(client: S3Client, bucket: str, key: str) -> Segment | None:
    try:
        response = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_THERE:
            return None
        raise
    segment: Segment = json.loads(response["Body"].read())
    return segment


def _put(client: S3Client, at: Pointer, content: Mapping[str, object]) -> None:
    client.put_object(
        Bucket=at["bucket"],
        Key=at["key"],
        Body=json.dumps(content).encode(),
        ContentType="application/json",
    )
