"""`pipelinectl reprocess`: stored records through the pipeline again, and what that has changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from pipelinectl.commands.context import TIME, JsonFlag, Note, Pipeline, moment, open_pipeline
from pipelinectl.commands.output import (
    counted,
    note,
    print_json,
    print_parts,
    progress,
    shorten,
    table,
    titled,
    visible,
)
from pipelinectl.commands.send import refusal, refusals_document, untold
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.items import Only
from pipelinectl.reprocess import Kept, Reprocess, Waiting
from pipelinectl.sending import Pace, check_group

if TYPE_CHECKING:
    from rich.console import RenderableType

    from pipelinectl.items import Items
    from pipelinectl.reprocess import Change, Reprocessed, Skipped

_SLOWEST = 0.1
_WAIT_SECONDS = 600
_SHOWN = 3
_WIDTH = 60


def reprocess(
    ctx: typer.Context,
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID...]", help="execution_ids of items.")
    ] = None,
    *,
    source: Annotated[
        str | None, typer.Option("--source", help="Only with this data_source, as it is stored.")
    ] = None,
    type_: Annotated[
        str | None, typer.Option("--type", help="Only of this processing type.")
    ] = None,
    group: Annotated[
        str | None, typer.Option("--group", help="Only of records sent in this group.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", help=f"Only stored since then: {TIME}"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Only stored before then; now, if not given.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are stored by now.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say which would go again.")
    ] = False,
    rate: Annotated[
        float | None,
        typer.Option("--rate", min=_SLOWEST, help="Send at most this many records a second."),
    ] = None,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait for what becomes of them, and say what changed.")
    ] = False,
    timeout: Annotated[
        float, typer.Option("--timeout", min=0, help="Seconds to wait, at most, after sending.")
    ] = _WAIT_SECONDS,
    why: Note = None,
    as_json: JsonFlag = False,
) -> None:
    """Take stored records through the pipeline again, after a transform was corrected.

    Each goes to the internal queue, made of what its item keeps of the original, and replaces that
    item only if nothing newer has come meanwhile. An object goes by an event, if it is still there
    as it was; results of files are made anew. What is rejected now is a dead letter, and its item
    stays as it was. None is sent without its audit line. Interrupted, it can be run again: with the
    --until that it then names it leaves out what is done. With --json: one object with "sent",
    "refused", "skipped", "gone", and with --wait "changes".

    Examples:
    - `pipelinectl reprocess --type order --since 2026-03-01 --dry-run`
    - `pipelinectl reprocess --source SHOP --rate 50 --wait --note "VAT of returns was wrong"`
    - `pipelinectl reprocess local-7c2f9a52-5a1e-4a58-9d5e-0f2b1f6f5c3d --wait`
    """
    _check(ids or [], (source, type_, group), (since, until), every=every)
    started = datetime.now(UTC)
    if group is not None:
        check_group(group)
    asked = Only(source, type_, moment("--since", since), moment("--until", until), group)
    only = replace(asked, until=asked.until or started)
    pipeline = open_pipeline(ctx, quiet=as_json, changes=not dry_run)
    chosen = _named(pipeline, ids, asked) if ids else list(pipeline.items.keys(only))
    if dry_run:
        _show(chosen, as_json=as_json)
        return
    changes = Changes(every=as_json) if wait else None
    with Kept() as kept:
        plan = Reprocess(
            pipeline.items,
            pipeline.sources,
            pipeline.resender,
            pipeline.audit,
            Pace(rate),
            still=only.takes,
            note=why,
            kept=kept if wait else None,
        )
        # What was done is stored after the start: a later time would not leave it out.
        _run(plan, chosen, min(only.until or started, started), quiet=as_json)
        if not as_json:
            _tell_of_sent(plan.done, len(chosen))
        try:
            if changes is not None:
                _wait(pipeline, plan.done, timeout, changes, quiet=as_json)
        finally:
            if as_json:
                print_json(_document(plan.done, changes))
            elif changes is not None:
                print_parts(changes.render())
    _judge(plan.done, changes, named=bool(ids))


def _check(
    ids: Sequence[str], filters: Sequence[str | None], times: Sequence[str | None], *, every: bool
) -> None:
    """Times alone choose as well, and narrow whatever else does."""
    ways = sum((bool(ids), any(filters), every))
    if ways > 1 or not (ways or any(times)):
        msg = (
            "say which records: execution_ids, or --all, or any of --source, --type, --group, "
            "--since and --until, the last two of which may stand beside the others"
        )
        raise UsageError(msg)


def _named(pipeline: Pipeline, ids: Sequence[str], asked: Only) -> list[str]:
    """The keys of the items that are named, which must be there, without those not asked for."""
    keys = [_key(pipeline.items, one, pipeline.stack.environment) for one in ids]
    if asked == Only():
        return list(dict.fromkeys(keys))
    wanted = {item.execution_id for item in pipeline.items.some(keys) if asked.takes(item)}
    chosen = [key for key in dict.fromkeys(keys) if key in wanted]
    if left_out := len(set(keys)) - len(chosen):
        note(f"{counted(left_out, 'record')} stored at another time: left out")
    return chosen


def _key(items: Items, reference: str, environment: str | None) -> str:
    candidates = (reference, f"{environment}-{reference}")
    existing = items.existing(candidates)
    for key in candidates:
        if key in existing:
            return key
    msg = f"no item '{reference}': see 'pipelinectl record {reference}' for what became of it"
    raise NotFoundError(msg)


def _show(chosen: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        print_json({"would_send": chosen})
        return
    for key in chosen[:_SHOWN]:
        typer.echo(visible(key))
    more = f" (and {len(chosen) - _SHOWN:,} more)" if len(chosen) > _SHOWN else ""
    note(f"would send {counted(len(chosen), 'record')}{more}; nothing was changed")


def _run(plan: Reprocess, chosen: Sequence[str], until: datetime, *, quiet: bool) -> None:
    complete = False
    try:
        with progress("reprocessing", len(chosen), quiet=quiet) as advance:
            for count in plan.run(chosen):
                advance(count)
        complete = True
    except KeyboardInterrupt:
        complete = True
        remedy = f"run it again with --until {until.isoformat()} for the others"
        msg = f"interrupted: {_summary(plan.done, len(chosen))}; {remedy}"
        raise KeyboardInterrupt(msg) from None
    finally:
        if plan.done.untold:
            note(untold(counted(len(plan.done.untold), "record")))
        if not complete:
            note(_summary(plan.done, len(chosen)))


def _wait(
    pipeline: Pipeline, done: Reprocessed, timeout: float, changes: Changes, *, quiet: bool
) -> None:
    waiting = Waiting(pipeline.items, pipeline.sources, pipeline.dead_letters)
    try:
        with progress("waiting for the pipeline", len(done.sent), quiet=quiet) as advance:
            for change in waiting.changes(done.sent, timeout):
                changes.add(change)
                advance(1)
    except KeyboardInterrupt:
        left = counted(len(done.sent) - changes.outcomes.total(), "record")
        msg = f"interrupted: {left} not waited for any longer; they go on"
        raise KeyboardInterrupt(msg) from None


def _summary(done: Reprocessed, total: int) -> str:
    return f"sent {len(done.sent):,} of {counted(total, 'record')}"


def _judge(done: Reprocessed, changes: Changes | None, *, named: bool) -> None:
    """Pass where what was wanted was done; what was named is wanted, all of it.

    Raises:
        OperationFailedError: it was not.
    """
    if done.refused:
        raise refusal(done.refused, "reprocess these again")
    if named and (left := len(done.skipped) + len(done.gone)):
        msg = f"{counted(left, 'record')} not sent, of those that were named: see the reasons"
        raise OperationFailedError(msg)
    if changes is not None:
        changes.require_success()


def _tell_of_sent(done: Reprocessed, total: int) -> None:
    typer.echo(_summary(done, total))
    if done.gone:
        note(f"{counted(len(done.gone), 'item')} changed since they were chosen, and stay")
    for reason, skipped in _by_reason(done.skipped).items():
        more = f", and {len(skipped) - 1:,} more" if len(skipped) > 1 else ""
        note(f"not sent: {visible(skipped[0].execution_id)}{more}: {visible(reason)}")


def _by_reason(skipped: Sequence[Skipped]) -> Mapping[str, list[Skipped]]:
    found: dict[str, list[Skipped]] = {}
    for one in skipped:
        found.setdefault(one.why, []).append(one)
    return found


@dataclass
class Changes:
    """What became of records, counted as it comes: of each field that has changed one example.

    With `every`, `all` are all of them.
    """

    every: bool
    all: list[Change] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    examples: dict[str, Text] = field(default_factory=dict)
    reasons: list[Text] = field(default_factory=list)

    def add(self, change: Change) -> None:
        """Count one."""
        self.all += [change] * self.every
        self.outcomes[change.what] += 1
        self.fields.update(change.fields.keys())
        for name in change.fields.keys() - self.examples.keys():
            self.examples[name] = _example(change, name)
        if change.reason and len(self.reasons) < _SHOWN:
            said = f"{visible(change.execution_id)}: {visible(change.reason)}"
            self.reasons.append(Text(said, style="yellow"))

    def render(self) -> Iterator[RenderableType]:
        """How many came to what, which fields have changed, and some of the records."""
        if not self.outcomes:
            return
        yield Text()
        outcomes = table("records", "outcome")
        outcomes.columns[0].justify = "right"
        for what, count in self.outcomes.most_common():
            outcomes.add_row(f"{count:,}", what)
        yield outcomes
        for name, count in self.fields.most_common():
            heading = f"{visible(name)} in {counted(count, 'record')}"
            yield from titled(heading, self.examples[name])
        yield from self.reasons

    def require_success(self) -> None:
        """Pass where all were stored.

        Raises:
            OperationFailedError: some are dead letters, or nothing is known of them yet.
        """
        counts = self.outcomes
        wrong = [f"{counts[what]:,} {what}" for what in ("dead letter", "waiting") if counts[what]]
        if wrong:
            told = ", ".join(wrong)
            msg = f"not all records were stored anew: {told}: see 'pipelinectl record ID'"
            raise OperationFailedError(msg)


def _example(change: Change, name: str) -> Text:
    before, after = (shorten(_written(value), _WIDTH) for value in change.fields[name])
    return Text.assemble(
        (f"{visible(change.execution_id)}: ", "dim"),
        (visible(before), "red"),
        " → ",
        (visible(after), "green"),
    )


def _written(value: Any) -> str:
    return value if isinstance(value, str) else dumps(value, indent=None)


def _document(done: Reprocessed, changes: Changes | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "sent": [
            {"execution_id": one.execution_id, "message_id": one.message_id} for one in done.sent
        ],
        "refused": refusals_document(done.refused),
        "skipped": [{"execution_id": one.execution_id, "why": one.why} for one in done.skipped],
        "gone": done.gone,
    }
    if changes is not None:
        document["changes"] = [
            {
                "execution_id": change.execution_id,
                "what": change.what,
                "fields": {
                    name: {"before": before, "after": after}
                    for name, (before, after) in change.fields.items()
                },
                "reason": change.reason or None,
            }
            for change in changes.all
        ]
    return document
