"""The results of objects in the output bucket: one folder per state, named by its sequencer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from shared.objects import SEQUENCER_DIGITS, ObjectId

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

MAX_KEYS = 1000
# https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html

_FOLDER = re.compile(rf"[0-9A-F]{{{SEQUENCER_DIGITS}}}")


class NotDeleted(Exception):  # noqa: N818 - reads as what it is, in logs
    """S3 did not delete some results; another attempt deletes what is left."""


@dataclass(frozen=True)
class Results:
    """The output bucket."""

    client: S3Client
    bucket: str

    def remove_before(self, object_id: ObjectId, sequencer: str) -> int:
        """Remove the results of the object's states earlier than ``sequencer``; how many objects.

        Raises:
            NotDeleted: names how many are left, and one of them.
        """
        keys = self._before(object_id, sequencer)
        removed = 0
        while batch := list(islice(keys, MAX_KEYS)):
            self._delete(batch)
            removed += len(batch)
        return removed

    def _before(self, object_id: ObjectId, sequencer: str) -> Iterator[str]:
        prefix = object_id.results_prefix
        for key in self._keys(prefix):
            folder, slash, _ = key.removeprefix(prefix).partition("/")
            if folder >= sequencer:
                return  # keys are listed in order: the results that stay are never listed through
            if slash and _FOLDER.fullmatch(folder):
                yield key

    def _keys(self, prefix: str) -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix
        )
        for page in pages:
            for found in page.get("Contents", []):
                yield found["Key"]

    def _delete(self, keys: Sequence[str]) -> None:
        response = self.client.delete_objects(
            Bucket=self.bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True}
        )
        if errors := response.get("Errors"):
            first = errors[0]
            raise NotDeleted(
                f"{len(errors)} results in {self.bucket} are left, such as {first.get('Key')}: "
                f"{first.get('Code')} {first.get('Message')}"
            )
