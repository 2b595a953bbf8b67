"""What `pipelinectl demo` does: real messages, killed workers, and counts that must add up."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from pipeline_core import exact_json
from pipelinectl import sending, uploading
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.objects import Results
from pipelinectl.objects import read as read_reject
from pipelinectl.timeline import Operation, Timeline, build_timeline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from mypy_boto3_sqs.client import SQSClient

    from pipeline_core.catalog import Catalog, CatalogEntry
    from pipeline_core.files import Counts
    from pipelinectl.dead_letters import DeadLetter, DeadLetterQueue
    from pipelinectl.executions import Executions
    from pipelinectl.items import Items
    from pipelinectl.objects import Reject
    from pipelinectl.sending import Body
    from pipelinectl.uploading import BucketDoor, Source, Uploaded

FILE = "orders.csv"
STAGES = ("store", "transform", "validate")

# More than fits into a message of SQS: it goes as a claim check.
_LARGE_BYTES = 3 * 512 * 1024
_POLL_SECONDS = 0.4
_AIM_SECONDS = 0.05
_HANGING_SECONDS, _AWAITED_SECONDS = 1.0, 10.0
_EFFECT_SECONDS = 30.0
_INSPECTED = 20


@dataclass(frozen=True)
class DemoMessage:
    """A body to send; `record_id` is None where the body has no place for one.

    `bad` is what the pipeline is expected to reject.
    """

    body: Body
    record_id: str | None
    bad: bool


@dataclass(frozen=True)
class Events:
    """Sample bodies, by what is to become of them."""

    good: tuple[Body, ...]
    bad: tuple[Body, ...]


def read_events(folder: Path) -> Events:
    """Read the sample events.

    Raises:
        NotFoundError: a file is missing.
    """
    good = [*_lines(folder / "standard.jsonl"), *_lines(folder / "orders.jsonl")]
    not_json = sending.from_whole(_content(folder / "not-json.txt"), "not-json.txt")
    return Events(tuple(good), (*_lines(folder / "invalid.jsonl"), not_json))


def _lines(path: Path) -> Iterator[Body]:
    return sending.from_lines(_content(path), path.name)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror}: the demo sends the events of the project's folder"
        raise NotFoundError(msg) from error


def messages(events: Events, run: str, count: int) -> Iterator[DemoMessage]:
    """All bad bodies, spread among good ones that are repeated until there are `count` in all.

    The first one is good, and too large for a message of SQS.
    """
    every = max(2, count // (len(events.bad) + 1))
    good, bad = itertools.cycle(events.good), iter(events.bad)
    for number in range(1, max(count, every * len(events.bad)) + 1):
        rejected = next(bad, None) if number % every == 0 else None
        body = rejected or (_enlarged(next(good)) if number == 1 else next(good))
        yield _identified(body, f"demo-{run}-{number:05}", bad=bool(rejected))


def more_messages(events: Events, run: str, count: int) -> Iterator[DemoMessage]:
    """Good ones, for more to do."""
    for number, body in zip(range(1, count + 1), itertools.cycle(events.good), strict=False):
        yield _identified(body, f"demo-{run}-{number:05}", bad=False)


def _enlarged(body: Body) -> Body:
    readings = list(range(100_000, 100_000 + _LARGE_BYTES // len("100000,")))
    document = exact_json.loads(body.text) | {"readings": readings}
    return replace(body, text=dumps(document, indent=None))


def _identified(body: Body, record_id: str, *, bad: bool) -> DemoMessage:
    try:
        return DemoMessage(sending.with_record_id(body, record_id), record_id, bad)
    except UsageError:
        # No JSON object: mark the text itself, and tell it from others by its message id.
        return DemoMessage(replace(body, text=f"{body.text} ({record_id})"), None, bad)


@dataclass(frozen=True)
class Kill:
    """One blow: so many workers of a stage, while so many executions were running.

    `struck` is the ARN of an execution that felt it, None where none did.
    """

    stage: str
    workers: int
    running: int
    struck: str | None


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Chaos:
    """Kills the stages' workers while they are at work.

    `hold` keeps the workers of a stage from going on, as a machine that hangs does, and answers
    with how many; `kill` kills them and answers with their process ids. `pending` says how many
    messages are under way. `now` is the time of the histories: kills and executions share a machine
    and so its clock. `sleep` and `clock` are in seconds.
    """

    executions: Executions
    hold: Callable[[str], AbstractContextManager[int]]
    kill: Callable[[str], list[int]]
    pending: Callable[[], int]
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = _utc_now

    def kills(self, deadline_seconds: float) -> Iterator[Kill]:
        """Kill until an execution shows a failed invoke; the last kill names it as `struck`.

        Only workers of a stage that an execution waits for which has done another one, so that
        there is something that it need not do again. An invoke is over in less time than it takes
        to see it, so the workers are held until one hangs. Ends when there is nothing left to do.
        """
        end = self.clock() + deadline_seconds
        while self.clock() < end:
            running = self._running()
            if not running and not self.pending():
                return
            # The oldest first: it has come furthest.
            stage = next(filter(None, map(self._awaited, reversed(running))), None)
            kill = self._strike(stage) if stage else None
            if kill:
                yield kill
                if kill.struck:
                    return
            else:
                self.sleep(_AIM_SECONDS)

    def _strike(self, stage: str) -> Kill | None:
        """None where the stage has no worker that is at work."""
        with self.hold(stage) as held:
            if not held or not self._hangs(stage):
                return None
            running, moment = self._running(), self.now()
            workers = len(self.kill(stage))
        return Kill(stage, workers, len(running), self._struck(running, stage, moment))

    def _hangs(self, stage: str) -> bool:
        """Whether an invoke of the stage takes longer than a healthy one, within some seconds."""
        end = self.clock() + _AWAITED_SECONDS
        while self.clock() < end:
            before = self.now() - timedelta(seconds=_HANGING_SECONDS)
            for arn in self._running():
                waits = (i for i in self._invokes(arn) if i.name.startswith(stage))
                if any(i.ended_at is None and i.started_at <= before for i in waits):
                    return True
            self.sleep(_AIM_SECONDS)
        return False

    def timeline(self, arn: str) -> Timeline:
        """The timeline of an execution as it is now."""
        return build_timeline(self.executions.history(arn))

    def _running(self) -> list[str]:
        found = self.executions.newest(statuses=["RUNNING"], limit=_INSPECTED)
        return [execution.arn for execution in found]

    def _invokes(self, arn: str) -> list[Operation]:
        walked = (operation for _, operation in self.timeline(arn).walk())
        return [operation for operation in walked if operation.kind == "ChainedInvoke"]

    def _awaited(self, arn: str) -> str | None:
        """The stage that an execution waits for, where another one has succeeded."""
        invokes = self._invokes(arn)
        if not any(invoke.ended_at and not invoke.failed for invoke in invokes):
            return None
        names = [invoke.name for invoke in invokes if invoke.ended_at is None]
        return next((s for s in STAGES if any(name.startswith(s) for name in names)), None)

    def _struck(self, arns: list[str], stage: str, moment: datetime) -> str | None:
        """One of `arns` in which an invoke of the stage has failed since that moment.

        None when all that the blow could have hit have ended otherwise.
        """
        after, end = self.now(), self.clock() + _EFFECT_SECONDS
        while True:
            invokes = {arn: self._invokes(arn) for arn in arns}
            for arn, of in invokes.items():
                hit = (i.ended_at for i in of if i.failed and i.name.startswith(stage))
                if any(ended_at and ended_at >= moment for ended_at in hit):
                    return arn
            every = itertools.chain.from_iterable(invokes.values())
            open_ = any(i.ended_at is None and i.started_at <= after for i in every)
            if not open_ or self.clock() >= end:
                return None
            self.sleep(_POLL_SECONDS)


def strike(
    kills: Callable[[], Iterator[Kill]],
    send_more: Callable[[], None],
    show: Callable[[Kill], None],
    *,
    rounds: int,
) -> str:
    """Kill workers until an execution felt it, with more messages where there were too few.

    Answers with its ARN.

    Raises:
        OperationFailedError: none did in so many rounds.
    """
    blows = 0
    for number in range(rounds):
        if number:
            send_more()
        for kill in kills():
            show(kill)
            blows += 1
            if kill.struck:
                return kill.struck
    msg = (
        f"workers were killed {blows} times in {rounds} rounds of messages, and no execution was "
        "hit: see 'pipelinectl local status', then run the demo again"
    )
    raise OperationFailedError(msg)


@dataclass(frozen=True)
class SentMessage:
    """A message of this run and the key that its item will have."""

    message_id: str
    execution_id: str


@dataclass(frozen=True)
class Tally:
    """Where the messages are: `waiting` and `in_flight` as SQS estimates them."""

    sent: int
    stored: int
    dead: int
    waiting: int
    in_flight: int

    @property
    def settled(self) -> bool:
        """Whether nothing is under way and everything seems to have arrived."""
        return self.waiting + self.in_flight == 0 and self.stored + self.dead >= self.sent


@dataclass(frozen=True)
class Account:
    """What became of each message; `missing` and `doubled` are the messages' execution ids."""

    sent: int
    stored: frozenset[str]
    dead_letters: tuple[DeadLetter, ...]
    missing: tuple[str, ...]
    doubled: tuple[str, ...]

    @property
    def balanced(self) -> bool:
        """Whether each message is in exactly one place."""
        return not self.missing and not self.doubled


def account(
    messages: Iterable[SentMessage], stored: frozenset[str], dead: Mapping[str, DeadLetter]
) -> Account:
    """Compare what was sent with what was stored (keys) and given up (by message id)."""
    sent = tuple(messages)
    places = {m: (m.execution_id in stored) + (m.message_id in dead) for m in sent}
    return Account(
        sent=len(sent),
        stored=stored,
        dead_letters=tuple(dead.values()),
        missing=tuple(m.execution_id for m, count in places.items() if count == 0),
        doubled=tuple(m.execution_id for m, count in places.items() if count > 1),
    )


def under_way(sqs: SQSClient, queue_url: str) -> tuple[int, int]:
    """Messages that wait in a queue, and those that are in flight, as SQS estimates them."""
    attributes = sqs.get_queue_attributes(
        QueueUrl=queue_url,
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesDelayed",
            "ApproximateNumberOfMessagesNotVisible",
        ],
    )["Attributes"]
    in_flight = int(attributes.pop("ApproximateNumberOfMessagesNotVisible", 0))
    return sum(int(count) for count in attributes.values()), in_flight


@dataclass
class Settlement:
    """Counts until every message is accounted for: an item, or a dead letter with its reason.

    `dead_before` is the size of the dead-letter queue before they were sent; `sleep` and `clock`
    are in seconds.
    """

    sqs: SQSClient
    queue_url: str
    dead_letters: DeadLetterQueue
    items: Items
    messages: tuple[SentMessage, ...]
    dead_before: int
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    _stored: set[str] = field(default_factory=set)

    def watch(self, deadline_seconds: float) -> Iterator[Tally]:
        """Tallies until all is settled or the time is up."""
        end = self.clock() + deadline_seconds
        while True:
            tally = self.tally()
            yield tally
            if tally.settled or self.clock() >= end:
                return
            self.sleep(_POLL_SECONDS)

    def tally(self) -> Tally:
        """Count now. Dead letters are counted by the queue's size, so as not to disturb it."""
        stored = len(self._refresh_stored())
        dead = max(0, self.dead_letters.about() - self.dead_before)
        return Tally(len(self.messages), stored, dead, *under_way(self.sqs, self.queue_url))

    def account(self) -> Account:
        """Look for each single message."""
        stored = frozenset(self._refresh_stored())
        return account(self.messages, stored, dict(self._own_dead_letters()))

    def _refresh_stored(self) -> set[str]:
        unseen = (message.execution_id for message in self.messages)
        self._stored |= self.items.existing(id_ for id_ in unseen if id_ not in self._stored)
        return self._stored

    def _own_dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """By the id that each was sent with; one that was handed over has another one by now."""
        own = {message.message_id: message.message_id for message in self.messages}
        own |= {message.execution_id: message.message_id for message in self.messages}
        for letter in self.dead_letters.peek():
            found = own.get(letter.original_message_id) or own.get(letter.execution_id or "")
            if found:
                yield found, letter


@dataclass(frozen=True)
class FileAccount:
    """What became of a file, and its rejected rows; `entry` is None if it is not done yet."""

    uploaded: Uploaded
    entry: CatalogEntry | None
    rejects: tuple[Reject, ...] = ()

    @property
    def key(self) -> str:
        """The object's key."""
        return self.uploaded.object_id.key

    @property
    def counts(self) -> Counts:
        """What the catalog says of its rows; none before it is done."""
        none: Counts = {"rows": 0, "results": 0, "rejects": 0}
        return self.entry.get("counts", none) if self.entry else none

    @property
    def balanced(self) -> bool:
        """Whether it is done and each row is a result or a reject."""
        if self.entry is None or self.entry["state"] != "done":
            return False
        return self.counts["rows"] == self.counts["results"] + len(self.rejects)


def file_source(folder: Path) -> Source:
    """The sample file.

    Raises:
        UsageError: it cannot be read.
    """
    path = folder / FILE
    metadata = {"processing-type": "order"}
    return uploading.Source(
        path, uploading.size_of(path), uploading.content_type(path.name), metadata
    )


def upload_file(door: BucketDoor, file: Source, run: str) -> Uploaded:
    """Put the file below the door, under a key of this run."""
    return replace(door, key=f"demo-{run}/{file.path.name}").put(file, lambda _: None)


def file_account(
    known: Catalog, results: Results, uploaded: Uploaded, deadline_seconds: float
) -> FileAccount:
    """Wait until the pipeline is done with the file, and read which rows were rejected.

    Its key is of this run: nobody replaces it.
    """
    for _, entry in uploading.settled(known, (uploaded,), deadline_seconds, lambda _: True):
        if entry is None or entry["state"] != "done":
            return FileAccount(uploaded, entry)
        rejects = map(read_reject, results.lines(results.parts(entry, "rejects")))
        return FileAccount(uploaded, entry, tuple(rejects))
    return FileAccount(uploaded, None)
