"""Beside what one would pick instead: the same work, unharmed and with a worker killed each second.

What is counted comes from what every side notes alike when it has done it (`effects`), and from
the table and the queues.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Protocol

import psutil

from benchmarks.cells import (
    POLL_SECONDS,
    ROOT,
    BenchmarkError,
    Figures,
    Side,
    abandon,
    percentile,
    queued,
    send,
    set_mapping,
)
from localcloud import processes

PYTHON = ROOT / ".tools" / "bench" / "bin" / "python"

AT_ONCE = 5
"""Batches."""

SECONDS = 45
"""At most, for a cell that is left alone."""

KILLS = 8
"""A second after another; of DBOS a second after the next process takes messages."""

KILL_SECONDS = 30
"""At most; then there are no more kills."""

SETTLE_SECONDS = 60
"""After the last kill, for what was hit to come again."""

GRACE_SECONDS = 3
"""No worker is killed that is younger: it would be its start that is measured."""

START_SECONDS = 60
POLLS_SECONDS = 1.5
"""More than one of DBOS's requests for messages waits for some."""

VISIBILITY_SECONDS = 45
"""Of durable functions' queues under kills: longer than a batch takes there. Every day it has to be
longer than an execution may take, a quarter of an hour, which would keep who counts waiting."""

_LOOKED_SECONDS = 0.1


@dataclass(frozen=True)
class Noted:
    """One line of what was noted: at epoch seconds, what was done for which message."""

    at: float
    what: str
    message_id: str


@dataclass(frozen=True)
class Speed:
    """So many messages, left alone.

    Percentiles are of seconds from when a message's own batch was taken until it was stored.
    ``writes`` are what was kept for durability, a message: operations of durable functions, or
    transactions that DBOS committed. ``invocations``, a message, are those of Lambda.
    """

    messages: int
    messages_per_second: float
    p50: float
    p99: float
    writes: float
    invocations: float | None


@dataclass(frozen=True)
class Harm:
    """What became of so many messages while workers were killed.

    ``lost`` are neither in the table nor in a queue; ``again`` those for which a stage was carried
    out more than once; ``written_again`` those whose item DynamoDB took more than once; ``dead``
    those in the dead-letter queue. ``seconds`` is the time until the last one was stored.
    """

    kills: int
    messages: int
    stored: int
    queued: int
    dead: int
    lost: int
    again: int
    written_again: int
    seconds: float


class Peer(Protocol):
    """One of those that are compared, with what it takes at once."""

    @property
    def side(self) -> Side:
        """Where its messages come from, and where they end."""
        ...

    @property
    def name(self) -> str:
        """As the table has it."""
        ...

    @property
    def chunk(self) -> int:
        """How many messages share their checkpoints, or an invocation."""
        ...

    def open(self) -> None:
        """Start to take messages."""

    def close(self) -> None:
        """Take no more."""

    def strike(self) -> bool:
        """Kill a worker that has had time to start; False if there is none."""
        ...


@dataclass
class Functions:
    """Functions of Lambda behind a queue."""

    side: Side
    name: str
    chunk: int

    def open(self) -> None:
        """Open the event source mapping."""
        set_mapping(self.side, self.chunk, AT_ONCE)
        self._set(Enabled=True)

    def close(self) -> None:
        """Close it."""
        self._set(Enabled=False)

    def _set(self, **values: bool) -> None:
        client = self.side.client("lambda")
        client.update_event_source_mapping(UUID=self.side.mapping, **values)

    def strike(self) -> bool:
        """Kill one of the workers that are at work, whatever function it is of."""
        prefix, youngest = self.side.functions, time.time() - GRACE_SECONDS
        workers = [
            worker.identity
            for worker in processes.find_workers(self.side.settings)
            if worker.function_name.startswith(prefix) and worker.identity.create_time < youngest
        ]
        before = [_used(worker) for worker in workers]
        time.sleep(_LOOKED_SECONDS)
        worked = {w: _used(w) - b for w, b in zip(workers, before, strict=True)}
        at_work = [worker for worker, seconds in worked.items() if seconds > 0] or workers
        return bool(at_work) and processes.kill(random.choice(at_work))  # noqa: S311 - no secret


def _used(worker: processes.ProcessIdentity) -> float:
    """Seconds of processor time; fewer than none of one that has ended."""
    try:
        times = psutil.Process(worker.pid).cpu_times()
    except psutil.NoSuchProcess:
        return -1.0
    return float(times.user + times.system)


@dataclass
class Dbos:
    """A process of DBOS, which is started again when it is killed."""

    side: Side
    name: str
    chunk: int
    at_once: int
    database_url: str
    process: subprocess.Popen[bytes] | None = None

    def open(self) -> None:
        """Start a process, and wait until it takes messages."""
        settings, root = self.side.settings, self.side.settings.credentials
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ENDPOINT_URL": settings.aws_endpoint_url,
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            "AWS_ACCESS_KEY_ID": root.access_key,
            "AWS_SECRET_ACCESS_KEY": root.secret_key,
            "TABLE": self.side.table,
            "QUEUE_URL": self.side.queue_url,
            "EFFECTS": str(self.side.effects),
            "DATABASE_URL": self.database_url,
        }
        worker = ROOT / "benchmarks" / "dbos_worker.py"
        with (settings.directory / "dbos.log").open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603 - our own module
                [str(PYTHON), str(worker), str(self.at_once), str(self.chunk)],
                env=environment,
                cwd=settings.directory,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
            )
        self._wait_until_ready(self.process)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not any(
            noted.what == "ready" and noted.message_id == str(process.pid)
            for noted in Effects(self.side).noted()
        ):
            if process.poll() is not None or time.monotonic() > deadline:
                log = self.side.settings.directory / "dbos.log"
                raise BenchmarkError(f"{self.name}: does not start; see {log}")
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """End the process, and let pass what it has asked of SQS, which would still be answered."""
        self._kill()
        time.sleep(POLLS_SECONDS)

    def strike(self) -> bool:
        """Kill the process, and start the next one."""
        self._kill()
        self.open()
        return True

    def _kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


class Effects:
    """What a side has noted since this was made, or since its beginning."""

    def __init__(self, side: Side, *, now: bool = False) -> None:
        self._path = side.effects
        self._from = self._path.stat().st_size if now and self._path.exists() else 0

    def noted(self) -> list[Noted]:
        """All of it, oldest first."""
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._from)
            lines = file.read().decode().splitlines()
        return [
            Noted(float(at), what, message_id)
            for at, what, message_id in (line.split(" ", 2) for line in lines)
        ]


def measure_alone(peer: Peer, messages: int, warm_up: int, *, seconds: float = SECONDS) -> Speed:
    """Put so many messages through a peer that is left alone, after others that do not count.

    What was not stored within so many seconds is dropped, and is not in the figures.

    Raises:
        BenchmarkError: nothing was stored.
    """
    if warm_up:
        _through(peer, warm_up, seconds)
    return speed_of(peer, _through(peer, messages, seconds))


def _through(peer: Peer, messages: int, seconds: float) -> list[Noted]:
    effects, deadline = Effects(peer.side, now=True), time.monotonic() + seconds
    sent = frozenset(send(peer.side, messages))
    peer.open()
    try:
        while sent - _stored_at(effects.noted()).keys() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    finally:
        peer.close()
    if _queued(peer.side):
        abandon(peer.side)
    return [n for n in effects.noted() if n.message_id in sent or n.what in ("commit", "invoke")]


def _stored_at(noted: Sequence[Noted]) -> dict[str, float]:
    """When each message's item was first taken by DynamoDB."""
    return {each.message_id: each.at for each in reversed(noted) if each.what == "store"}


def speed_of(peer: Peer, noted: Sequence[Noted]) -> Speed:
    """Sum up what a peer that keeps no histories has noted.

    Raises:
        BenchmarkError: it has stored nothing.
    """
    stored = _stored_at(noted)
    if not stored:
        raise BenchmarkError(f"{peer.name}, {peer.chunk}: nothing was stored in time")
    messages = len(stored)
    taken = {each.message_id: each.at for each in reversed(noted) if each.what == "take"}
    latencies = sorted(at - taken[id_] for id_, at in stored.items())
    kinds = Counter(each.what for each in noted)
    return Speed(
        messages,
        messages / (max(stored.values()) - min(taken.values())),
        percentile(latencies, 50),
        percentile(latencies, 99),
        kinds["commit"] / messages,
        kinds["invoke"] / messages if isinstance(peer, Functions) else None,
    )


def speed_in(figures: Figures) -> Speed:
    """The same of a side that keeps histories."""
    return Speed(
        figures.stored,
        figures.messages_per_second,
        figures.own_p50,
        figures.own_p99,
        figures.operations,
        figures.durable_invocations + figures.stage_invocations,
    )


def measure_harm(peer: Peer, messages: int) -> Harm:
    """Put so many messages through a peer while one of its workers is killed every second.

    That ends after a while, or when all is done; then it has time to do what was hit again.
    """
    if peer.side.is_durable:
        sqs, timeout = peer.side.client("sqs"), {"VisibilityTimeout": str(VISIBILITY_SECONDS)}
        sqs.set_queue_attributes(QueueUrl=peer.side.queue_url, Attributes=timeout)
    effects, sent = Effects(peer.side, now=True), frozenset(send(peer.side, messages))
    begun = time.time()

    def settled() -> bool:
        left = sent - _stored_at(effects.noted()).keys()
        return len(left) <= _dead(peer.side) and not _queued(peer.side)

    peer.open()
    try:
        kills = _kill(peer, settled)
        deadline = time.monotonic() + SETTLE_SECONDS
        while not settled() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
    finally:
        peer.close()
    noted, found = effects.noted(), _table_and_queues(peer.side)
    if found.queued:
        abandon(peer.side)
    last = max((at for id_, at in _stored_at(noted).items() if id_ in sent), default=begun)
    return harm_of(sent, noted, found, kills, last - begun)


def _kill(peer: Peer, settled: Callable[[], bool]) -> int:
    kills, end = 0, time.monotonic() + KILL_SECONDS
    while kills < KILLS and time.monotonic() < end and not settled():
        time.sleep(1)
        kills += peer.strike()
    return kills


@dataclass(frozen=True)
class Found:
    """At the end: ids in the table, ids in the dead-letter queue, and how many are queued."""

    stored: frozenset[str]
    dead: frozenset[str]
    queued: int


def harm_of(
    ids: Set[str], noted: Sequence[Noted], found: Found, kills: int, seconds: float
) -> Harm:
    """Count what became of each of the messages with these ids."""
    times = Counter((each.what, each.message_id) for each in noted if each.message_id in ids)
    stages = ("validate", "transform", "store")
    missing = ids - found.stored - found.dead
    return Harm(
        kills=kills,
        messages=len(ids),
        stored=len(ids & found.stored),
        queued=min(found.queued, len(missing)),
        dead=len(ids & found.dead),
        lost=max(0, len(missing) - found.queued),
        again=len({i for (what, i), n in times.items() if what in stages and n > 1}),
        written_again=sum(times["store", id_] > 1 for id_ in ids),
        seconds=seconds,
    )


def _table_and_queues(side: Side) -> Found:
    pages = side.client("dynamodb").get_paginator("scan")
    found = pages.paginate(
        TableName=side.table, ConsistentRead=True, ProjectionExpression=side.id_attribute
    )
    stored = frozenset(item[side.id_attribute]["S"] for page in found for item in page["Items"])
    return Found(stored, frozenset(_dead_letters(side)), _queued(side))


def _dead_letters(side: Side) -> Iterator[str]:
    """The ids of the messages in the dead-letter queue, which is empty then."""
    sqs, url = side.client("sqs"), side.dead_letter_queue_url
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in messages:
            original = message.get("MessageAttributes", {}).get("original_message_id", {})
            yield original.get("StringValue", message["MessageId"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])


def _queued(side: Side) -> int:
    sqs = side.client("sqs")
    return sum(queued(sqs, url) for url in (side.queue_url, *side.more_queue_urls))


def _dead(side: Side) -> int:
    return queued(side.client("sqs"), side.dead_letter_queue_url)
