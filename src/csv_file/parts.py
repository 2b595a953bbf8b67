"""Works on one range: its rows become results and rejects, one JSON Lines object each.

The results are the commit. They are put on the condition that nobody else has put them meanwhile,
and name the rejects that belong to them: so whoever works on a range at the same time, and whatever
the own stage answers each of them, results, rejects and items are of one reading.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from csv_file.documents import Verdict, verdicts_of
from csv_file.enriching import Enriching
from csv_file.items import RowItems, result_line
from csv_file.rows import Row, rows_of
from csv_file.source import BLOCK_BYTES, blocks
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

REJECTS_DIGEST = "rejects-digest"
"""The metadata of results that is in the name of the rejects that belong to them."""

LOST = NOT_THERE | {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
"""S3's words for a condition that does not hold, or is being made false by somebody else.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html"""


def process_range(
    client: S3Client,
    bucket: str,
    file: File,
    work: Range,
    enriching: Enriching | None = None,
    items: RowItems | None = None,
) -> Part:
    """Write what the rows of ``work`` become to ``bucket``, and have ``items`` stored if wanted.

    A range that was written already, through the same own stage or none, is not worked on again.
    Where rows become items it is never: they may be stored already, and are stored again.

    Raises:
        Gone: the object is not, or no longer, in the state that ``file`` is.
        Unfinished: another stage did not say of each row what becomes of it.
    """
    place = Place(client, bucket, file, work, enriching, items)
    there = place.there()
    part = place.part(there)
    if part is not None and items is None:
        return part
    with blocks(client, file, work["start"], work["end"]) as found:
        content: Iterable[bytes] = found
        if enriching or items:
            # S3 would break off a connection from which it may not send for long.
            content = list(found)
        if part is None:
            part = place.written(rows_of(file, work, content), there)
    if items:
        items.store(rows_of(file, work, content), place.results())
    return part


@dataclass(frozen=True)
class Results:
    """The results of a range that are there already: their ETag and their metadata."""

    etag: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Place:
    """Where the results and rejects of one range lie."""

    client: S3Client
    bucket: str
    file: File
    work: Range
    enriching: Enriching | None
    items: RowItems | None

    @property
    def results_key(self) -> str:
        """Of results from which items are made, those of other ranges are never in their place."""
        start = f"{self.work['start']:015d}"
        if self.items:
            return f"{results_folder(self.file)}items/{start}-{self.work['end']:015d}.jsonl"
        return f"{results_folder(self.file)}results/{start}.jsonl"

    @property
    def written_by(self) -> Mapping[str, str]:
        """What the results say of who has made them."""
        return {OWN_STAGE: self.enriching.function_arn} if self.enriching else {}

    def there(self) -> Results | None:
        """The results that are there."""
        try:
            found = self.client.head_object(Bucket=self.bucket, Key=self.results_key)
        except ClientError as error:
            if error.response["Error"]["Code"] in NOT_THERE:
                return None
            raise
        return Results(found["ETag"], found["Metadata"])

    def part(self, there: Results | None) -> Part | None:
        """The part that they are; None if they are of another range, or of another own stage."""
        if there is None:
            return None
        metadata = there.metadata
        if any(metadata.get(name) != str(value) for name, value in self.work.items()):
            return None
        if not self.items and metadata.get(OWN_STAGE) != self.written_by.get(OWN_STAGE):
            return None
        tally: Tally = {
            "rows": int(metadata["rows"]),
            "results": int(metadata["results"]),
            "rejects": int(metadata["rejects"]),
        }
        if "swallowed" in metadata:
            tally["swallowed"] = int(metadata["swallowed"])
        return self._part(tally, metadata.get(REJECTS_DIGEST, ""))

    def written(self, rows: Iterable[Row], there: Results | None) -> Part:
        """Put what ``rows`` become in the place of what is ``there``.

        If somebody else was quicker it is their part.
        """
        with tempfile.TemporaryFile() as results, tempfile.TemporaryFile() as rejects:
            tally = write_rows(rows, self.file, results, rejects, self.enriching, self.items)
            digest = _digest(rejects)
            part = self._part(tally, digest)
            self._put(part["rejects_key"], rejects)
            metadata = {**self.work, **tally, **self.written_by, REJECTS_DIGEST: digest}
            while not self._commit(results, metadata, there):
                there = self.there()
                if theirs := self.part(there):
                    return theirs
        return part

    def results(self) -> Iterator[bytes]:
        """The lines of the results that are there, whoever has put them."""
        body = self.client.get_object(Bucket=self.bucket, Key=self.results_key)["Body"]
        yield from body.read().splitlines(keepends=True)

    def _part(self, tally: Tally, digest: str) -> Part:
        name = f"{self.work['start']:015d}{digest and f'-{digest}'}.jsonl"
        rejects_key = f"{results_folder(self.file)}rejects/{name}"
        return {
            **self.work,
            **tally,
            "results_key": self.results_key,
            "rejects_key": rejects_key,
        }

    def _commit(
        self, results: IO[bytes], metadata: Mapping[str, object], there: Results | None
    ) -> bool:
        """Whether the results were put before anybody else has."""
        texts = {name: str(value) for name, value in metadata.items()}
        condition = {"IfMatch": there.etag} if there else {"IfNoneMatch": "*"}
        try:
            self._put(self.results_key, results, Metadata=texts, **condition)
        except ClientError as error:
            if error.response["Error"]["Code"] in LOST:
                return False
            raise
        return True

    def _put(self, key: str, content: IO[bytes], **more: Any) -> None:
        content.seek(0)
        self.client.put_object(
            Bucket=self.bucket, Key=key, Body=content, ContentType=CONTENT_TYPE, **more
        )


def _digest(content: IO[bytes]) -> str:
    content.seek(0)
    digest = hashlib.sha256()
    for block in iter(lambda: content.read(BLOCK_BYTES), b""):
        digest.update(block)
    return digest.hexdigest()[:16]


def write_rows(
    rows: Iterable[Row],
    file: File,
    results: IO[bytes],
    rejects: IO[bytes],
    enriching: Enriching | None = None,
    items: RowItems | None = None,
) -> Tally:
    """Write each row's line to ``results`` or to ``rejects``."""
    written = rejected = swallowed = 0
    verdicts: Iterable[Verdict] = verdicts_of(rows, file)
    if enriching:
        verdicts = enriching.through(verdicts)
    if items:
        verdicts = items.judged(verdicts)
    for verdict in verdicts:
        row, invalid = verdict.row, verdict.invalid
        if invalid is None:
            results.write(result_line(verdict))
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
