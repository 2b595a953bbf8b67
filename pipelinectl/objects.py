"""S3 objects as the command line names them, and as the pipeline names what it makes of them."""

from __future__ import annotations

import hashlib
import heapq
import itertools
import json
import re
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pipeline_core import exact_json
from pipelinectl import items
from pipelinectl.aws import CHUNK_BYTES
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mypy_boto3_dynamodb.client import DynamoDBClient
    from mypy_boto3_s3.client import S3Client

    from pipelinectl.aws import Stack
    from pipelinectl.uploading import Uploaded


INPUT = "input"
DIRECT = "direct"
MESSAGES = "messages"

CONTENT_TYPES = {
    ".csv": "text/csv",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".ndjson": "application/x-ndjson",
}

COMPRESSED = (".gz", ".zip", ".bz2", ".xz", ".zst")

_UPLOAD_ID = re.compile(r"[0-9a-f]{32}\.(?:csv|json|jsonl)")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_READABLE = 64


@dataclass(frozen=True)
class ObjectPath:
    """An object, whatever its state."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """`bucket/key`, its key in the catalog."""
        return f"{self.bucket}/{self.key}"

    @property
    def results_prefix(self) -> str:
        """Below it, in the output bucket, lies what was made of it: by the pipeline's rules."""
        readable = _NOT_IN_NAMES.sub("_", self.key.rsplit("/", 1)[-1])[-_MAX_READABLE:]
        digest = hashlib.sha256(str(self).encode()).hexdigest()[:16]
        return f"results/{readable}-{digest}/"


def resolve(reference: str, stack: Stack) -> ObjectPath:
    """The object that `reference` means.

    That is `bucket/key` (`s3://bucket/key`), or a key behind one of the stack's doors
    (`input/orders.csv`), or the id of an upload.

    Raises:
        UsageError: it is none of these.
    """
    if is_upload_id(reference):
        return ObjectPath(stack.payload_bucket, f"{MESSAGES}/{reference}")
    first, _, rest = reference.removeprefix("s3://").partition("/")
    if not first or not rest:
        msg = f"'{reference}' is no object: give bucket/key, input/KEY, or the id of an upload"
        raise UsageError(msg)
    if reference.startswith("s3://"):
        return ObjectPath(first, rest)
    doors = _doors(stack)
    return ObjectPath(doors[first], reference) if first in doors else ObjectPath(first, rest)


def reference_to(path: ObjectPath, stack: Stack) -> str:
    """The shortest that `resolve` takes for the object."""
    door, slash, _ = path.key.partition("/")
    return path.key if slash and _doors(stack).get(door) == path.bucket else str(path)


def _doors(stack: Stack) -> dict[str, str]:
    """The bucket behind each door."""
    return {INPUT: stack.input_bucket, DIRECT: stack.input_bucket, MESSAGES: stack.payload_bucket}


def is_upload_id(reference: str) -> bool:
    """Whether it has the form of what the uploads API gives."""
    return _UPLOAD_ID.fullmatch(reference) is not None


def content_type(key: str) -> str:
    """The content type of an object the pipeline reads, by the suffix of its key, or file name.

    Raises:
        UsageError: the pipeline does not read such objects.
    """
    refuse_compressed(key)
    try:
        return CONTENT_TYPES[suffix_of(key)]
    except KeyError:
        known = ", ".join(CONTENT_TYPES)
        msg = (
            f"{key}: the pipeline reads {known}, and tells them by the suffix: give it one of them"
        )
        raise UsageError(msg) from None


def refuse_compressed(name: str) -> None:
    """Refuse what no other name would make readable.

    Raises:
        UsageError: the file's name, or the key, says that it is compressed.
    """
    if suffix_of(name) in COMPRESSED:
        msg = f"{name}: it is compressed, which the pipeline does not read: decompress it first"
        raise UsageError(msg)


def suffix_of(key: str) -> str:
    """The suffix of a key or file name, in small letters; empty if it has none."""
    return PurePosixPath(key).suffix.lower()


KEY = "object"
DONE = "done"
FAILED = "failed"
STATES = ("received", "processing", DONE, FAILED, "deleted")


@dataclass(frozen=True)
class Entry:
    """One object in its newest known state; `attributes` is all that the catalog has of it."""

    attributes: Mapping[str, Any]

    @property
    def path(self) -> ObjectPath:
        """The object."""
        return ObjectPath(self.text("bucket"), self.text("key"))

    @property
    def state(self) -> str:
        """One of `STATES`."""
        return self.text("state")

    @property
    def settled(self) -> bool:
        """Whether the pipeline is through with this state of the object."""
        return self.state in (DONE, FAILED)

    @property
    def size(self) -> int | None:
        """Bytes."""
        found = self.attributes.get("size")
        return int(found) if isinstance(found, Decimal) else None

    @property
    def counts(self) -> Mapping[str, int]:
        """Of a file that was processed: `rows`, `results` and `rejects`."""
        found = self.attributes.get("counts")
        if not isinstance(found, dict):
            return {}
        return {name: int(n) for name, n in found.items() if isinstance(n, Decimal)}

    @property
    def manifest(self) -> ObjectPath | None:
        """Where the list of a file's results lies, once it is done."""
        match self.attributes.get("manifest"):
            case {"bucket": str(bucket), "key": str(key)}:
                return ObjectPath(bucket, key)
        return None

    @property
    def reason(self) -> str:
        """Why it failed, in a sentence; empty where it did not."""
        match self.attributes.get("reason"):
            case {"type": str(kind), "message": str(message)}:
                return f"{kind}: {message}"
        return ""

    @property
    def errors(self) -> tuple[str, ...]:
        """Every single reason."""
        match self.attributes.get("reason"):
            case {"errors": [*errors]}:
                return tuple(map(str, errors))
        return ()

    def text(self, name: str) -> str:
        """Attribute `name` as text, empty where the entry has none."""
        return str(self.attributes.get(name, ""))

    def is_of(self, version_id: str | None, etag: str) -> bool:
        """Whether this is the state that S3 gave this version, or without versions this ETag."""
        known = self.text("version_id")
        if version_id is not None and known:
            return known == version_id
        return self.text("etag").strip('"') == etag.strip('"')


@dataclass(frozen=True)
class Catalog:
    """The entries of one catalog table."""

    dynamodb: DynamoDBClient
    table_name: str

    def get(self, path: ObjectPath) -> Entry | None:
        """The entry of an object, strongly consistent."""
        response = self.dynamodb.get_item(
            TableName=self.table_name, Key={KEY: {"S": str(path)}}, ConsistentRead=True
        )
        return Entry(items.attributes_of(response["Item"])) if "Item" in response else None

    def find(self, path: ObjectPath) -> Entry:
        """The entry of an object.

        Raises:
            NotFoundError: the catalog has none.
        """
        entry = self.get(path)
        if entry is None:
            msg = f"the catalog knows no object '{path}': see 'pipelinectl objects list'"
            raise NotFoundError(msg)
        return entry

    def newest(self, limit: int, *, state: str | None = None) -> list[Entry]:
        """The entries that changed last, newest first; reads the whole table."""
        return heapq.nlargest(limit, self._scan(state), key=lambda entry: entry.text("updated_at"))

    def _scan(self, state: str | None) -> Iterator[Entry]:
        only: dict[str, Any] = {}
        if state is not None:
            only = {
                "FilterExpression": "#state = :state",
                "ExpressionAttributeNames": {"#state": "state"},
                "ExpressionAttributeValues": {":state": {"S": state}},
            }
        paginator = self.dynamodb.get_paginator("scan")
        for page in paginator.paginate(TableName=self.table_name, **only):
            for attributes in page["Items"]:
                yield Entry(items.attributes_of(attributes))


def document(entry: Entry) -> dict[str, Any]:
    """An entry as JSON: all of its attributes, numbers exact."""
    return dict(entry.attributes)


class Kind(StrEnum):
    """What becomes of a row: one of these, as a line of JSON."""

    RESULTS = "results"
    REJECTS = "rejects"


@dataclass(frozen=True)
class Part:
    """What became of one range of the file; `size` is in bytes."""

    key: str
    size: int


@dataclass(frozen=True)
class FileRange:
    """A range of a file that is done: its bytes from `start` to before `end`, and its rows."""

    start: int
    end: int
    rows: int
    rejects: int


_HEADS = 8


@dataclass(frozen=True)
class Results:
    """All results, in one output bucket."""

    s3: S3Client
    bucket: str

    def parts(self, entry: Entry, kind: Kind) -> list[Part]:
        """The parts of one kind, in the order of the file's rows.

        Of a file that is done these are the manifest's. Of one that is not, those that are there.

        Raises:
            NotFoundError: there is none.
            OperationFailedError: one that the manifest names is not there any more.
        """
        sizes = {part.key: part.size for part in self._listed(f"{folder(entry)}{kind.value}/")}
        if not sizes:
            msg = (
                f"'{entry.path}' has no {kind.value}: it may be no file of many rows, or not "
                f"begun: see 'pipelinectl objects show {entry.path}'"
            )
            raise NotFoundError(msg)
        keys = self._named(entry.manifest, kind) if entry.manifest else list(sizes)
        if missing := [key for key in keys if key not in sizes]:
            msg = f"s3://{self.bucket}/{missing[0]} is gone: upload the file again to have it made"
            raise OperationFailedError(msg)
        return [Part(key, sizes[key]) for key in keys]

    def ranges(self, entry: Entry, limit: int) -> list[FileRange]:
        """The first ranges of a file that are done, at most `limit`, while it is worked on too."""
        prefix = f"{folder(entry)}{Kind.RESULTS.value}/"
        keys = [part.key for part in itertools.islice(self._listed(prefix), limit)]
        with ThreadPoolExecutor(_HEADS, thread_name_prefix="ranges") as pool:
            found = pool.map(self._range, keys)
            return [one for one in found if one is not None]

    def _range(self, key: str) -> FileRange | None:
        """What csv_file noted beside a part (src/csv_file/parts.py)."""
        noted = self.s3.head_object(Bucket=self.bucket, Key=key)["Metadata"]
        try:
            return FileRange(*(int(noted[name]) for name in ("start", "end", "rows", "rejects")))
        except (KeyError, ValueError):
            return None

    def chunks(self, parts: Iterable[Part]) -> Iterator[bytes]:
        """The content of the parts, one after the other."""
        for part in parts:
            body = self.s3.get_object(Bucket=self.bucket, Key=part.key)["Body"]
            yield from body.iter_chunks(CHUNK_BYTES)

    def lines(self, parts: Iterable[Part]) -> Iterator[str]:
        """The lines of the parts; no more is read than is asked for."""
        for part in parts:
            body = self.s3.get_object(Bucket=self.bucket, Key=part.key)["Body"]
            try:
                for line in body.iter_lines(CHUNK_BYTES):
                    yield line.decode(errors="replace")
            finally:
                body.close()

    def _listed(self, prefix: str) -> Iterator[Part]:
        """In the order of their keys, which begin with where the range starts in the file."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=prefix)
        for page in pages:
            for found in page.get("Contents", []):
                yield Part(found["Key"], found["Size"])

    def _named(self, manifest: ObjectPath, kind: Kind) -> list[str]:
        """The keys in the manifest; beside them may lie what an execution left that was stopped."""
        body = self.s3.get_object(Bucket=manifest.bucket, Key=manifest.key)["Body"].read()
        return [part[f"{kind.value}_key"] for part in json.loads(body)["parts"]]


def folder(entry: Entry) -> str:
    """The key prefix, in the output bucket, of what was made of this state of an object."""
    if entry.manifest is not None:
        return entry.manifest.key.rpartition("/")[0] + "/"
    return f"{entry.path.results_prefix}{entry.text('sequencer')}/"


def location(entry: Entry, bucket: str) -> ObjectPath:
    """Where all of it lies."""
    return ObjectPath(bucket, folder(entry))


@dataclass(frozen=True)
class Reject:
    """A rejected row: `document` has `row` and `line` in the file, `reason`, and `raw`."""

    document: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Its number among the rows, and its line in the file."""
        return f"row {self.document.get('row', '?')}, line {self.document.get('line', '?')}"

    @property
    def reasons(self) -> tuple[str, ...]:
        """Every single reason."""
        match self.document.get("reason"):
            case {"errors": [_, *_] as errors}:
                return tuple(map(str, errors))
            case {"message": str(message)}:
                return (message,)
        return ()

    @property
    def raw(self) -> str:
        """The row as it stands in the file, the beginning of it if it is long."""
        return str(self.document.get("raw", ""))


def read(line: str) -> Reject:
    """The rejected row in a line; one that is no JSON object is shown as it is."""
    try:
        document = exact_json.loads(line)
    except exact_json.JsonError:
        document = None
    return Reject(document if isinstance(document, dict) else {"raw": line})


_PAUSE_SECONDS = 1.0


def settled(
    catalog: Catalog,
    uploads: Iterable[Uploaded],
    seconds: float,
    is_newest: Callable[[Uploaded], bool],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Uploaded, Entry | None]]:
    """Each upload with its entry as soon as the pipeline is through with it.

    An entry of an older state of the object is not the one waited for. Where there is none for an
    upload any more, as it is not the newest state of its object, it comes with None. Ends after so
    many `seconds`, without the uploads that were not settled by then.
    """
    pending = list(uploads)
    give_up_at = clock() + seconds
    while pending:
        for upload in list(pending):
            entry = catalog.get(upload.path)
            if entry is None:
                continue
            if not entry.is_of(upload.version_id, upload.etag):
                if not is_newest(upload):
                    pending.remove(upload)
                    yield upload, None
            elif entry.settled:
                pending.remove(upload)
                yield upload, entry
        if not pending or clock() + _PAUSE_SECONDS > give_up_at:
            return
        sleep(_PAUSE_SECONDS)
