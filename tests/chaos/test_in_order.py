"""Everything is killed again and again, and each group of the FIFO door keeps its order."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from localcloud import supervisor
from localcloud.settings import free_settings
from tests.chaos.cloud import ChaosCloud, deployed
from tests.chaos.killing import Killer
from tests.chaos.messages import TRANSIENT_PROBABILITY
from tests.chaos.test_conservation import SETTLE_SECONDS, Options, killing
from tests.e2e.localcloud.support import running
from tests.events import order, standard

MESSAGES, GROUPS, SECONDS = 1000, 20, 180.0
WRONG, TRANSIENT = 0.03, 0.05
PAUSE_SECONDS = 0.3
AT_ONCE = 10


@dataclass(frozen=True)
class Sent:
    """A message: its group, its place there, and whether it becomes an item."""

    group: str
    place: int
    body: str
    is_fine: bool

    @property
    def key(self) -> str:
        """Its item's key; that of its dead letter has no such name, and so it is the body's."""
        return f"{self.group}-{self.place}"


def mixed(random: Random, count: int) -> list[list[Sent]]:
    """As many messages, in turns in which each group has one."""
    turns = range(-(-count // GROUPS))
    return [[_message(random, f"group-{n}", place) for n in range(GROUPS)] for place in turns]


def _message(random: Random, group: str, place: int) -> Sent:
    key, luck = f"{group}-{place}", random.random()
    if luck < WRONG:
        return Sent(group, place, order(quantity=0, record_id=key), is_fine=False)
    stage = random.choice(("validate", "transform", "store"))
    fault = {"fault": f"transient:{stage}:{TRANSIENT_PROBABILITY}"}
    more = fault if luck < WRONG + TRANSIENT else {}
    return Sent(group, place, standard(record_id=key, **more), is_fine=True)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[ChaosCloud]:
    """A local cloud with the pipeline, its FIFO door, and faults in its stages."""
    settings = free_settings(tmp_path / "cloud")
    with running(settings):
        yield deployed(settings, tmp_path / "application", FifoDoor="true")


def test_each_group_is_in_order_whatever_is_killed(
    cloud: ChaosCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    seed = Options.from_environment().seed
    count = int(os.environ.get("CHAOS_MESSAGES") or MESSAGES)
    seconds = float(os.environ.get("CHAOS_SECONDS") or SECONDS)
    with capsys.disabled():
        print(f"\nCHAOS_SEED={seed}: {count} messages in {GROUPS} groups")
    turns = mixed(Random(seed), count)
    killer = Killer(cloud.settings, Random(seed))

    started = time.monotonic()
    with killing(killer):
        for number, turn in enumerate(turns):
            due = started + seconds * number / len(turns)
            time.sleep(max(0.0, due - time.monotonic()))
            send(cloud, turn)
    supervisor.up(cloud.settings)
    cloud.wait_until_settled(SETTLE_SECONDS)

    stored, letters = items_of(cloud), letters_of(cloud)
    sent = [message for turn in turns for message in turn]
    with capsys.disabled():
        print(
            f"{time.monotonic() - started:.0f} s, kills {dict(killer.by_target)}, "
            f"{len(stored)} items, {Counter(letters.values())}, executions {cloud.executions()}"
        )
    assert {*stored, *letters} == {message.key for message in sent}
    assert [key for key in out_of_order(sent, stored) if key] == []
    # What is wrong is no item, and what is fine is one, unless all its deliveries were hit.
    assert not {m.key for m in sent if not m.is_fine} & {*stored}
    given_up = {m.key for m in sent if m.is_fine} - {*stored}
    assert all(letters[key] != "ValidationError" for key in given_up)
    assert cloud.queued() == 0


def send(cloud: ChaosCloud, turn: Sequence[Sent]) -> None:
    """Send one message of each group, again and again until each is in the queue, and only once."""
    url = cloud.outputs["FifoQueueUrl"]
    waiting = list(turn)
    while waiting:
        entries = [
            {
                "Id": str(n),
                "MessageBody": message.body,
                "MessageGroupId": message.group,
                "MessageDeduplicationId": message.key,
            }
            for n, message in enumerate(waiting[:AT_ONCE])
        ]
        try:
            answer = cloud.client("sqs").send_message_batch(QueueUrl=url, Entries=entries)
        except (BotoCoreError, ClientError):
            time.sleep(PAUSE_SECONDS)
            continue
        done = {int(entry["Id"]) for entry in answer.get("Successful", [])}
        waiting = [message for n, message in enumerate(waiting) if n not in done]


def items_of(cloud: ChaosCloud) -> dict[str, str]:
    """When each item was stored, by its key."""
    pages = cloud.client("dynamodb").get_paginator("scan")
    found = pages.paginate(TableName=cloud.outputs["ProcessedDataTable"], ConsistentRead=True)
    return {i["execution_id"]["S"]: i["stored_at"]["S"] for page in found for i in page["Items"]}


def letters_of(cloud: ChaosCloud) -> dict[str, str]:
    """The error type of each dead letter, by the key that its item would have."""
    sqs, url = cloud.client("sqs"), cloud.outputs["FifoDeadLetterQueueUrl"]
    found: dict[str, str] = {}
    while messages := sqs.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
    ).get("Messages"):
        for message in messages:
            said: Any = message["MessageAttributes"]
            found[said["execution_id"]["StringValue"]] = said["error_type"]["StringValue"]
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


def out_of_order(sent: Sequence[Sent], stored: dict[str, str]) -> Iterator[str]:
    """Keys of the items that were written before an earlier one of their group."""
    for group in sorted({message.group for message in sent}):
        keys = [m.key for m in sent if m.group == group and m.key in stored]
        yield from (late for early, late in pairwise(keys) if stored[late] <= stored[early])
