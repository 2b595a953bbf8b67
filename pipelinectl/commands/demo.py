"""`pipelinectl demo`."""

import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pipelinectl import local
from pipelinectl.claim_checks import DEFAULT_THRESHOLD
from pipelinectl.commands.context import JsonFlag, Pipeline, options_of
from pipelinectl.commands.offloading import offloaded
from pipelinectl.demonstration import files
from pipelinectl.demonstration.chaos import Chaos
from pipelinectl.demonstration.files import FileAccount
from pipelinectl.demonstration.messages import DemoMessage, messages, read_events
from pipelinectl.demonstration.settlement import Account, SentMessage, Settlement
from pipelinectl.errors import OperationFailedError
from pipelinectl.objects import INPUT
from pipelinectl.rendering.console import err, out, print_json
from pipelinectl.rendering.formatting import size
from pipelinectl.session import Connection
from pipelinectl.stack import find_stack
from pipelinectl.uploading import BucketDoor, Source, Uploaded

if TYPE_CHECKING:
    from localcloud.settings import Settings
    from pipelinectl.rendering.demo import Show

_MESSAGES = 300
_MOST_KILLS = 6
_KILLING_SECONDS = 15
# When a worker dies while it starts, the local cloud ends all others of its function as well.
_STARTED_SECONDS = 3.0
_SETTLING_SECONDS = 60
_SHOWN_ITEMS = 4
_SHOWN_MISSING = 5


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
    kills a worker that is at work, and counts: every message must end as an item or as a dead
    letter with its reason, every row as a result or a reject, or the exit code is 1. The local
    cloud stays up. With --json: the count as one object.

    Example:
    - `pipelinectl demo`
    """
    from pipelinectl.rendering.demo import Show

    try:
        account, file = _run(options_of(ctx).stack_name, count, Show(err() if as_json else out()))
    except KeyboardInterrupt:
        msg = "interrupted; if the local cloud is up it stays up: 'make down' stops it"
        raise KeyboardInterrupt(msg) from None
    if as_json:
        print_json(_document(account, file))
    if not account.balanced:
        raise OperationFailedError(_complaint(account))
    if not file.balanced:
        msg = f"the file's rows do not come out: see 'pipelinectl objects show {file.key}'"
        raise OperationFailedError(msg)


def _run(stack_name: str, count: int, show: "Show") -> tuple[Account, FileAccount]:
    template = local.find_template(Path.cwd())
    events, run = template.parent / "events", secrets.token_hex(3)
    # Before anything is started, so that a missing file costs no time.
    prepared = tuple(messages(read_events(events), run, count))
    file = files.source(events)
    settings = local.settings_from(os.environ)
    pipeline = _deployed(settings, template, stack_name, show)
    dead_before = pipeline.dead_letters.about()
    sent, uploaded = _send(pipeline, prepared, file, run, show)
    settlement = Settlement(
        pipeline.connection.sqs,
        pipeline.stack.queue_url,
        pipeline.dead_letters,
        pipeline.items,
        sent,
        dead_before,
    )
    chaos = Chaos(
        pipeline.executions,
        lambda stage: local.kill(settings, stack_name, stage, _STARTED_SECONDS),
    )
    struck = _kill(chaos, show)
    account, file_account = _settle(pipeline, settlement, uploaded, show)
    _show_results(pipeline, chaos, struck, account, show)
    _show_file(pipeline, file_account, show)
    _show_sum(account, file_account, show)
    return account, file_account


def _deployed(settings: "Settings", template: Path, stack_name: str, show: "Show") -> Pipeline:
    show.act("1  Start AWS on this machine and deploy template.yaml to it")
    names = ", ".join(process.name for process in local.processes(settings))
    with show.step(f"local cloud is up: {names}"):
        local.start(settings)
    with show.step(f"{template.name} is built and deployed as {stack_name}") as detail:
        local.deploy(settings, template, stack_name, detail)
    connection = Connection(settings.client_environment())
    return Pipeline(connection, find_stack(connection.cloudformation, stack_name))


def _send(
    pipeline: Pipeline,
    prepared: tuple[DemoMessage, ...],
    file: Source,
    run: str,
    show: "Show",
) -> tuple[tuple[SentMessage, ...], Uploaded]:
    bad = sum(message.bad for message in prepared)
    show.act(f"2  Send {len(prepared):,} messages, {bad} of them bad on purpose, and a file")
    large = max(message.body.size for message in prepared)
    with show.step(f"sent, one of {size(large)} as a claim check"):
        found = [message.body for message in prepared]
        outcomes = list(
            pipeline.sender.send(offloaded(pipeline, found, DEFAULT_THRESHOLD, quiet=True))
        )
    if any(outcome.refused for outcome in outcomes):
        msg = "SQS refused messages of the demo: see 'pipelinectl local logs ministack'"
        raise OperationFailedError(msg)
    with show.step(f"{file.path.name} uploaded to the input bucket"):
        door = BucketDoor(pipeline.connection.s3, pipeline.stack.input_bucket, INPUT)
        uploaded = files.upload(door, file, run)
    accepted = [sent for outcome in outcomes for sent in outcome.sent]
    return tuple(
        SentMessage(sent.message_id, message.record_id or _default_id(sent.message_id))
        for message, sent in zip(prepared, accepted, strict=True)
    ), uploaded


def _default_id(message_id: str) -> str:
    """The execution_id that the pipeline gives a record that brings none."""
    return f"{local.LOCAL_PARAMETERS['Environment']}-{message_id}"


def _kill(chaos: Chaos, show: "Show") -> str | None:
    show.act("3  Kill workers while they work")
    struck = None
    for kill in chaos.kills(at_most=_MOST_KILLS, deadline_seconds=_KILLING_SECONDS):
        show.killed(kill)
        struck = kill.struck.arn if kill.struck else None
    if struck is None:
        show.say("no execution was hit this time: the pipeline was too quick, run the demo again")
    return struck


def _settle(
    pipeline: Pipeline, settlement: Settlement, uploaded: Uploaded, show: "Show"
) -> tuple[Account, FileAccount]:
    show.act("4  Wait until everything has arrived somewhere")
    show.tallies(settlement.watch(_SETTLING_SECONDS))
    with show.step(f"{uploaded.path.key} is through"):
        file = files.account(pipeline.catalog, pipeline.results, uploaded, _SETTLING_SECONDS)
    return settlement.account(), file


def _show_results(
    pipeline: Pipeline, chaos: Chaos, struck: str | None, account: Account, show: "Show"
) -> None:
    arn = struck or pipeline.executions.resolve("last")
    show.act("5  The execution whose worker was killed" if struck else "5  The last execution")
    show.timeline(chaos.timeline(arn), arn)
    show.act("6  Some of what was stored")
    every = max(1, len(account.stored) // _SHOWN_ITEMS)
    found = map(pipeline.items.get, sorted(account.stored)[::every][:_SHOWN_ITEMS])
    show.items([item for item in found if item])
    show.act("7  What was not stored, and why")
    show.dead_letters(account)


def _show_file(pipeline: Pipeline, file: FileAccount, show: "Show") -> None:
    show.act("8  The file, and its rows that were rejected")
    show.file(file, pipeline.stack.output_bucket)


def _show_sum(account: Account, file: FileAccount, show: "Show") -> None:
    show.act("9  The count")
    show.summary(account, file)
    show.act("Look around")
    show.farewell(file.key)


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
    return f"the count does not come out: {wrong}: see 'pipelinectl executions list'"


def _few(ids: tuple[str, ...]) -> str:
    more = ", …" if len(ids) > _SHOWN_MISSING else ""
    return ", ".join(ids[:_SHOWN_MISSING]) + more
