"""Works on one range: its rows become results and rejects, one JSON Lines object each."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from typing import IO, TYPE_CHECKING

from botocore.exceptions import ClientError

from csv_file.documents import Verdict, verdict_of
from csv_file.enriching import Enriching
from csv_file.rows import Row, rows_of
from csv_file.source import blocks
from csv_file.syntax import InvalidQuotes
from pipeline_core.contract import Reason
from pipeline_core.files import File, Part, Range, Tally
from pipeline_core.objects import results_folder
from pipeline_core.payloads import NOT_THERE

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_RAW_BYTES = 16 * 1024
"""Of the raw text that a reject shows; the file has all of it."""

CONTENT_TYPE = "application/x-ndjson"

OWN_STAGE = "own-stage"
"""The metadata of results that says through whose function they went."""


def process_range(
    client: S3Client, bucket: str, file: File, work: Range, enriching: Enriching | None = None
) -> Part:
    """Write what the rows of ``work`` become to ``bucket``; the same range, the same bytes.

    A range that was written already, through the same own stage or none, is not worked on again.

    Raises:
        Gone: the object is not, or no longer, in the state that ``file`` is.
        Unfinished: the own stage did not say of each row what becomes of it.
    """
    name = f"{work['start']:015d}.jsonl"
    results_key = f"{results_folder(file)}results/{name}"
    rejects_key = f"{results_folder(file)}rejects/{name}"
    written_by = {OWN_STAGE: enriching.stage["function_arn"]} if enriching else {}
    tally = _tally_written(client, bucket, results_key, work, written_by)
    if tally is None:
        with (
            blocks(client, file, work["start"], work["end"]) as content,
            tempfile.TemporaryFile() as results,
            tempfile.TemporaryFile() as rejects,
        ):
            if enriching:
                # S3 would break off a connection from which it may not send for long.
                content = iter(list(content))
            tally = write_rows(rows_of(file, work, content), file, results, rejects, enriching)
            _put(client, bucket, rejects_key, rejects, {})
            # Last, because it says that both are there.
            _put(client, bucket, results_key, results, {**work, **tally, **written_by})
    return {**work, **tally, "results_key": results_key, "rejects_key": rejects_key}


def write_rows(
    rows: Iterable[Row],
    file: File,
    results: IO[bytes],
    rejects: IO[bytes],
    enriching: Enriching | None = None,
) -> Tally:
    """Write each row's line to ``results`` or to ``rejects``."""
    written = rejected = swallowed = 0
    verdicts: Iterable[Verdict] = (verdict_of(row, file) for row in rows)
    for row, record, invalid in enriching.through(verdicts) if enriching else verdicts:
        if invalid is None:
            results.write(f'{{"row":{row.number},"record":{record}}}\n'.encode())
            written += 1
        else:
            rejects.write(_reject(row, invalid.reason))
            rejected += 1
            swallowed += invalid.swallowed if isinstance(invalid, InvalidQuotes) else 0
    tally: Tally = {"rows": written + rejected, "results": written, "rejects": rejected}
    if swallowed:
        tally["swallowed"] = swallowed
    return tally


def _reject(row: Row, reason: Reason) -> bytes:
    reject = {
        "row": row.number,
        "line": row.line,
        "reason": reason,
        "raw": _shown(row.raw),
    }
    return f"{json.dumps(reject, separators=(',', ':'))}\n".encode()


def _shown(raw: bytes) -> str:
    r"""The row as text without its line break, \xNN for what is not UTF-8; cut if it is long."""
    content = raw.removesuffix(b"\n").removesuffix(b"\r")
    if len(content) <= MAX_RAW_BYTES:
        return content.decode("utf-8", "backslashreplace")
    beginning = content[:MAX_RAW_BYTES].decode("utf-8", "backslashreplace")
    return f"{beginning}... ({len(content):,} bytes)"


def _tally_written(
    client: S3Client, bucket: str, key: str, work: Range, written_by: Mapping[str, str]
) -> Tally | None:
    """What the results object says of ``work``.

    None if it is not there, of another range, or went through another own stage.
    """
    try:
        metadata = client.head_object(Bucket=bucket, Key=key)["Metadata"]
    except ClientError as error:
        if error.response["Error"]["Code"] in NOT_THERE:
            return None
        raise
    if any(metadata.get(name) != str(value) for name, value in work.items()):
        return None
    if metadata.get(OWN_STAGE) != written_by.get(OWN_STAGE):
        return None
    tally: Tally = {
        "rows": int(metadata["rows"]),
        "results": int(metadata["results"]),
        "rejects": int(metadata["rejects"]),
    }
    if "swallowed" in metadata:
        tally["swallowed"] = int(metadata["swallowed"])
    return tally


def _put(
    client: S3Client, bucket: str, key: str, content: IO[bytes], metadata: Mapping[str, object]
) -> None:
    content.seek(0)
    client.put_object(
        Bucket=bucket,
        Key=key,
        Body=content,
        ContentType=CONTENT_TYPE,
        Metadata={name: str(value) for name, value in metadata.items()},
    )
