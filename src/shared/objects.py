"""S3 objects: which one, in which state, and the names of what is derived from it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import NotRequired, TypedDict, cast

SEQUENCER_DIGITS = 32

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_READABLE = 64


class Pointer(TypedDict):
    """Where content lies: one state of one object, as functions pass it to each other.

    ``version_id`` and ``etag`` (without quotes) pin the state, where they are known; ``size`` is
    in bytes.
    """

    bucket: str
    key: str
    version_id: NotRequired[str]
    etag: NotRequired[str]
    size: NotRequired[int]


class ObjectState(Pointer):
    """One state of an object of which S3 told; ``sequencer`` orders the states of one key."""

    sequencer: str


@dataclass(frozen=True)
class ObjectId:
    """An object, whatever its state."""

    bucket: str
    key: str

    @classmethod
    def of(cls, pointer: Pointer) -> ObjectId:
        """The object that ``pointer`` points into."""
        return cls(pointer["bucket"], pointer["key"])

    @property
    def path(self) -> str:
        """``bucket/key``, the object's key in the catalog."""
        return f"{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """The last part of its key, for people, and a digest, for uniqueness: safe in any key.

        Keys hold any character and up to 1,024 bytes; what is derived from an object needs names
        that cannot be mistaken for those of another, and fit.
        """
        readable = _NOT_IN_NAMES.sub("_", self.key.rsplit("/", 1)[-1])[-_MAX_READABLE:]
        digest = hashlib.sha256(self.path.encode()).hexdigest()[:16]
        return f"{readable}-{digest}"

    def execution_id(self, environment: str) -> str:
        """The key of its item: the same for all of its states, so that the newest replaces."""
        return f"{environment}-{self.name}"

    @property
    def results_prefix(self) -> str:
        """Below it, in the output bucket, lies all that was made of it, one folder per state."""
        return f"results/{self.name}/"


def results_folder(state: ObjectState) -> str:
    """The key prefix, in the output bucket, of what was made of one state of an object."""
    return f"{ObjectId.of(state).results_prefix}{state['sequencer']}/"


def derived_folder(pointer: Pointer | ObjectState) -> str:
    """The key prefix, in the output bucket, of what a record's document becomes.

    For a state that S3 told of it is `results_folder`, which goes with the object. What a message
    points to is the message's, whatever becomes of the object.
    """
    if "sequencer" in pointer:
        return results_folder(cast("ObjectState", pointer))
    return f"payloads/{ObjectId.of(pointer).name}/{pointer.get('etag') or '-'}/"


def normalized_sequencer(sequencer: str) -> str:
    """``sequencer`` so that comparing as text tells which event came later.

    S3 gives hexadecimal numbers of varying length, to be compared as if the shorter one had zeros
    on its right: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return sequencer.upper().ljust(SEQUENCER_DIGITS, "0")
