"""Everything is killed again and again, and in the end every message is accounted for."""

from __future__ import annotations

import json
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random, SystemRandom

import pytest

from localcloud import supervisor
from localcloud.settings import free_settings
from localcloud.supervisor import GATEWAY, MINISTACK
from tests.chaos import objects
from tests.chaos.cloud import PARAMETERS, STACK, ChaosCloud, canonical, deployed
from tests.chaos.conservation import Doubles, Found, doubles, given_up_ids, unexplained, violations
from tests.chaos.killing import Killer
from tests.chaos.messages import STAGES, messages
from tests.chaos.objects import Object
from tests.chaos.report import Report
from tests.chaos.sending import Book, Sender
from tests.e2e.localcloud.support import running

MESSAGES_PER_SECOND = 10
SETTLE_SECONDS = 1200.0


@dataclass(frozen=True)
class Options:
    """How long, how much and how random, from the CHAOS_* variables."""

    seed: int
    seconds: float
    messages: int
    report: Path | None

    @classmethod
    def from_environment(cls) -> Options:
        """Read the variables; what is not set gets a default, the seed a random one."""
        seconds = float(os.environ.get("CHAOS_SECONDS") or 60)
        report = os.environ.get("CHAOS_REPORT")
        return cls(
            seed=int(os.environ.get("CHAOS_SEED") or SystemRandom().randrange(1_000_000)),
            seconds=seconds,
            messages=int(os.environ.get("CHAOS_MESSAGES") or seconds * MESSAGES_PER_SECOND),
            report=Path(report) if report else None,
        )


@dataclass(frozen=True)
class Run:
    """What was done: the options, what was sent, what was killed, and how long all of it took."""

    options: Options
    book: Book
    objects: Sequence[Object]
    killer: Killer
    seconds: float
    seconds_to_settle: float


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[ChaosCloud]:
    """A local cloud with the pipeline and faults in its stages."""
    settings = free_settings(tmp_path / "cloud")
    with running(settings):
        yield deployed(settings, tmp_path / "application")


def test_every_message_is_stored_or_a_dead_letter_whatever_is_killed(
    cloud: ChaosCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    options = Options.from_environment()
    with capsys.disabled():
        print(
            f"\nCHAOS_SEED={options.seed}: {options.messages} messages, {cloud.settings.directory}"
        )

    run = send_and_kill(cloud, options)
    found = cloud.found()

    report = report_of(cloud, run, found)
    if options.report:
        report.write(options.report)
    with capsys.disabled():
        print(report.as_table())
    assert report.violations == []


def send_and_kill(cloud: ChaosCloud, options: Options) -> Run:
    """Send all messages under kills; then wait until nothing is under way any more."""
    sender = Sender(cloud.client("sqs"), cloud.outputs["DataProcessingQueueUrl"])
    # Two, because how often something is killed depends on more than the seed.
    for_messages, for_kills = (Random(options.seed) for _ in range(2))
    killer = Killer(cloud.settings, for_kills)
    started = time.monotonic()
    wanted = objects.objects(for_messages, max(4, int(options.messages * objects.SHARE)))
    putting = objects.Putting(cloud.client("s3"), cloud.outputs["InputBucketName"])
    with killing(killer):
        beside = putting.put_over(wanted, options.seconds)
        sender.send_over(messages(for_messages, options.messages), options.seconds)
        beside.join()
    supervisor.up(cloud.settings)
    stopped = time.monotonic()
    cloud.wait_until_settled(SETTLE_SECONDS)
    now = time.monotonic()
    return Run(options, sender.book, wanted, killer, now - started, now - stopped)


@contextmanager
def killing(killer: Killer) -> Iterator[None]:
    """Kill for as long as the block lasts."""
    thread = threading.Thread(target=killer.run)
    thread.start()
    try:
        yield
    finally:
        killer.stop()
        thread.join()


def report_of(cloud: ChaosCloud, run: Run, found: Found) -> Report:
    """The report of a run that has settled."""
    reasons = Counter(
        f"{x.attributes.get('stage')}/{x.attributes.get('error_type')}" for x in found.letters
    )
    bucket = cloud.outputs["InputBucketName"]
    of_objects = objects.of_objects(found.letters, run.objects, bucket)
    messages_alone = replace(found, letters=[x for x in found.letters if x not in of_objects])
    double = doubles(found.letters)
    return Report(
        seed=run.options.seed,
        messages=run.options.messages,
        objects=len(run.objects),
        distinct_bodies=len(run.book),
        unknown_sends=sum(sending.unknown for sending in run.book.values()),
        seconds=run.seconds,
        seconds_to_settle=run.seconds_to_settle,
        messages_per_second=run.options.messages / run.seconds,
        kills=dict(run.killer.by_target),
        executions=cloud.executions(),
        handler_retries=cloud.handler_retries(),
        items=len(found.items),
        dead_letters=len({letter.original_id for letter in found.letters}),
        good_dead_letters=len(given_up_ids(run.book, found.letters)),
        dead_letters_by_reason=dict(reasons),
        doubled_in_one_execution=double.in_one_execution,
        doubled_by_another_delivery=double.by_another_delivery,
        queued=found.queued,
        violations=[
            *violations(run.book, documents_of(run.book), messages_alone),
            *objects.violations(run.objects, cloud.objects(), of_objects, bucket),
            *unexplained_doubles(double, run.killer.by_target, cloud.executions()),
        ],
    )


def unexplained_doubles(
    double: Doubles, kills: Counter[str], executions: Mapping[str, int]
) -> list[str]:
    """Doubled dead letters that no kill accounts for."""
    crashes = kills.total() - sum(kills[f"{STACK}-{stage}"] for stage in STAGES)
    # With the gateway or ministack go the answers of all batches under way.
    unheard = (kills[GATEWAY] + kills[MINISTACK]) * int(PARAMETERS["MaximumConcurrency"])
    unfinished = sum(executions.values()) - executions.get("SUCCEEDED", 0)
    return unexplained(double, crashes=crashes, unheard=unheard + unfinished)


def documents_of(book: Book) -> dict[str, str]:
    """The canonical document of each body that becomes an item."""
    return {
        body: canonical(json.loads(body))
        for body, sending in book.items()
        if sending.message.kind.is_stored
    }
