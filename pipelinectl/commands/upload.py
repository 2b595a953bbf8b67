"""`pipelinectl upload`."""

from base64 import b64encode
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pipeline_core.catalog import CatalogEntry
from pipeline_core.files import OF_CELLS, DecimalMark, EmptyCells, Encoding, Rows
from pipeline_core.objects import ObjectId
from pipelinectl import uploading
from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.commands.output import counted, note, print_json, progress, size, transfer, visible
from pipelinectl.errors import OperationFailedError, RejectedError, UsageError
from pipelinectl.objects import reason_of
from pipelinectl.uploading import ApiDoor, BucketDoor, Door, Source, Uploaded

_WAIT_SECONDS = 600
_SHOWN = 3
_TAB = "tab"


_OF_ROWS = {
    "processing-type": "--type",
    "data-source": "--data-source",
    "delimiter": "--delimiter",
    "empty-cells": "--empty-cells",
    "decimal": "--decimal",
    "encoding": "--encoding",
    "rows": "--rows",
}
"""The option for each of the metadata: all speak for rows, and some only for those of CSV."""


To = Literal["input", "messages", "direct"]
"""The ways in."""


def upload(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help=".csv, .jsonl or .json.")],
    *,
    to: Annotated[
        To,
        typer.Option(
            "--to",
            help="input: the bucket, through the queue. direct: the bucket, to the function at "
            "once. messages: through the uploads API, which needs no rights in a bucket.",
        ),
    ] = "input",
    key: Annotated[
        str | None,
        typer.Option(
            "--key",
            help="Key of one file below its door, or, if it ends with a slash, the folder of all; "
            "the file's name if not given.",
        ),
    ] = None,
    processing_type: Annotated[
        str | None, typer.Option("--type", help="Processing type of the rows.")
    ] = None,
    data_source: Annotated[
        str | None, typer.Option("--data-source", help="What the rows' data_source is.")
    ] = None,
    delimiter: Annotated[
        str | None,
        typer.Option(
            "--delimiter", help="What separates the columns of CSV: one character, or tab."
        ),
    ] = None,
    empty_cells: Annotated[
        EmptyCells | None,
        typer.Option(
            "--empty-cells",
            help="What an empty cell of CSV means: absent, the record does not have the field "
            "(the default), or empty, the field is an empty text.",
        ),
    ] = None,
    decimal: Annotated[
        DecimalMark | None,
        typer.Option(
            "--decimal",
            help="What stands before the decimals of numbers in CSV: point (the default) or comma.",
        ),
    ] = None,
    encoding: Annotated[
        Encoding | None,
        typer.Option("--encoding", help="What the bytes of the file mean; utf-8 if not given."),
    ] = None,
    rows: Annotated[
        Rows | None,
        typer.Option(
            "--rows",
            help="What the rows become: results, lines of a file, or items, which are in the table "
            "as well; what the parameter FileRows says if not given.",
        ),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option(
            "--wait",
            help="Wait until the pipeline is done; exit with 1 if a file failed or was replaced, "
            "with 4 if rows were rejected.",
        ),
    ] = False,
    timeout: Annotated[
        int, typer.Option("--timeout", min=1, help="Wait at most this many seconds.")
    ] = _WAIT_SECONDS,
    as_json: JsonFlag = False,
) -> None:
    """Upload files for the pipeline to process: rows of CSV or JSON Lines, or a JSON document.

    The same key again is the same object in a newer state, which replaces what was made of the
    older one. With --json: {"uploads": [...]}, with --wait each with its entry in the catalog, null
    where the object was replaced or removed meanwhile.

    Examples:
    - `pipelinectl upload orders.csv --type order --wait`
    - `pipelinectl upload *.jsonl --to messages --data-source shop`
    - `pipelinectl upload export.csv --key 2026/03/orders.csv`
    - `pipelinectl upload *.csv --key 2026/03/ --empty-cells empty`
    - `pipelinectl upload export.csv --rows items --encoding cp1252 --decimal comma`
    """
    _check(files, to, key)
    metadata = {
        "processing-type": processing_type,
        "data-source": data_source,
        "delimiter": None if delimiter is None else _named(delimiter),
        "empty-cells": empty_cells,
        "decimal": decimal,
        "encoding": encoding,
        "rows": rows,
    }
    given = {name: value for name, value in metadata.items() if value is not None}
    sources = [_source(path, key, given) for path in files]
    for one in sources:
        for doubt in uploading.doubts(one.path, encoding or "utf-8", decimal or "point"):
            note(f"{one.path}: {doubt}")
    pipeline = open_pipeline(ctx, quiet=as_json, changes=True)
    uploads = _put_all(_door(pipeline, to, key), sources, quiet=as_json)
    entries = _wait(pipeline, uploads, timeout, quiet=as_json) if wait else {}
    if as_json:
        print_json({"uploads": [_document(one, entries) for one in uploads]})
    if wait:
        _judge(uploads, entries, timeout)


def _check(files: Sequence[Path], to: To, key: str | None) -> None:
    if key is not None and to == "messages":
        msg = "--key is for the bucket: the uploads API gives keys of its own: leave it out"
        raise UsageError(msg)
    if key is not None and not key.endswith("/") and len(files) > 1:
        msg = (
            f"--key names one object, and there are {len(files)} files: upload them one by one, "
            "or end it with a slash, so that it names a folder"
        )
        raise UsageError(msg)
    names = [path.name for path in files]
    if to != "messages" and (twice := {name for name in names if names.count(name) > 1}):
        msg = f"{min(twice)}: two files of this name would be one object: upload them one by one"
        raise UsageError(msg)


def _named(delimiter: str) -> str:
    """The delimiter as it can travel in a header, which loses a tab."""
    if delimiter == "\t":
        return _TAB
    if len(delimiter) != 1 and delimiter != _TAB:
        msg = f"--delimiter {delimiter!r}: give one character, or 'tab'"
        raise UsageError(msg)
    return delimiter


def _source(path: Path, key: str | None, metadata: dict[str, str]) -> Source:
    uploading.refuse_compressed(path.name)
    name = uploading.name_of(path, key)
    content_type = uploading.content_type(name)
    _refuse_ignored(name, metadata)
    travelling = {one: _in_ascii(value) for one, value in metadata.items()}
    return Source(path, uploading.size_of(path), content_type, travelling)


def _refuse_ignored(name: str, metadata: dict[str, str]) -> None:
    """Refuse what the pipeline would not look at, so that nobody thinks that it was done."""
    suffix = uploading.suffix_of(name)
    if suffix == ".csv":
        return
    ignored = [_OF_ROWS[one] for one in metadata if suffix == ".json" or one in OF_CELLS]
    if not ignored:
        return
    what = "one document, which names its own" if suffix == ".json" else "JSON, which has no cells"
    msg = f"{name}: {' and '.join(ignored)} cannot speak for it, it is {what}: leave it out"
    raise UsageError(msg)


def _in_ascii(value: str) -> str:
    """The value as it arrives through a header as it was: encoded by RFC 2047, as S3 does.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    if value.isascii() and value.isprintable() and value == value.strip() and "=?" not in value:
        return value
    return f"=?UTF-8?B?{b64encode(value.encode()).decode()}?="


def _door(pipeline: Pipeline, to: To, key: str | None) -> Door:
    if to == "messages":
        http = pipeline.connection.http("s3")
        return ApiDoor(pipeline.uploads_api, http, pipeline.stack.payload_bucket)
    return BucketDoor(pipeline.connection.s3, pipeline.stack.input_bucket, to, key)


def _put_all(door: Door, sources: Sequence[Source], *, quiet: bool) -> list[Uploaded]:
    """Upload one after the other, each with a progress bar, and say so at once unless `quiet`."""
    uploads: list[Uploaded] = []
    try:
        for source in sources:
            with transfer(f"uploading {source.path.name}", source.size, quiet=quiet) as advance:
                uploads.append(door.put(source, advance))
            if not quiet:
                typer.echo(_line(uploads[-1]))
    finally:
        if uploads and len(uploads) < len(sources):
            # Whoever interrupts, or loses the network, must know what is on its way already.
            note(f"{counted(len(uploads), 'file')} of {len(sources):,} had been uploaded")
    return uploads


def _line(one: Uploaded) -> str:
    return f"uploaded {one.source.path} ({size(one.source.size)}) as {one.object_id.key}"


def _wait(
    pipeline: Pipeline, uploads: Sequence[Uploaded], seconds: int, *, quiet: bool
) -> dict[ObjectId, CatalogEntry | None]:
    """The entries of what was settled in time, each told of as it comes unless `quiet`.

    None is that of an object that was replaced or removed meanwhile.
    """
    entries: dict[ObjectId, CatalogEntry | None] = {}
    is_newest = partial(uploading.is_newest, pipeline.connection.s3)
    with progress("waiting for the pipeline", len(uploads), quiet=quiet) as advance:
        for one, entry in uploading.settled(pipeline.catalog, uploads, seconds, is_newest):
            entries[one.object_id] = entry
            advance(1)
            if not quiet:
                typer.echo(f"{one.object_id.key}: {_outcome(entry)}")
    return entries


def _outcome(entry: CatalogEntry | None) -> str:
    if entry is None:
        return "replaced or removed meanwhile"
    return f"{entry['state']} {visible(_summary(entry))}".rstrip()


def _judge(
    uploads: Sequence[Uploaded], entries: dict[ObjectId, CatalogEntry | None], seconds: int
) -> None:
    failed = [at.key for at, one in entries.items() if one and one["state"] == "failed"]
    replaced = [at.key for at, one in entries.items() if one is None]
    pending = [one.object_id.key for one in uploads if one.object_id not in entries]
    if failed:
        msg = f"{counted(len(failed), 'object')} failed: see 'pipelinectl objects show {failed[0]}'"
        raise OperationFailedError(msg)
    if replaced:
        msg = (
            f"{counted(len(replaced), 'object')} replaced or removed meanwhile: "
            f"see 'pipelinectl objects show {replaced[0]}'"
        )
        raise OperationFailedError(msg)
    if pending:
        msg = (
            f"the pipeline is not done with {counted(len(pending), 'object')} after {seconds} s"
            f" ({', '.join(pending[:_SHOWN])}): see 'pipelinectl objects show {pending[0]}'"
        )
        raise OperationFailedError(msg)
    _judge_rows(entries)


def _judge_rows(entries: dict[ObjectId, CatalogEntry | None]) -> None:
    counts = {at.key: _rejects(one) for at, one in entries.items() if _rejects(one)}
    if counts:
        msg = (
            f"{counted(sum(counts.values()), 'row')} of {counted(len(counts), 'object')} rejected: "
            f"see 'pipelinectl objects show {next(iter(counts))} --rejects'"
        )
        raise RejectedError(msg)


def _rejects(entry: CatalogEntry | None) -> int:
    counts = entry and entry.get("counts")
    return counts["rejects"] if counts else 0


def _document(one: Uploaded, entries: dict[ObjectId, CatalogEntry | None]) -> dict[str, Any]:
    document: dict[str, Any] = {
        "file": str(one.source.path),
        "bucket": one.object_id.bucket,
        "key": one.object_id.key,
        "size": one.source.size,
        "etag": one.etag,
        "version_id": one.version_id,
        "upload_id": one.upload_id,
    }
    if one.object_id in entries:
        document["entry"] = entries[one.object_id]
    return document


def _summary(entry: CatalogEntry) -> str:
    """What became of an object, in a few words: its counts, or the reason."""
    if entry["state"] == "failed":
        return reason_of(entry) or "no reason was recorded"
    counts = entry.get("counts")
    if counts is None:
        return ""
    what = "item" if "items" in counts else "result"
    rows, results, rejects = counts["rows"], counts["results"], counts["rejects"]
    return f"{counted(rows, 'row')}, {counted(results, what)}, {counted(rejects, 'reject')}"
