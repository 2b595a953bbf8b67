"""S3 with a folder beneath it: as much of the client as the csv_file function uses."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from botocore.exceptions import ClientError

ETAG = '"benchmark"'


class Body:
    """What GetObject answers with: up to ``size`` bytes of a file, from where it stands."""

    def __init__(self, content: IO[bytes], size: int) -> None:
        self._content = content
        self._left = size

    def read(self, size: int | None = None) -> bytes:
        """The next ``size`` bytes, or all that are left."""
        block = self._content.read(self._left if size is None else min(size, self._left))
        self._left -= len(block)
        return block

    def iter_chunks(self, size: int) -> Iterator[bytes]:
        """All that is left, in blocks."""
        while block := self.read(size):
            yield block

    def close(self) -> None:
        """Close the file."""
        self._content.close()


class FileStore:
    """A client whose objects are files; a bucket is a folder below ``root``."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get_object(self, **arguments: str) -> dict[str, Any]:
        """The object, or the Range of it that is asked for."""
        path = self._path(arguments)
        size = path.stat().st_size
        first, last = 0, size - 1
        if span := arguments.get("Range"):
            start, end = span.removeprefix("bytes=").split("-")
            first, last = int(start), min(int(end or last), last)
        content = path.open("rb")
        content.seek(first)
        length = last - first + 1
        body = Body(content, length)
        return {"Body": body, "ContentLength": length, "ETag": ETAG, "Metadata": {}}

    def head_object(self, **arguments: str) -> dict[str, Any]:
        """None of the results is there before it is written.

        Raises:
            ClientError: always.
        """
        raise ClientError({"Error": {"Code": "404", "Message": arguments["Key"]}}, "HeadObject")

    def put_object(self, Body: bytes | IO[bytes], **arguments: Any) -> Mapping[str, str]:  # noqa: N803 - boto3's
        """Write the object."""
        path = self._path(arguments)
        path.parent.mkdir(parents=True, exist_ok=True)
        source = io.BytesIO(Body) if isinstance(Body, bytes) else Body
        with path.open("wb") as target:
            shutil.copyfileobj(source, target)
        return {"ETag": ETAG}

    def _path(self, arguments: Mapping[str, str]) -> Path:
        return self._root / arguments["Bucket"] / arguments["Key"]
