"""What the demo shows: a pleasure in a terminal, plain lines where it is piped."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from pipelinectl import results
from pipelinectl.dead_letters import grouped
from pipelinectl.rendering.formatting import bar, counted, duration
from pipelinectl.rendering.objects import render_object
from pipelinectl.rendering.steps import step
from pipelinectl.rendering.tables import items_table, reasons_table, render_dead_letters
from pipelinectl.rendering.timeline import render_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console

    from pipelinectl.demonstration.chaos import Kill
    from pipelinectl.demonstration.files import FileAccount
    from pipelinectl.demonstration.settlement import Account, Tally
    from pipelinectl.items import Item
    from pipelinectl.timeline import Timeline

_BAR_WIDTH = 30
_PIPED_EVERY_SECONDS = 3.0

_LOOK_AROUND = (
    ("pipelinectl executions show last", "the timeline of the newest execution"),
    ("pipelinectl items --limit 5", "what was stored"),
    ("pipelinectl dlq list", "what was not, and why"),
    ("pipelinectl send --file events/orders.jsonl", "send your own"),
    ("pipelinectl local kill store", "break something yourself"),
    ("pipelinectl local logs durable-pipeline", "what the function logged"),
    ('eval "$(pipelinectl local env)"', "now the AWS CLI works, too"),
)
_MISSED = ("no invoke was hit", "dim")
_STOP = ("make down", "stop the local cloud")


class Show:
    """Prints the acts of the demo to one console."""

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()

    def act(self, title: str) -> None:
        """Begin a part of the demo."""
        self._console.print(f"\n[bold]{title}[/bold]")

    def say(self, text: str) -> None:
        """Say something in a plain line."""
        self._console.print(text, markup=False)

    def step(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        """A step that takes some seconds."""
        return step(self._console, what)

    def killed(self, kill: Kill) -> None:
        """Say whose workers were killed, and whether an execution felt it."""
        stages = ", ".join(f"{count} of {stage}" for stage, count in kill.workers.items())
        felt = (f"an invoke of {kill.struck.stage} failed", "yellow") if kill.struck else _MISSED
        line = Text.assemble(
            ("✗ ", "red"),
            f"killed workers ({stages}) while {counted(kill.running, 'execution')} ran: ",
            felt,
        )
        self._console.print(line)

    def tallies(self, tallies: Iterable[Tally]) -> None:
        """Show the counts as they change."""
        if self._console.is_terminal:
            self._live(tallies)
        else:
            for tally in self._thinned(tallies):
                self._console.print(_counts(tally))

    def timeline(self, timeline: Timeline, arn: str) -> None:
        """Show the timeline of one execution."""
        for part in render_timeline(timeline, arn, self._console.width):
            self._console.print(part)

    def items(self, items: Sequence[Item]) -> None:
        """Show a few items."""
        self._console.print(items_table(items))

    def dead_letters(self, account: Account) -> None:
        """Show how many dead letters there are of each reason, then each of them."""
        if not account.dead_letters:
            self.say("the dead-letter queue holds nothing of this run")
            return
        self._console.print(reasons_table(grouped(account.dead_letters)))
        self._console.print()
        for part in render_dead_letters(account.dead_letters, datetime.now(UTC)):
            self._console.print(part)

    def file(self, file: FileAccount, output_bucket: str) -> None:
        """Show the file's entry in the catalog, and why rows of it were rejected."""
        if file.entry is None:
            self.say("the pipeline is not through with it yet")
            return
        place = results.location(file.entry, output_bucket)
        for part in render_object(file.entry, place, file.rejects, datetime.now(UTC)):
            self._console.print(part)

    def summary(self, account: Account, file: FileAccount) -> None:
        """The sums that must come out."""
        self._sum(_sum(account), good=account.balanced)
        self._sum(_row_sum(file), good=file.balanced)
        self.say(f"counted one by one; {duration(self._clock() - self._began)} in all")

    def _sum(self, text: str, *, good: bool) -> None:
        mark = ("✓ ", "bold green") if good else ("✗ ", "bold red")
        self._console.print(Text.assemble(mark, (text, "bold")))

    def farewell(self, key: str) -> None:
        """How to look around, also at the object of that key, and how to stop."""
        look_around = (
            *_LOOK_AROUND,
            (f"pipelinectl download --results {key}", "the file's rows"),
            _STOP,
        )
        width = max(len(command) for command, _ in look_around)
        for command, meaning in look_around:
            self._console.print(
                Text.assemble("  ", (command.ljust(width), "cyan"), ("  " + meaning, "dim"))
            )

    def _live(self, tallies: Iterable[Tally]) -> None:
        with Live(console=self._console, refresh_per_second=10) as live:
            for tally in tallies:
                live.update(_counts_with_bar(tally))

    def _thinned(self, tallies: Iterable[Tally]) -> Iterator[Tally]:
        shown_at, last, shown = self._clock(), None, None
        for tally in tallies:
            last = tally
            if tally != shown and self._clock() - shown_at >= _PIPED_EVERY_SECONDS:
                shown_at, shown = self._clock(), tally
                yield tally
        if last is not None and last != shown:
            yield last


def _sum(account: Account) -> str:
    sign = "=" if account.balanced else "≠"
    stored, dead = len(account.stored), len(account.dead_letters)
    return f"sent {account.sent:,} {sign} {stored:,} stored + {dead:,} dead letters"


def _row_sum(file: FileAccount) -> str:
    sign = "=" if file.balanced else "≠"
    counts = (file.counts.get(name, 0) for name in ("rows", "results", "rejects"))
    rows, stored, rejected = (f"{count:,}" for count in counts)
    return f"{rows} rows of {file.key} {sign} {stored} results + {rejected} rejects"


def _counts(tally: Tally) -> Text:
    return Text.assemble(
        (f"{tally.stored:,} stored", "green"),
        f"  {tally.dead:,} dead letters  ",
        (f"{tally.in_flight:,} in flight  {tally.waiting:,} waiting", "dim"),
    )


def _counts_with_bar(tally: Tally) -> Text:
    arrived = tally.stored + tally.dead
    return Text.assemble(
        (bar(0, arrived, tally.sent, _BAR_WIDTH), "green"),
        f" {arrived:,} of {tally.sent:,}  ",
        _counts(tally),
    )
