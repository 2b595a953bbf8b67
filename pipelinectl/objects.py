"""S3 objects as the command line names them, and as the pipeline names what it makes of them."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pipelinectl.errors import UsageError

if TYPE_CHECKING:
    from pipelinectl.stack import Stack

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
