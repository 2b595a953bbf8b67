"""Upload files to the pipeline: into the input bucket, or through the uploads API."""

from __future__ import annotations

import codecs
import json
import re
import time
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Protocol

from pipeline_core.files import COMPRESSED, CONTENT_TYPES, DecimalMark, Encoding
from pipeline_core.objects import MAX_KEY_BYTES, ObjectId
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path
    from typing import IO

    from mypy_boto3_s3.client import S3Client

    from pipeline_core.catalog import Catalog, CatalogEntry
    from pipelinectl.aws import Answer, SignedHttp


DEFAULT_STAGE = "$default"

_OLDER_API = 404
_SUCCESSES = range(200, 300)


@dataclass(frozen=True)
class Upload:
    """A place for one object: `headers` must be sent with it exactly as they are."""

    id: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Download:
    """Where an upload is to be had; `size` is in bytes."""

    id: str
    url: str
    size: int


@dataclass(frozen=True)
class UploadsApi:
    """The API whose paths begin with `url`."""

    http: SignedHttp
    url: str

    def create(self, size: int, content_type: str, metadata: Mapping[str, str]) -> Upload:
        """Ask for a place for `size` bytes.

        Raises:
            OperationFailedError: the API refuses.
            UnreachableError: it does not answer.
        """
        request = {"size": size, "content_type": content_type, "metadata": dict(metadata)}
        document = self._call("POST", "/uploads", json.dumps(request).encode())
        return Upload(document["id"], document["url"], document["headers"])

    def find(self, upload_id: str) -> Download:
        """Where the upload with this id is to be had.

        Raises:
            NotFoundError: there is none.
            OperationFailedError: the API refuses.
            UnreachableError: it does not answer.
        """
        document = self._call("GET", f"/uploads/{upload_id}", b"")
        return Download(document["id"], document["url"], document["size"])

    def _call(self, method: str, path: str, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        answer = self.http.signed(method, self.url.rstrip("/") + path, headers, body)
        content = answer.content()
        if answer.status == _OLDER_API:
            raise NotFoundError(f"uploads API: {_said(content)}")
        if answer.status not in _SUCCESSES:
            raise OperationFailedError(f"uploads API: {answer.status}: {_said(content)}")
        return json.loads(content)


def local_url(api_id: str, endpoint_url: str) -> str:
    """Where a local cloud has an API of its own: no name of it need be known, nor resolved.

    https://docs.localstack.cloud/aws/services/apigateway/ describes the path, ministack has it too.
    """
    return f"{endpoint_url.rstrip('/')}/_aws/execute-api/{api_id}/{DEFAULT_STAGE}"


def refusal(what: str, answer: Answer) -> OperationFailedError:
    """S3's answer to a presigned request that it refused; the code is in its XML."""
    content = answer.content().decode(errors="replace")
    code = content.partition("<Code>")[2].partition("</Code>")[0] or "no reason given"
    return OperationFailedError(
        f"{what}: S3 refused with {answer.status} {code}: try again, a presigned URL ends soon"
    )


def _said(content: bytes) -> str:
    """The message of an error of ours, or of API Gateway's own."""
    try:
        document = json.loads(content)
    except ValueError:
        return "an answer that is not JSON"
    match document:
        case {"error": {"message": str(message)}} | {"message": str(message)}:
            return " ".join(message.split())
    return "an error without a message"


_OK = 200
_NOT_FOUND = "404"


@dataclass(frozen=True)
class Source:
    """A file to upload, of `size` bytes; `metadata` becomes the object's."""

    path: Path
    size: int
    content_type: str
    metadata: Mapping[str, str]


@dataclass(frozen=True)
class Uploaded:
    """A file that is an object now, in the state that S3 gave this version and ETag.

    `version_id` is None in a bucket without versions; `upload_id` is the uploads API's, if it was
    that way.
    """

    source: Source
    object_id: ObjectId
    etag: str
    version_id: str | None = None
    upload_id: str | None = None


_SPREADSHEETS = frozenset({".xlsx", ".xlsm", ".xls", ".ods"})
_ZIP = b"PK\x03\x04"
_LOOKED_AT = 64 * 1024  # bytes; what is wrong with an export most often begins at its beginning
_NUMBER = r"(-?\d+,\d+)"
_DECIMAL_COMMA = re.compile(
    # Alone on its line it may be two columns.
    rf"""^{_NUMBER}[;\t] | [;\t]{_NUMBER}(?=[;\t\r\n]|\Z)
    | (?:^|[;\t,])"{_NUMBER}"(?=[;\t,\r\n]|\Z)""",
    re.MULTILINE | re.VERBOSE,
)


def doubts(
    path: Path, encoding: Encoding = "utf-8", decimal: DecimalMark = "point"
) -> Iterator[str]:
    """What the pipeline will probably not take as it is meant, each with its remedy.

    They are told by the first 64 KiB. Of the file `encoding` and `decimal` are said.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(_LOOKED_AT)
    except OSError:
        return  # uploading it says so
    if begins.startswith(_ZIP):
        yield "this is a spreadsheet or an archive, whatever its name: save it as CSV in UTF-8"
        return
    try:
        known = "utf-8-sig" if encoding == "utf-8" else encoding
        text = codecs.getincrementaldecoder(known)().decode(begins)
    except UnicodeDecodeError as error:
        if encoding == "utf-8":
            remedy = "if it is Windows-1252, as spreadsheets save it: --encoding cp1252"
        else:
            remedy = "give the --encoding that it has"
        yield f"byte {error.start} is not {encoding.upper()}; {remedy}"
        return
    if decimal == "comma":
        return
    if suffix_of(path.name) == ".csv" and (found := _DECIMAL_COMMA.search(text)):
        number = found[found.lastindex or 0]
        line = text.count("\n", 0, found.start(found.lastindex or 0)) + 1
        yield (
            f"line {line} has '{number}', which is a text and no number: write "
            f"{number.replace(',', '.')}, or upload it with --decimal comma"
        )


def content_type(key: str) -> str:
    """The content type of an object the pipeline reads, by the suffix of its key, or file name.

    Raises:
        UsageError: the pipeline does not read such objects.
    """
    refuse_compressed(key)
    if suffix_of(key) in _SPREADSHEETS:
        msg = f"{key} is a spreadsheet: save each sheet as CSV in UTF-8, and upload that"
        raise UsageError(msg)
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


def is_newest(s3: S3Client, upload: Uploaded) -> bool:
    """Whether the object was neither replaced nor removed since; without versions it counts so."""
    from botocore.exceptions import ClientError

    if upload.version_id is None:
        return True
    try:
        head = s3.head_object(Bucket=upload.object_id.bucket, Key=upload.object_id.key)
    except ClientError as error:
        if error.response["Error"]["Code"] != _NOT_FOUND:
            raise
        return False
    return head.get("VersionId") == upload.version_id


class Door(Protocol):
    """A way in."""

    def put(self, source: Source, advance: Callable[[int], None]) -> Uploaded:
        """Upload a file; `advance` takes how many more bytes have gone."""


@dataclass(frozen=True)
class BucketDoor:
    """The folder `prefix` of the input bucket; large files go in parts, several at once."""

    s3: S3Client
    bucket: str
    prefix: str
    key: str | None = None

    def put(self, source: Source, advance: Callable[[int], None]) -> Uploaded:
        """Upload to `<prefix>/<name>`, or to the name alone where it begins with the prefix.

        Raises:
            UsageError: the file cannot be read, or S3 does not take such a key.
        """
        object_id = ObjectId(self.bucket, self._key(source))
        options: Any = {"ContentType": source.content_type, "Metadata": dict(source.metadata)}
        with opened(source.path) as file:
            self.s3.upload_fileobj(
                file, object_id.bucket, object_id.key, ExtraArgs=options, Callback=advance
            )
        # A managed upload does not say which version it has made.
        head = self.s3.head_object(Bucket=object_id.bucket, Key=object_id.key)
        return Uploaded(source, object_id, head["ETag"].strip('"'), head.get("VersionId"))

    def _key(self, source: Source) -> str:
        name = name_of(source.path, self.key)
        key = name if name.startswith(f"{self.prefix}/") else f"{self.prefix}/{name}"
        if len(key.encode()) > MAX_KEY_BYTES:
            msg = f"{key[:60]}...: more than {MAX_KEY_BYTES} bytes: choose a shorter key (--key)"
            raise UsageError(msg)
        return key


@dataclass(frozen=True)
class ApiDoor:
    """The uploads API: it gives the key and a presigned URL, nobody needs rights in a bucket."""

    api: UploadsApi
    http: SignedHttp
    bucket: str

    def put(self, source: Source, advance: Callable[[int], None]) -> Uploaded:
        """Upload through a presigned URL.

        Raises:
            UsageError: the file cannot be read.
            OperationFailedError: the API or S3 refuses.
            UnreachableError: one of them does not answer.
        """
        upload = self.api.create(source.size, source.content_type, source.metadata)
        # So that S3 can refuse before all of it has gone.
        headers = dict(upload.headers) | {"Expect": "100-continue"}
        with opened(source.path) as file:
            body = _Metered(file, source, advance)
            answer = self.http.plain("PUT", upload.url, headers, body)
        if answer.status != _OK:
            raise refusal(str(source.path), answer)
        object_id = ObjectId(self.bucket, f"messages/{upload.id}")
        return Uploaded(source, object_id, answer.etag, upload_id=upload.id)


class _Metered:
    """Reads just the bytes that were announced, and tells how many have gone."""

    def __init__(self, file: IO[bytes], source: Source, advance: Callable[[int], None]) -> None:
        self._file = file
        self._source = source
        self._advance = advance
        self._left = source.size

    def read(self, size: int = -1) -> bytes:
        """The next bytes, none at the end."""
        wanted = self._left if size < 0 else min(size, self._left)
        content = self._file.read(wanted)
        if len(content) < wanted:
            msg = f"{self._source.path}: it became shorter while it was sent: upload it again"
            raise OperationFailedError(msg)
        self._left -= len(content)
        self._advance(len(content))
        return content


def name_of(path: Path, key: str | None) -> str:
    """What the file is called below its door: `key`, which may be a folder, or by its own name."""
    if key is None:
        return path.name
    return f"{key}{path.name}" if key.endswith("/") else key


def opened(path: Path) -> IO[bytes]:
    """The file, open for reading.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(path, error) from error


def size_of(path: Path) -> int:
    """Bytes of the file.

    Raises:
        UsageError: it is none, cannot be read, or is empty.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
    except OSError as error:
        raise unreadable(path, error) from error
    if size == 0:
        msg = f"{path}: the file is empty, and there is nothing to process: name another"
        raise UsageError(msg)
    return size


def unreadable(path: Path, error: OSError) -> UsageError:
    """The error that a file cannot be read."""
    return UsageError(f"{path}: {error.strerror or error}: name a file that can be read")


_PAUSE_SECONDS = 1.0


def settled(
    catalog: Catalog,
    uploads: Iterable[Uploaded],
    seconds: float,
    is_newest: Callable[[Uploaded], bool],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Uploaded, CatalogEntry | None]]:
    """Each upload with its entry as soon as the pipeline is done with it.

    An entry of an older state of the object is not the one waited for. Where there is none for an
    upload any more, as it is not the newest state of its object, it comes with None. Ends after so
    many `seconds`, without the uploads that were not settled by then.
    """
    pending = list(uploads)
    give_up_at = clock() + seconds
    while pending:
        for upload in list(pending):
            entry = catalog.get(upload.object_id)
            if entry is None:
                continue
            if not _is_of(entry, upload):
                if not is_newest(upload):
                    pending.remove(upload)
                    yield upload, None
            elif entry["state"] in ("done", "failed"):
                pending.remove(upload)
                yield upload, entry
        if not pending or clock() + _PAUSE_SECONDS > give_up_at:
            return
        sleep(_PAUSE_SECONDS)


def _is_of(entry: CatalogEntry, upload: Uploaded) -> bool:
    """Whether it is of the state that was uploaded, by its version or else by its ETag."""
    known = entry.get("version_id")
    if upload.version_id is not None and known:
        return known == upload.version_id
    return entry.get("etag", "").strip('"') == upload.etag
