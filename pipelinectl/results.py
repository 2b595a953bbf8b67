"""What was made of a file: its results and rejects, in parts, in the output bucket."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from pipelinectl.errors import NotFoundError, OperationFailedError
from pipelinectl.http import CHUNK_BYTES
from pipelinectl.objects import ObjectPath

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_s3.client import S3Client

    from pipelinectl.catalog import Entry


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
