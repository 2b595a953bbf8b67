"""What the demo shows: a pleasure in a terminal, plain lines where it is piped."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from rich.live import Live
from rich.text import Text

from pipelinectl.dead_letters import grouped
from pipelinectl.rendering.formatting import bar, counted, duration
from pipelinectl.rendering.steps import step
from pipelinectl.rendering.tables import items_table, reasons_table, render_dead_letters
from pipelinectl.rendering.timeline import render_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console

    from pipelinectl.demonstration.chaos import Kill
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
    ('eval "$(pipelinectl local env)"', "then the AWS CLI works against it, too"),
    ("make down", "stop the local cloud"),
)


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
        """Say whose worker was killed, and whether an execution felt it."""
        line = Text.assemble(
            ("✗ ", "red"),
            f"killed {counted(len(kill.pids), 'worker')} of {kill.stage} "
            f"while {counted(kill.running, 'execution')} ran: ",
            ("an invoke failed", "yellow") if kill.struck else ("no invoke was hit", "dim"),
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

    def summary(self, account: Account) -> None:
        """The sum that must come out."""
        good = account.balanced
        text = Text.assemble(
            ("✓ " if good else "✗ ", "bold green" if good else "bold red"),
            (_sum(account), "bold"),
            f", counted one by one; {duration(self._clock() - self._began)} in all",
        )
        self._console.print(text)

    def farewell(self) -> None:
        """How to look around and how to stop."""
        width = max(len(command) for command, _ in _LOOK_AROUND)
        for command, meaning in _LOOK_AROUND:
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
