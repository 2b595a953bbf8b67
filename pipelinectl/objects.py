"""S3 objects: as the command line names them, what became of them, and what was made of them."""

from __future__ import annotations

import heapq
import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from pipeline_core import exact_json
from pipeline_core.files import UPLOAD_ID
from pipeline_core.objects import ObjectId, Pointer, results_folder
from pipelinectl.aws import CHUNK_BYTES
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from mypy_boto3_s3.client import S3Client

    from pipeline_core.catalog import Catalog, CatalogEntry, State
    from pipelinectl.aws import Stack


def resolve(reference: str, stack: Stack) -> ObjectId:
    """The object that `reference` means.

    That is `bucket/key` (`s3://bucket/key`), or a key behind one of the stack's doors
    (`input/orders.csv`), or the id of an upload.

    Raises:
        UsageError: it is none of these.
    """
    if is_upload_id(reference):
        return ObjectId(stack.payload_bucket, f"messages/{reference}")
    first, _, rest = reference.removeprefix("s3://").partition("/")
    if not first or not rest:
        msg = f"'{reference}' is no object: give bucket/key, input/KEY, or the id of an upload"
        raise UsageError(msg)
    if reference.startswith("s3://"):
        return ObjectId(first, rest)
    doors = _doors(stack)
    return ObjectId(doors[first], reference) if first in doors else ObjectId(first, rest)


def resolves_to(reference: str, stack: Stack) -> ObjectId | None:
    """The same, where `reference` may also be the id of something else; None if it is."""
    first = reference.removeprefix("s3://").partition("/")[0]
    buckets = (stack.input_bucket, stack.payload_bucket, stack.output_bucket)
    names_one = reference.startswith("s3://") or first in (*_doors(stack), *buckets)
    return resolve(reference, stack) if names_one or is_upload_id(reference) else None


def reference_to(object_id: ObjectId, stack: Stack) -> str:
    """The shortest that `resolve` takes for the object."""
    door, slash, _ = object_id.key.partition("/")
    behind_door = slash and _doors(stack).get(door) == object_id.bucket
    return object_id.key if behind_door else object_id.path


def _doors(stack: Stack) -> dict[str, str]:
    """The bucket behind each door."""
    inputs, payloads = stack.input_bucket, stack.payload_bucket
    return {"input": inputs, "direct": inputs, "messages": payloads}


def is_upload_id(reference: str) -> bool:
    """Whether it has the form of what the uploads API gives."""
    return UPLOAD_ID.fullmatch(reference) is not None


def find(catalog: Catalog, object_id: ObjectId) -> CatalogEntry:
    """The entry of an object.

    Raises:
        NotFoundError: the catalog has none.
    """
    entry = catalog.get(object_id)
    if entry is None:
        msg = f"the catalog knows no object '{object_id.path}': see 'pipelinectl objects list'"
        raise NotFoundError(msg)
    return entry


def newest(
    catalog: Catalog,
    limit: int | None,
    state: State | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[CatalogEntry]:
    """The entries that changed last, newest first, at most `limit`; reads the whole catalog.

    `since` and `until` are about when they changed.
    """
    entries = (e for e in catalog.entries(state) if _changed_between(e, since, until))
    if limit is None:
        return sorted(entries, key=_changed_at, reverse=True)
    return heapq.nlargest(limit, entries, key=_changed_at)


def _changed_between(entry: CatalogEntry, since: datetime | None, until: datetime | None) -> bool:
    if since is None and until is None:
        return True
    try:
        changed = datetime.fromisoformat(entry["updated_at"]).astimezone(UTC)
    except ValueError:
        return False
    return (since is None or changed >= since) and (until is None or changed < until)


def _changed_at(entry: CatalogEntry) -> str:
    return entry["updated_at"]


def object_of(entry: CatalogEntry) -> ObjectId:
    """The object that the entry is of."""
    return ObjectId(entry["bucket"], entry["key"])


def reason_of(entry: CatalogEntry) -> str:
    """Why it failed, in a sentence; empty where it did not."""
    reason = entry.get("reason")
    return f"{reason['type']}: {reason['message']}" if reason else ""


Kind = Literal["results", "rejects"]
"""What becomes of a row: one of these, as a line of JSON."""


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

_FOLDERS: Mapping[Kind, tuple[str, ...]] = {
    "results": ("results", "items"),
    "rejects": ("rejects",),
}
"""Where they lie in the folder of a state: the results of rows that became items apart."""


@dataclass(frozen=True)
class Results:
    """All results, in one output bucket."""

    s3: S3Client
    bucket: str

    def parts(self, entry: CatalogEntry, kind: Kind) -> list[Part]:
        """The parts of one kind, in the order of the file's rows.

        Of a file that is done these are the manifest's. Of one that is not, those that are there.

        Raises:
            NotFoundError: there is none.
            OperationFailedError: one that the manifest names is not there any more.
        """
        listed = (self._listed(f"{folder(entry)}{name}/") for name in _FOLDERS[kind])
        sizes = {part.key: part.size for part in itertools.chain.from_iterable(listed)}
        if not sizes:
            path = entry["object"]
            msg = (
                f"'{path}' has no {kind}: it may be no file of many rows, or not "
                f"begun: see 'pipelinectl objects show {path}'"
            )
            raise NotFoundError(msg)
        manifest = entry.get("manifest")
        keys = self._named(manifest, kind) if manifest else list(sizes)
        if missing := [key for key in keys if key not in sizes]:
            msg = f"s3://{self.bucket}/{missing[0]} is gone: upload the file again to have it made"
            raise OperationFailedError(msg)
        return [Part(key, sizes[key]) for key in keys]

    def ranges(self, entry: CatalogEntry, limit: int) -> list[FileRange]:
        """The first ranges of a file that are done, at most `limit`, while it is worked on too."""
        listed = (self._listed(f"{folder(entry)}{name}/") for name in _FOLDERS["results"])
        parts = itertools.islice(itertools.chain.from_iterable(listed), limit)
        keys = [part.key for part in parts]
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

    def _named(self, manifest: Pointer, kind: Kind) -> list[str]:
        """The keys in the manifest; beside them may lie what an execution left that was stopped."""
        body = self.s3.get_object(Bucket=manifest["bucket"], Key=manifest["key"])["Body"].read()
        return [part[f"{kind}_key"] for part in json.loads(body)["parts"]]


def folder(entry: CatalogEntry) -> str:
    """The key prefix, in the output bucket, of what was made of this state of an object."""
    if "manifest" in entry:
        return entry["manifest"]["key"].rpartition("/")[0] + "/"
    return results_folder(entry)


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
