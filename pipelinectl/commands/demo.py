"""`pipelinectl demo`: its acts, and how they look, in a terminal or in plain lines where piped."""

from __future__ import annotations

import contextlib
import itertools
import os
import secrets
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipeline_core.messages import MAX_MESSAGE_BYTES, given_id
from pipelinectl import demo as play
from pipelinectl import local
from pipelinectl.aws import Connection, find_stack, function_name
from pipelinectl.commands.context import JsonFlag, Pipeline, options_of
from pipelinectl.commands.dlq import dead_letters_table, reasons_table
from pipelinectl.commands.executions import render_timeline
from pipelinectl.commands.items import items_table
from pipelinectl.commands.objects import render_object
from pipelinectl.commands.output import bar, counted, duration, err, out, print_json, size, step
from pipelinectl.commands.send import with_claim_checks
from pipelinectl.dead_letters import grouped
from pipelinectl.errors import OperationFailedError
from pipelinectl.sending import DEFAULT_THRESHOLD
from pipelinectl.uploading import BucketDoor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from rich.console import Console, RenderableType

    from pipelinectl.demo import Account, DemoMessage, FileAccount, Kill, SentMessage, Tally
    from pipelinectl.uploading import Source, Uploaded

_MESSAGES, _MORE_MESSAGES = 300, 100
_ROUNDS = 4
_KILLING_SECONDS, _MOST_KILLS = 120, 6
# When a worker dies while it starts, the local cloud ends all others of its function as well.
_STARTED_SECONDS = 3.0
# Several deliveries of a message, hidden for 75 seconds each, on a machine that is busy.
_SETTLING_SECONDS = 600
_SHOWN_ITEMS = 4
_SHOWN_MISSING = 5
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


def demo(
    ctx: typer.Context,
    *,
    count: Annotated[
        int, typer.Option("--messages", min=50, max=5000, help="How many messages to send.")
    ] = _MESSAGES,
    as_json: JsonFlag = False,
) -> None:
    """Show the whole pipeline at work on this machine, in about a minute.

    Starts the local cloud, deploys, sends good and bad messages and a file of good and bad rows,
    kills workers that are at work, and counts: an execution must resume, every message must end as
    an item or as a dead letter with its reason, every row as a result or a reject, or the exit code
    is 1. The local cloud stays up. With --json: the count as one object.

    Example:
    - `pipelinectl demo`
    """
    acts = _Acts(options_of(ctx).stack_name, err() if as_json else out())
    try:
        account, file = acts.perform(count)
    except KeyboardInterrupt:
        msg = "interrupted; if the local cloud is up it stays up: 'make down' stops it"
        raise KeyboardInterrupt(msg) from None
    if as_json:
        print_json(_document(account, file))
    if not account.balanced:
        raise OperationFailedError(_complaint(account))
    if not file.balanced:
        msg = f"the file's rows do not add up: see 'pipelinectl objects show {file.key}'"
        raise OperationFailedError(msg)


class _Acts:
    """The demo, act by act, on one console."""

    def __init__(self, stack_name: str, console: Console) -> None:
        self._stack_name = stack_name
        self._console = console
        self._settings = local.settings_from(os.environ)
        self._began = time.monotonic()
        self._run = secrets.token_hex(3)

    def perform(self, count: int) -> tuple[Account, FileAccount]:
        """All of it."""
        template = local.find_template(Path.cwd())
        # Before anything is started, so that a missing file costs no time.
        events = play.read_events(template.parent / "events")
        prepared = tuple(play.messages(events, self._run, count))
        file = play.file_source(template.parent / "events")
        pipeline = self._deployed(template)
        dead_before = pipeline.dead_letters.about()
        uploaded = self._upload(pipeline, file, prepared)
        sent = self._send(pipeline, prepared)

        def send_more() -> None:
            self._console.print(f"no execution was hit: {_MORE_MESSAGES} messages more")
            more = play.more_messages(events, secrets.token_hex(3), _MORE_MESSAGES)
            sent.extend(self._send(pipeline, tuple(more)))

        self._act("3  Kill workers while they work")
        chaos = self._chaos(pipeline)
        struck = play.strike(
            lambda: itertools.islice(chaos.kills(_KILLING_SECONDS), _MOST_KILLS),
            send_more,
            self._killed,
            rounds=_ROUNDS,
        )
        account, file_account = self._settle(pipeline, sent, dead_before, uploaded)
        self._results(pipeline, chaos, struck, account)
        self._file(pipeline, file_account)
        self._act("9  The count")
        self._sums(account, file_account)
        self._act("Look around")
        self._farewell(uploaded.object_id.key)
        return account, file_account

    def _act(self, title: str) -> None:
        self._console.print(f"\n[bold]{title}[/bold]")

    def _step(self, what: str) -> AbstractContextManager[Callable[[str], None]]:
        return step(self._console, what)

    def _deployed(self, template: Path) -> Pipeline:
        self._act("1  Start AWS on this machine and deploy template.yaml to it")
        names = ", ".join(process.name for process in local.processes(self._settings))
        with self._step(f"local cloud is up: {names}"):
            local.start(self._settings)
        with self._step(f"{template.name} is built and deployed as {self._stack_name}") as detail:
            local.deploy(self._settings, template, self._stack_name, local.LOCAL_PARAMETERS, detail)
        connection = Connection(local.client_environment(self._settings))
        return Pipeline(connection, find_stack(connection.cloudformation, self._stack_name))

    def _upload(
        self, pipeline: Pipeline, file: Source, prepared: Sequence[DemoMessage]
    ) -> Uploaded:
        bad = sum(message.bad for message in prepared)
        self._act(f"2  Send a file, and {len(prepared):,} messages, {bad} of them bad on purpose")
        with self._step(f"{file.path.name} uploaded to the input bucket"):
            door = BucketDoor(pipeline.connection.s3, pipeline.stack.input_bucket, "input")
            return play.upload_file(door, file, self._run)

    def _send(self, pipeline: Pipeline, prepared: Sequence[DemoMessage]) -> list[SentMessage]:
        largest = max(message.body.size for message in prepared)
        large = f", one of {size(largest)} as a claim check" if largest > MAX_MESSAGE_BYTES else ""
        with self._step(f"{counted(len(prepared), 'message')} sent{large}"):
            bodies = [message.body for message in prepared]
            outgoing = with_claim_checks(pipeline, bodies, DEFAULT_THRESHOLD, quiet=True)
            outcomes = list(pipeline.sender.send(outgoing))
        if any(outcome.refused for outcome in outcomes):
            msg = "SQS refused messages of the demo: see 'pipelinectl local logs ministack'"
            raise OperationFailedError(msg)
        accepted = [sent.message_id for outcome in outcomes for sent in outcome.sent]
        environment = local.LOCAL_PARAMETERS["Environment"]
        return [
            # The pipeline gives an id to a record that brings none.
            play.SentMessage(sent, message.record_id or given_id(environment, sent))
            for message, sent in zip(prepared, accepted, strict=True)
        ]

    def _chaos(self, pipeline: Pipeline) -> play.Chaos:
        sqs, url = pipeline.connection.sqs, pipeline.stack.queue_url
        return play.Chaos(
            pipeline.executions,
            hold=self._held,
            kill=lambda stage: local.kill(
                self._settings, self._stack_name, stage, _STARTED_SECONDS
            ),
            pending=lambda: sum(play.under_way(sqs, url)),
        )

    @contextlib.contextmanager
    def _held(self, stage: str) -> Iterator[int]:
        """The stage's workers stopped, as by Ctrl-Z; those that live go on afterwards."""
        from localcloud.processes import find_workers

        name, latest = function_name(self._stack_name, stage), time.time() - _STARTED_SECONDS
        workers = [w for w in find_workers(self._settings) if w.function_name == name]
        held = [w.identity.pid for w in workers if w.identity.create_time <= latest]
        try:
            for pid in held:
                _signal(pid, signal.SIGSTOP)
            yield len(held)
        finally:
            for pid in held:
                _signal(pid, signal.SIGCONT)

    def _killed(self, kill: Kill) -> None:
        felt = "[yellow]an invoke failed[/]" if kill.struck else "[dim]no invoke was hit[/]"
        workers, running = counted(kill.workers, "worker"), counted(kill.running, "execution")
        self._console.print(
            f"[red]✗[/] killed {workers} of {kill.stage} while {running} ran: {felt}"
        )

    def _settle(
        self, pipeline: Pipeline, sent: list[SentMessage], dead_before: int, uploaded: Uploaded
    ) -> tuple[Account, FileAccount]:
        self._act("4  Wait until everything has arrived somewhere")
        settlement = play.Settlement(
            pipeline.connection.sqs,
            pipeline.stack.queue_url,
            pipeline.dead_letters,
            pipeline.items,
            tuple(sent),
            dead_before,
        )
        self._tallies(settlement.watch(_SETTLING_SECONDS))
        with self._step(f"{uploaded.object_id.key} is done"):
            file = play.file_account(
                pipeline.catalog, pipeline.results, uploaded, _SETTLING_SECONDS
            )
        return settlement.account(), file

    def _tallies(self, tallies: Iterable[Tally]) -> None:
        """The counts as they change: all in a terminal, else one every few seconds."""
        from rich.live import Live

        if self._console.is_terminal:
            with Live(console=self._console, refresh_per_second=10) as live:
                for tally in tallies:
                    arrived = tally.stored + tally.dead
                    progress = bar(0, arrived, tally.sent, _BAR_WIDTH)
                    text = f"[green]{progress}[/] {arrived:,} of {tally.sent:,}  {_counts(tally)}"
                    live.update(text)
            return
        shown_at, last, shown = time.monotonic(), None, None
        for last in tallies:
            if last != shown and time.monotonic() - shown_at >= _PIPED_EVERY_SECONDS:
                shown_at, shown = time.monotonic(), last
                self._console.print(_counts(last))
        if last is not None and last != shown:
            self._console.print(_counts(last))

    def _results(self, pipeline: Pipeline, chaos: play.Chaos, arn: str, account: Account) -> None:
        self._act("5  The execution whose worker was killed")
        self._print(render_timeline(chaos.timeline(arn), arn, self._console.width))
        self._act("6  Some of what was stored")
        every = max(1, len(account.stored) // _SHOWN_ITEMS)
        found = map(pipeline.items.get, sorted(account.stored)[::every][:_SHOWN_ITEMS])
        self._print([items_table([item for item in found if item])])
        self._act("7  What was not stored, and why")
        if account.dead_letters:
            self._print([reasons_table(grouped(account.dead_letters)), ""])
            self._print([dead_letters_table(account.dead_letters, datetime.now(UTC))])
        else:
            self._console.print("the dead-letter queue holds nothing of this run")

    def _file(self, pipeline: Pipeline, file: FileAccount) -> None:
        self._act("8  The file, and its rows that were rejected")
        if file.entry is None:
            self._console.print("the pipeline is not done with it yet")
        else:
            bucket = pipeline.stack.output_bucket
            self._print(render_object(file.entry, bucket, file.rejects, datetime.now(UTC)))

    def _print(self, parts: Iterable[RenderableType]) -> None:
        for part in parts:
            self._console.print(part)

    def _sums(self, account: Account, file: FileAccount) -> None:
        """The sums that must add up."""
        stored, dead = len(account.stored), len(account.dead_letters)
        rows, kept, rejected = (file.counts[n] for n in ("rows", "results", "rejects"))
        for sent, good, arrived in (
            (f"sent {account.sent:,}", account, f"{stored:,} stored + {dead:,} dead letters"),
            (f"{rows:,} rows of {file.key}", file, f"{kept:,} results + {rejected:,} rejects"),
        ):
            mark, sign = ("[green]✓[/]", "=") if good.balanced else ("[red]✗[/]", "≠")
            self._console.print(f"{mark} [bold]{sent} {sign} {arrived}[/]")
        self._console.print(
            f"counted one by one; {duration(time.monotonic() - self._began)} in all"
        )

    def _farewell(self, key: str) -> None:
        """How to look around, and how to stop."""
        download = (f"pipelinectl download --results {key}", "the file's rows")
        commands = (*_LOOK_AROUND, download, ("make down", "stop the local cloud"))
        width = max(len(command) for command, _ in commands)
        for command, meaning in commands:
            self._console.print(f"  [cyan]{command.ljust(width)}[/]  [dim]{meaning}[/]")


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _counts(tally: Tally) -> str:
    return (
        f"[green]{tally.stored:,} stored[/]  {tally.dead:,} dead letters  "
        f"[dim]{tally.in_flight:,} in flight  {tally.waiting:,} waiting[/]"
    )


def _document(account: Account, file: FileAccount) -> dict[str, Any]:
    return {
        "sent": account.sent,
        "stored": len(account.stored),
        "dead_letters": len(account.dead_letters),
        "missing": account.missing,
        "doubled": account.doubled,
        "balanced": account.balanced and file.balanced,
        "file": {"key": file.key, **file.counts},
    }


def _complaint(account: Account) -> str:
    wrong = " and ".join(
        f"{len(ids)} {what} ({_few(ids)})"
        for ids, what in ((account.missing, "nowhere yet"), (account.doubled, "in two places"))
        if ids
    )
    return f"the count does not add up: {wrong}: see 'pipelinectl executions list'"


def _few(ids: tuple[str, ...]) -> str:
    more = ", …" if len(ids) > _SHOWN_MISSING else ""
    return ", ".join(ids[:_SHOWN_MISSING]) + more
