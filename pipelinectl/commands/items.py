"""`pipelinectl items`."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from pipelinectl.commands.context import TIME, JsonFlag, Limit, limit_of, moment, open_pipeline
from pipelinectl.commands.output import (
    Listed,
    groups_document,
    groups_table,
    listed,
    out,
    print_json,
    size,
    table,
    tell_count,
    visible,
)
from pipelinectl.commands.watching import Watch, show
from pipelinectl.errors import NotFoundError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.items import ALL, Only
from pipelinectl.sending import check_group

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from pipelinectl.commands.context import Pipeline
    from pipelinectl.items import Item
    from pipelinectl.record import Life

_DEFAULT_LIMIT = 50


def items_table(items: Iterable[Item]) -> Table:
    """One line an item; what was made of the record is cut to the width there is."""
    names = ("execution_id", "data_source", "type", "processed", "transformed")
    found = table(*names, spare=("type", "transformed"))
    for item in items:
        found.add_row(
            Text(visible(item.execution_id)),
            Text(visible(item.text("data_source"))),
            Text(visible(item.text("processing_type"))),
            Text(visible(item.text("processed_at")[5:19].replace("T", " "))),
            Text(visible(_transformed(item)), style="dim"),
        )
    return found


def _transformed(item: Item) -> str:
    """What was made of the record, or where that lies if it is too large for an item."""
    match item.attributes.get("transformed_data_pointer"):
        case {"bucket": bucket, "key": key, "size": Decimal() as count}:
            return f"{size(int(count))} in s3://{bucket}/{key}"
    return dumps(item.attributes.get("transformed_data"), indent=None)


def items(
    ctx: typer.Context,
    *,
    execution_id: Annotated[
        str | None,
        typer.Option(
            "--id",
            help="The whole item of this record, by any id that 'record' takes, or its beginning.",
        ),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--source", help="Only items with this data_source, as it is stored (transformed)."
        ),
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only items of this processing type.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Only items of records sent in this group.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", help=f"Only items stored since then: {TIME}")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only items stored before then.")
    ] = None,
    limit: Limit = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many there are.")] = False,
    by_group: Annotated[
        bool, typer.Option("--by-group", help="Only say how many there are of each group.")
    ] = False,
    watch: Watch = False,
    as_json: JsonFlag = False,
) -> None:
    """Show what the pipeline stored, one item a record.

    An execution_id names a record and its item; a durable execution has a name and an ARN.

    Items come in the table's own order, which is none; 50 of them unless --limit says how many.
    A group is the MessageGroupId that a record was sent in, such as a tenant's name. With --json:
    an array of items, one item with --id, {"count": N} with --count, with --by-group an array of
    {"message_group_id": "...", "items": N}; numbers keep every digit. Where a record has no item,
    --id says what is known of it instead, and exits with 1.

    Examples:
    - `pipelinectl items --source TEST.CSV --limit 5`
    - `pipelinectl items --type order --since 1h --count`
    - `pipelinectl items --id local-7c2f --json`
    - `pipelinectl items --by-group`
    """
    if group is not None:
        check_group(group)
    only = Only(source, type_, moment("--since", since), moment("--until", until), group)
    _check(execution_id, narrowed=only != ALL, counting=count or by_group)
    if execution_id is not None and watch:
        msg = "--watch is for lists: 'record' tells what becomes of one"
        raise UsageError(msg)
    pipeline = open_pipeline(ctx, quiet=as_json)
    stored = pipeline.items
    if execution_id is not None:
        _show_one(pipeline, execution_id)
        return

    def look() -> None:
        if by_group:
            _show_groups(stored.by_group(only), as_json=as_json)
        elif count:
            _show_count(stored.count(only), as_json=as_json)
        else:
            most = limit_of(limit, _DEFAULT_LIMIT, as_json=as_json)
            _show_some(listed(lambda most: stored.scan(only, most), most), as_json=as_json)

    show(look, watch=watch, as_json=as_json)


def _check(execution_id: str | None, *, narrowed: bool, counting: bool) -> None:
    if execution_id is not None and (narrowed or counting):
        msg = "--id names one item: give it without filters, --count and --by-group"
        raise UsageError(msg)


def _show_one(pipeline: Pipeline, reference: str) -> None:
    item = pipeline.items.get(reference)
    if item is None:
        life = pipeline.records.life(reference)
        item = life.item
        if item is None:
            raise NotFoundError(_without_item(life))
    print_json(item.attributes)


def _without_item(life: Life) -> str:
    """Where a record is that has no item."""
    known = f"record '{life.execution_id}' has no item"
    if life.dead_letters:
        letter = life.dead_letters[0]
        return f"{known}: it is a dead letter: see 'pipelinectl dlq show {letter.message_id}'"
    yet = " yet" if life.state == "on its way" else ""
    return f"{known}{yet}: it is {life.state}: see 'pipelinectl record {life.execution_id}'"


def _show_count(count: int, *, as_json: bool) -> None:
    if as_json:
        print_json({"count": count})
    else:
        typer.echo(count)


def _show_groups(groups: list[tuple[str, int]], *, as_json: bool) -> None:
    if as_json:
        print_json(groups_document("items", groups))
    else:
        out().print(groups_table("items", groups))


def _show_some(shown: Listed[Item], *, as_json: bool) -> None:
    if as_json:
        print_json([item.attributes for item in shown.found])
        return
    if shown.found:
        out().print(items_table(shown.found))
    tell_count(shown, "item")
