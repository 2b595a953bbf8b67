"""Objects of the catalog: a list of them, and all of one."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Literal

import typer
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipeline_core.catalog import State
from pipeline_core.objects import ObjectId
from pipelinectl.aws import CHUNK_BYTES
from pipelinectl.commands import watching
from pipelinectl.commands.context import (
    TIME,
    JsonFlag,
    Limit,
    Pipeline,
    limit_of,
    moment,
    open_pipeline,
)
from pipelinectl.commands.output import (
    age,
    clock,
    facts,
    listed,
    note,
    print_json,
    print_parts,
    shorten,
    size,
    tell_count,
    titled,
    transfer,
    visible,
)
from pipelinectl.commands.watching import Watch
from pipelinectl.errors import NotFoundError, UsageError
from pipelinectl.objects import (
    Kind,
    Reject,
    find,
    folder,
    is_upload_id,
    newest,
    object_of,
    reason_of,
    reference_to,
    resolve,
)
from pipelinectl.objects import read as read_reject
from pipelinectl.uploading import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from pipeline_core.catalog import CatalogEntry
    from pipelinectl.aws import Stack


_STYLES = {"done": "green", "failed": "red", "processing": "cyan", "deleted": "dim"}
_INDENT = (0, 0, 0, 2)
_CONTENT_WIDTH = 300
_GAP = "  "
_COUNTS: tuple[Literal["rows", "results", "rejects"], ...] = ("rows", "results", "rejects")
_HEADER = ("state", "size", *_COUNTS, "age")


def render_objects(
    entries: Sequence[CatalogEntry], stack: Stack, now: datetime
) -> Iterator[RenderableType]:
    """One line an object, its name last as it may be long, and below it why it failed."""
    rows = [_cells(entry, now) for entry in entries]
    widths = [max(map(len, column)) for column in zip(_HEADER, *rows, strict=True)]
    yield _line(_HEADER, widths, "object", "dim")
    for entry, cells in zip(entries, rows, strict=True):
        name = visible(reference_to(object_of(entry), stack))
        yield _line(cells, widths, name, _STYLES.get(entry["state"], ""))
        if reason := reason_of(entry):
            yield Padding(Text(visible(reason), style="yellow"), _INDENT, expand=False)


def _cells(entry: CatalogEntry, now: datetime) -> tuple[str, ...]:
    counts = entry.get("counts")
    return (
        visible(entry["state"]),
        size(entry["size"]) if "size" in entry else "",
        *(f"{counts[name]:,}" if counts else "" for name in _COUNTS),
        _age(entry, now),
    )


def _line(cells: Sequence[str], widths: Sequence[int], name: str, style: str) -> Text:
    """State on the left in its style, numbers on the right, then the object's name."""
    state, *numbers = cells
    padded = [n.rjust(width) for n, width in zip(numbers, widths[1:], strict=True)]
    line = Text.assemble((state.ljust(widths[0]), style), _GAP, _GAP.join([*padded, name]))
    line.overflow = "fold"
    return line


def render_object(
    entry: CatalogEntry, bucket: str, rejects: Sequence[Reject] | None, now: datetime
) -> Iterator[RenderableType]:
    """State, counts, where its results are in the output `bucket`, reasons, rejected rows."""
    yield Text(visible(entry["object"]), style="bold")
    yield _known(entry, bucket, now)
    if "reason" in entry:
        reasons = entry["reason"].get("errors") or [reason_of(entry)]
        yield from titled("reasons", Text("\n".join(map(visible, reasons)), style="yellow"))
    if rejects is not None:
        yield from titled("rejected rows", _rejects(rejects))


def _known(entry: CatalogEntry, bucket: str, now: datetime) -> Table:
    changed, counts, manifest = _moment(entry), entry.get("counts"), entry.get("manifest")
    return facts(
        {
            "state": _state(entry),
            "changed": f"{clock(changed)} ({age(changed, now)} ago)" if changed else "",
            "size": size(entry["size"]) if "size" in entry else "",
            **({name: f"{counts[name]:,}" for name in _COUNTS} if counts else {}),
            "items": f"{counts['items']:,}" if counts and "items" in counts else "",
            "results in": visible(_results(entry, bucket)) if counts else "",
            "manifest": f"s3://{visible(ObjectId.of(manifest).path)}" if manifest else "",
            "execution_id": visible(entry.get("execution_id", "")),
            "version": visible(entry.get("version_id", "")),
        }
    )


def _results(entry: CatalogEntry, bucket: str) -> str:
    """Where all that was made of it lies."""
    return f"s3://{bucket}/{folder(entry)}"


def _rejects(rejects: Sequence[Reject]) -> Text:
    if not rejects:
        return Text("none", style="dim")
    text = Text()
    for reject in rejects:
        text.append(f"{visible(reject.place)}\n", style="bold")
        for reason in reject.reasons:
            text.append(f"  {visible(reason)}\n", style="yellow")
        text.append(f"  {visible(shorten(reject.raw, _CONTENT_WIDTH))}\n", style="dim")
    text.rstrip()
    return text


def _state(entry: CatalogEntry) -> Text:
    return Text(visible(entry["state"]), style=_STYLES.get(entry["state"], ""))


def _age(entry: CatalogEntry, now: datetime) -> str:
    moment = _moment(entry)
    return age(moment, now) if moment else ""


def _moment(entry: CatalogEntry) -> datetime | None:
    try:
        moment = datetime.fromisoformat(entry["updated_at"])
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


app = typer.Typer(
    name="objects", no_args_is_help=True, help="See what became of files and other S3 objects."
)

_SHOWN = 50
_SHOWN_REJECTS = 10


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        State | None,
        typer.Option("--state", case_sensitive=False, help="Only objects in this state."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help=f"Only those changed since then: {TIME}")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only those changed before then.")
    ] = None,
    limit: Limit = None,
    watch: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """List the objects that the pipeline knows, those that changed last first.

    Lists 50 unless --limit says how many, and reads the whole catalog. With --json: an array of
    its entries.

    Examples:
    - `pipelinectl objects list --state failed`
    - `pipelinectl objects list --limit 5 --json`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    most = limit_of(limit, _SHOWN, as_json=as_json)
    found = partial(
        newest, state=state, since=moment("--since", since), until=moment("--until", until)
    )

    def draw() -> None:
        shown = listed(lambda count: found(pipeline.catalog, count), most)
        if as_json:
            print_json(shown.found)
            return
        if shown.found:
            print_parts(render_objects(shown.found, pipeline.stack, datetime.now(UTC)))
        tell_count(shown, "object")

    watching.show(draw, watch=watch, as_json=as_json)


@app.command()
def show(
    ctx: typer.Context,
    reference: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="input/KEY, direct/KEY, bucket/key, or the id of an upload."
        ),
    ],
    *,
    rejects: Annotated[
        bool, typer.Option("--rejects", help="Also the first rejected rows, with their reasons.")
    ] = False,
    limit: Annotated[
        int, typer.Option("--limit", min=1, help="At most this many rejected rows.")
    ] = _SHOWN_REJECTS,
    as_json: JsonFlag = False,
) -> None:
    """Show what became of one object: its state, its counts, the reason, where its results are.

    With --json: its entry in the catalog, and "results": where they are; with --rejects also
    "rejects": the first rejected rows.

    Examples:
    - `pipelinectl objects show input/orders.csv`
    - `pipelinectl objects show input/orders.csv --rejects --limit 3`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    entry = find(pipeline.catalog, resolve(reference, pipeline.stack))
    rejected = _rejected(pipeline, entry, limit) if rejects else None
    bucket = pipeline.stack.output_bucket
    if as_json:
        print_json(_document(entry, bucket, rejected))
        return

    print_parts(render_object(entry, bucket, rejected, datetime.now(UTC)))


def _rejected(pipeline: Pipeline, entry: CatalogEntry, limit: int) -> list[Reject]:
    """The first rejected rows; none of an object that has no rows."""
    try:
        parts = pipeline.results.parts(entry, "rejects")
    except NotFoundError:
        return []
    return [read_reject(line) for line in itertools.islice(pipeline.results.lines(parts), limit)]


def _document(entry: CatalogEntry, bucket: str, rejected: list[Reject] | None) -> dict[str, Any]:
    document: dict[str, Any] = {**entry, "results": _results(entry, bucket)}
    if rejected is not None:
        document["rejects"] = [reject.document for reject in rejected]
    return document


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
        kind: Kind = "results" if results is not None else "rejects"
        content = _made(pipeline, results or rejects or "", kind)
    count = _write(content, output, quiet=as_json)
    if as_json:
        print_json({"file": str(output), "bytes": count})
    elif output is not None:
        typer.echo(f"downloaded {content.name} ({size(count)}) to {output}")


def _original(pipeline: Pipeline, reference: str) -> Content:
    """An upload through the API, which needs no rights in a bucket, or an object."""
    if is_upload_id(reference):
        return _upload(pipeline, reference)
    found = resolve(reference, pipeline.stack)
    response = pipeline.connection.s3.get_object(Bucket=found.bucket, Key=found.key)
    chunks = response["Body"].iter_chunks(CHUNK_BYTES)
    return Content(found.key, response["ContentLength"], chunks)


def _upload(pipeline: Pipeline, upload_id: str) -> Content:
    found = pipeline.uploads_api.find(upload_id)
    answer = pipeline.connection.http("s3").plain("GET", found.url, {})
    if answer.status != _OK:
        raise refusal(upload_id, answer)
    return Content(upload_id, found.size, answer.chunks(found.size))


def _made(pipeline: Pipeline, reference: str, kind: Kind) -> Content:
    """All parts of the results or rejects of an object."""
    entry = find(pipeline.catalog, resolve(reference, pipeline.stack))
    parts = pipeline.results.parts(entry, kind)
    if entry["state"] != "done":
        note(f"{entry['object']} is {entry['state']}: these are its {kind} so far")
    name = f"{kind} of {entry['key']}"
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
