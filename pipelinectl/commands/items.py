"""`pipelinectl items`."""

from typing import Annotated

import typer

from pipelinectl.commands.context import JsonFlag, open_pipeline
from pipelinectl.commands.output import counted, note, out, print_json
from pipelinectl.errors import NotFoundError, UsageError
from pipelinectl.items import Item, Items

_DEFAULT_LIMIT = 50


def items(
    ctx: typer.Context,
    *,
    execution_id: Annotated[
        str | None, typer.Option("--id", help="The whole item with this execution_id.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="Only items with this data_source, as it is stored (transformed)."
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many.")] = (
        _DEFAULT_LIMIT
    ),
    count: Annotated[bool, typer.Option("--count", help="Only say how many there are.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what the pipeline stored, one item a record.

    Items come in the table's own order, which is none. With --json: an array of items, one item
    with --id, {"count": N} with --count; numbers keep every digit.

    Examples:
    - `pipelinectl items --source TEST.CSV --limit 5`
    - `pipelinectl items --id local-7c2f --json`
    """
    _check(execution_id, source, counting=count)
    table = open_pipeline(ctx, quiet=as_json).items
    if execution_id is not None:
        _show_one(table, execution_id)
    elif count:
        _show_count(table.count(source=source), as_json=as_json)
    else:
        _show_some(list(table.scan(source=source, limit=limit)), limit, as_json=as_json)


def _check(execution_id: str | None, source: str | None, *, counting: bool) -> None:
    if execution_id is not None and (source is not None or counting):
        msg = "--id names one item: give it without --source and --count"
        raise UsageError(msg)


def _show_one(table: Items, execution_id: str) -> None:
    item = table.get(execution_id)
    if item is None:
        msg = f"no item '{execution_id}': it may be a dead letter, see 'pipelinectl dlq list'"
        raise NotFoundError(msg)
    print_json(item.attributes)


def _show_count(count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"count": count})
    else:
        typer.echo(count)


def _show_some(found: list[Item], limit: int, *, as_json: bool) -> None:
    if as_json:
        print_json([item.attributes for item in found])
        return
    from pipelinectl.commands.output import items_table

    if found:
        out().print(items_table(found))
    more = ", there may be more: --limit" if len(found) == limit else ""
    note(f"{counted(len(found), 'item')}{more}")
