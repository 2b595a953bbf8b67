"""`pipelinectl download`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from pipelinectl import objects
from pipelinectl.catalog import DONE
from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.errors import UsageError
from pipelinectl.http import CHUNK_BYTES
from pipelinectl.rendering.console import note, print_json
from pipelinectl.rendering.formatting import size
from pipelinectl.rendering.progress import transfer
from pipelinectl.results import Kind
from pipelinectl.uploads_api import refusal

_OK = 200


@dataclass(frozen=True)
class Content:
    """Something to download: its size in bytes, and its bytes as they come."""

    name: str
    size: int
    chunks: Iterator[bytes]


def download(
    ctx: typer.Context,
    reference: Annotated[
        str | None,
        typer.Argument(
            metavar="ID_OR_KEY",
            help="Id of an upload, or an object as input/KEY, direct/KEY or bucket/key.",
        ),
    ] = None,
    *,
    results: Annotated[
        str | None, typer.Option("--results", help="All results of this object, in its order.")
    ] = None,
    rejects: Annotated[
        str | None, typer.Option("--rejects", help="All rejected rows of this object.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file; to stdout if not given."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Download an upload, an object, or what was made of the rows of one, as it is.

    A file appears under its name only when all of it has come. With --json, which needs --output:
    {"file": ..., "bytes": N}.

    Examples:
    - `pipelinectl download --results input/orders.csv --output results.jsonl`
    - `pipelinectl download --rejects input/orders.csv | jq .reason`
    - `pipelinectl download 9b2e7c41d0a84f6c8e5d3a1b7f90c2e4.csv -o orders.csv`
    """
    if sum(given is not None for given in (reference, results, rejects)) != 1:
        msg = "say what to download: an id or a key, or one of --results KEY and --rejects KEY"
        raise UsageError(msg)
    if as_json and output is None:
        msg = "--json prints one document on stdout, and so would the content: give --output FILE"
        raise UsageError(msg)
    pipeline = open_pipeline(ctx, quiet=as_json or output is None)
    if reference is not None:
        content = _original(pipeline, reference)
    else:
        kind = Kind.RESULTS if results is not None else Kind.REJECTS
        content = _made(pipeline, results or rejects or "", kind)
    count = _write(content, output, quiet=as_json)
    if as_json:
        print_json({"file": str(output), "bytes": count})
    elif output is not None:
        typer.echo(f"downloaded {content.name} ({size(count)}) to {output}")


def _original(pipeline: Pipeline, reference: str) -> Content:
    """An upload through the API, which needs no rights in a bucket, or an object."""
    if objects.is_upload_id(reference):
        return _upload(pipeline, reference)
    path = objects.resolve(reference, pipeline.stack)
    response = pipeline.connection.s3.get_object(Bucket=path.bucket, Key=path.key)
    chunks = response["Body"].iter_chunks(CHUNK_BYTES)
    return Content(path.key, response["ContentLength"], chunks)


def _upload(pipeline: Pipeline, upload_id: str) -> Content:
    found = pipeline.uploads_api.find(upload_id)
    answer = pipeline.connection.http("s3").plain("GET", found.url, {})
    if answer.status != _OK:
        raise refusal(upload_id, answer)
    return Content(upload_id, found.size, answer.chunks(found.size))


def _made(pipeline: Pipeline, reference: str, kind: Kind) -> Content:
    """All parts of the results or rejects of an object."""
    entry = pipeline.catalog.find(objects.resolve(reference, pipeline.stack))
    parts = pipeline.results.parts(entry, kind)
    if entry.state != DONE:
        note(f"{entry.path} is {entry.state}: these are its {kind.value} so far")
    name = f"{kind.value} of {entry.path.key}"
    return Content(name, sum(part.size for part in parts), pipeline.results.chunks(parts))


def _write(content: Content, output: Path | None, *, quiet: bool) -> int:
    count = 0
    with (
        _target(output) as target,
        transfer(f"downloading {content.name}", content.size, quiet=quiet) as advance,
    ):
        for chunk in content.chunks:
            target.write(chunk)
            count += len(chunk)
            advance(len(chunk))
    return count


@contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    """What to write to: stdout, or a file beside `output` that becomes it in the end."""
    if output is None:
        yield sys.stdout.buffer
        return
    partial = output.with_name(f"{output.name}.part")
    try:
        with partial.open("wb") as target:
            yield target
        partial.replace(output)
    except OSError as error:
        msg = f"{output}: {error.strerror or error}: name a file that can be written"
        raise UsageError(msg) from error
    finally:
        partial.unlink(missing_ok=True)
