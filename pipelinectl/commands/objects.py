"""`pipelinectl objects`."""

import itertools
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from pipelinectl import catalog, results
from pipelinectl.catalog import Entry
from pipelinectl.commands.context import JsonFlag, Pipeline, open_pipeline
from pipelinectl.errors import NotFoundError
from pipelinectl.objects import resolve
from pipelinectl.rejects import Reject
from pipelinectl.rejects import read as read_reject
from pipelinectl.rendering.console import note, out, print_json
from pipelinectl.rendering.formatting import counted
from pipelinectl.results import Kind

app = typer.Typer(
    name="objects", no_args_is_help=True, help="See what became of files and other S3 objects."
)

_SHOWN_REJECTS = 10


class State(StrEnum):
    """States of an object, as the catalog has them."""

    RECEIVED = "received"
    PROCESSING = "processing"
    DONE = catalog.DONE
    FAILED = catalog.FAILED
    DELETED = "deleted"


@app.command("list")
def list_(
    ctx: typer.Context,
    *,
    state: Annotated[
        State | None,
        typer.Option("--state", case_sensitive=False, help="Only objects in this state."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List the objects that the pipeline knows, those that changed last first.

    Reads the whole catalog. With --json: an array of its entries.

    Examples:
    - `pipelinectl objects list --state failed`
    - `pipelinectl objects list --limit 5 --json`
    """
    pipeline = open_pipeline(ctx, quiet=as_json)
    found = pipeline.catalog.newest(limit, state=state.value if state else None)
    if as_json:
        print_json([catalog.document(entry) for entry in found])
        return
    from pipelinectl.rendering.objects import render_objects

    if found:
        for part in render_objects(found, pipeline.stack, datetime.now(UTC)):
            out().print(part)
    more = ", there may be more: --limit" if len(found) == limit else ""
    note(f"{counted(len(found), 'object')}{more}")


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
        int, typer.Option("--limit", min=1, help="So many of the rejected rows.")
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
    entry = pipeline.catalog.find(resolve(reference, pipeline.stack))
    rejected = _rejected(pipeline, entry, limit) if rejects else None
    place = results.location(entry, pipeline.stack.output_bucket)
    if as_json:
        print_json(_document(entry, f"s3://{place}", rejected))
        return
    from pipelinectl.rendering.objects import render_object

    for part in render_object(entry, place, rejected, datetime.now(UTC)):
        out().print(part)


def _rejected(pipeline: Pipeline, entry: Entry, limit: int) -> list[Reject]:
    """The first rejected rows; none of an object that has no rows."""
    try:
        parts = pipeline.results.parts(entry, Kind.REJECTS)
    except NotFoundError:
        return []
    return [read_reject(line) for line in itertools.islice(pipeline.results.lines(parts), limit)]


def _document(entry: Entry, place: str, rejected: list[Reject] | None) -> dict[str, Any]:
    document = catalog.document(entry) | {"results": place}
    if rejected is not None:
        document["rejects"] = [reject.document for reject in rejected]
    return document
