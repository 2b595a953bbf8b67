"""What was made of a file: a segment for each execution, and the manifest when all is done.

Executions of one file may be repeated, and then cut it elsewhere. Segments therefore lie under
the offset that they start at and name the one that follows; those on the way from the first row to
the last count, and no other. All that is written is the same when written again.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, TYPE_CHECKING, TypedDict

from botocore.exceptions import ClientError

from csv_file.contract import Counts, Cursor, File, Part
from shared.contracts import utc_now
from shared.objects import Pointer, results_folder
from shared.payloads import NOT_THERE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DESCRIPTION = ("format", "delimiter", "header", "processing_type", "data_source")

STATE = ("bucket", "key", "version_id", "etag", "size", "sequencer")


class IncompleteResults(Exception):  # noqa: N818 - reads as what it is, in logs
    """The segments do not lead from the first row to the last; another may still be written."""


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
    if following is not None:
        return {"manifest": None, "counts": _total(_segments(client, bucket, file))}
    return _write_manifest(client, bucket, file)


def _write_segment(client: S3Client, bucket: str, file: File, segment: Segment) -> None:
    """Unless it is there: who wrote it first, and when, stays true when it is repeated."""
    key = _segment_key(file, segment["parts"][0]["start"] if segment["parts"] else 0)
    there = _read(client, bucket, key)
    if there and (there["parts"], there["next"]) == (segment["parts"], segment["next"]):
        return
    client.put_object(
        Bucket=bucket,
        Key=key,
        Body=json.dumps(segment).encode(),
        ContentType="application/json",
    )


def _write_manifest(client: S3Client, bucket: str, file: File) -> Finished:
    key = f"{results_folder(file)}manifest.json"
    with tempfile.TemporaryFile() as manifest:
        counts = _write(manifest, file, _complete(_segments(client, bucket, file), file))
        manifest.seek(0)
        client.put_object(Bucket=bucket, Key=key, Body=manifest, ContentType="application/json")
    return {"manifest": {"bucket": bucket, "key": key}, "counts": counts}


def _write(manifest: IO[bytes], file: File, segments: Iterable[Segment]) -> Counts:
    """Write the manifest as it comes: of a large file it has many parts."""
    described: dict[str, object] = {"object": {name: file[name] for name in STATE if name in file}}  # type: ignore[literal-required]  # of File's keys
    described |= {name: file[name] for name in DESCRIPTION}  # type: ignore[literal-required]  # of File's keys
    manifest.write(f'{json.dumps(described)[:-1]},\n"parts": ['.encode())
    arns: dict[str, None] = {}
    counts, written_at, separator = _total([]), "", "\n"
    for segment in segments:
        for part in segment["parts"]:
            manifest.write(f"{separator}{json.dumps(part)}".encode())
            separator = ",\n"
        arns[segment["durable_execution_arn"]] = None
        written_at = max(written_at, segment["written_at"])
        counts = _sum(counts, _total([segment]))
    ending = {"counts": counts, "durable_execution_arns": list(arns), "written_at": written_at}
    manifest.write(f"],\n{json.dumps(ending)[1:]}\n".encode())
    return counts


def _segments(client: S3Client, bucket: str, file: File) -> Iterator[Segment]:
    """The segments from the first row on, each the one that the one before names as next."""
    folder = _segment_key(file, 0).rpartition("/")[0]
    listing = client.list_objects_v2(Bucket=bucket, Prefix=f"{folder}/", MaxKeys=1)
    key = listing["Contents"][0]["Key"] if listing.get("Contents") else None
    while key and (segment := _read(client, bucket, key)):
        yield segment
        following = segment["next"]
        key = _segment_key(file, following["offset"]) if following else None


def _complete(segments: Iterable[Segment], file: File) -> Iterator[Segment]:
    """The segments, if their parts have every row of the file, and none twice."""
    row, offset, ended = 1, None, False
    for segment in segments:
        for part in segment["parts"]:
            if part["row"] != row or part["start"] != (offset or part["start"]):
                raise _incomplete(file, row, offset)
            row, offset = row + part["rows"], part["end"]
        yield segment
        ended = segment["next"] is None
    if not ended or offset not in (None, file["size"]):
        raise _incomplete(file, row, offset)


def _incomplete(file: File, row: int, offset: int | None) -> IncompleteResults:
    where = f"s3://{file['bucket']}/{file['key']}"
    missing = f"the part that begins with row {row}, at byte {offset or 'unknown'}"
    return IncompleteResults(
        f"the results of {where} lack {missing}; finish again when its execution has finished, "
        "or put the object again"
    )


def _read(client: S3Client, bucket: str, key: str) -> Segment | None:
    try:
        response = client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_THERE:
            return None
        raise
    segment: Segment = json.loads(response["Body"].read())
    return segment


def _segment_key(file: File, start: int) -> str:
    return f"{results_folder(file)}segments/{start:015d}.json"


def _total(segments: Iterable[Segment]) -> Counts:
    total: Counts = {"rows": 0, "results": 0, "rejects": 0}
    for segment in segments:
        for part in segment["parts"]:
            total = _sum(total, part)
    return total


def _sum(one: Counts, other: Counts) -> Counts:
    return {
        "rows": one["rows"] + other["rows"],
        "results": one["results"] + other["results"],
        "rejects": one["rejects"] + other["rejects"],
    }
