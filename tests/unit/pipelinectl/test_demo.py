"""The demo's messages, its blows with what they hit, its counts, and its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from pipeline_core.catalog import CatalogEntry
from pipeline_core.messages import MAX_MESSAGE_BYTES
from pipeline_core.objects import ObjectId
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.demo import (
    Chaos,
    Events,
    FileAccount,
    Kill,
    SentMessage,
    Tally,
    account,
    file_source,
    messages,
    more_messages,
    read_events,
    strike,
)
from pipelinectl.errors import NotFoundError, OperationFailedError
from pipelinectl.executions import Execution
from pipelinectl.objects import Reject
from pipelinectl.sending import Body
from pipelinectl.uploading import Uploaded

EVENTS = Path(__file__).parents[3] / "events"

GOOD = (Body('{"a": 1.10}', "g"), Body('{"a": 2}', "g"))
BAD = (Body('{"b": 1}', "b"), Body("no json", "b"))


def test_every_bad_body_is_sent_once_among_repeated_good_ones() -> None:
    sent = list(messages(Events(GOOD, BAD), "run", 10))

    assert len(sent) == 10
    assert [message.bad for message in sent].count(True) == 2
    assert not sent[0].bad


def test_each_object_gets_an_identity_of_this_run_and_stays_as_it_is() -> None:
    sent = list(messages(Events(GOOD, BAD), "run", 10))

    ids = [json.loads(m.body.text)["record_id"] for m in sent if m.record_id]
    assert len(set(ids)) == len(ids) == 9
    assert ids[0] == sent[0].record_id == "demo-run-00001"
    assert '"a": 1.10' in sent[3].body.text


def test_one_good_message_is_too_large_for_sqs() -> None:
    sent = list(messages(Events(GOOD, BAD), "run", 10))

    large = [message for message in sent if message.body.size > MAX_MESSAGE_BYTES]
    assert large == sent[:1]
    assert not sent[0].bad
    assert json.loads(sent[0].body.text)["record_id"] == "demo-run-00001"


def test_what_is_no_object_is_marked_in_its_text() -> None:
    (marked,) = [m for m in messages(Events(GOOD, BAD), "run", 10) if m.record_id is None]

    assert marked.body.text.startswith("no json (demo-run-")


def test_the_projects_own_events_can_be_read() -> None:
    events = read_events(EVENTS)

    assert events.good
    assert len(events.bad) >= 2


def test_missing_events_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"standard\.jsonl"):
        read_events(tmp_path)


def test_what_is_sent_more_is_good_and_has_an_identity_of_its_own() -> None:
    sent = list(more_messages(Events(GOOD, BAD), "again", 5))

    assert [message.record_id for message in sent] == [f"demo-again-0000{n}" for n in range(1, 6)]
    assert not any(message.bad for message in sent)


NOW = datetime(2026, 1, 1, tzinfo=UTC)


def invoke(event_type: str, stage: str, second: float = 0) -> dict[str, Any]:
    at = NOW + timedelta(seconds=second)
    return {"EventType": event_type, "EventTimestamp": at, "Id": stage, "Name": stage}


@dataclass
class FakePipeline:
    """Executions whose invokes run until workers are killed, and a queue behind them.

    `invokes` has the stage of each execution's unfinished invoke, which another one went before;
    None where only the one before is under way.
    `fails` are the executions whose invoke fails when the workers of its stage are killed, so many
    looks at it later; the invokes of others succeed. `other_failures` are of invokes beside them:
    the stage, and the seconds at which it failed.
    """

    invokes: Mapping[str, str | None]
    workers: Mapping[str, list[int]]
    fails: Mapping[str, int] = field(default_factory=dict)
    other_failures: Sequence[tuple[str, float]] = ()
    waiting: int = 0
    ends_when_killed: bool = False
    ends_when_held: bool = False
    seconds: float = 0.0
    held: list[str] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    looks: dict[str, int] = field(default_factory=dict)

    def newest(self, *, statuses: Sequence[str], limit: int) -> Iterator[Execution]:
        assert statuses == ["RUNNING"]
        ended = self.ends_when_killed and self.killed
        for arn in [] if ended else list(self.invokes)[:limit]:
            yield Execution(arn, arn, "RUNNING", NOW, None)

    def history(self, arn: str) -> list[dict[str, Any]]:
        start = {"EventType": "ExecutionStarted", "EventTimestamp": NOW, "Id": "e", "Name": "run"}
        stage = self.invokes[arn]
        before = invoke("ChainedInvokeStarted", "before")
        if stage is None:
            return [start, before]
        done = invoke("ChainedInvokeSucceeded", "before")
        return [
            start,
            before,
            done,
            *(
                invoke(kind, f"{name} attempt 9", at)
                for name, at in self.other_failures
                for kind in ("ChainedInvokeStarted", "ChainedInvokeFailed")
            ),
            invoke("ChainedInvokeStarted", stage),
            *self._ended(arn, stage),
        ]

    def _ended(self, arn: str, stage: str) -> list[dict[str, Any]]:
        if not self.killed:
            return []
        self.looks[arn] = self.looks.get(arn, 0) + 1
        hit = arn in self.fails and stage in self.killed
        if hit and self.looks[arn] <= self.fails[arn]:
            return []
        return [invoke("ChainedInvokeFailed" if hit else "ChainedInvokeSucceeded", stage, 1000)]

    @contextmanager
    def hold(self, stage: str) -> Iterator[int]:
        self.held.append(stage)
        if self.ends_when_held:
            self.invokes = dict.fromkeys(self.invokes)
        yield len(self.workers.get(stage, []))
        self.held.remove(stage)

    def kill(self, stage: str) -> list[int]:
        assert self.held == [stage]
        assert self.seconds >= 1  # an invoke has hung for as long
        self.killed += [stage for _ in self.workers.get(stage, [])]
        return self.workers.get(stage, [])

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def clock(self) -> float:
        self.seconds += 0.01
        return self.seconds


def kills(pipeline: FakePipeline) -> list[Kill]:
    chaos = Chaos(
        pipeline,  # type: ignore[arg-type]  # a fake of what it uses
        pipeline.hold,
        pipeline.kill,
        lambda: pipeline.waiting,
        sleep=pipeline.sleep,
        clock=pipeline.clock,
        now=lambda: NOW + timedelta(seconds=pipeline.seconds),
    )
    return list(chaos.kills(60))


@pytest.mark.parametrize("looks", [0, 12])
def test_killing_ends_when_an_execution_felt_it_however_late_that_shows(looks: int) -> None:
    pipeline = FakePipeline(
        {"a/1": None, "b/2": "validate"}, {"validate": [7, 8]}, fails={"b/2": looks}
    )

    assert kills(pipeline) == [Kill("validate", 2, 2, "b/2")]


def test_what_the_oldest_execution_waits_for_is_hit_as_it_has_come_furthest() -> None:
    newest_first = {"a/2": "validate", "b/1": "store"}
    pipeline = FakePipeline(newest_first, {"validate": [7], "store": [8]}, fails={"b/1": 0})

    assert kills(pipeline) == [Kill("store", 1, 2, "b/1")]
    assert pipeline.killed == ["store"]


def test_an_invoke_that_ended_all_the_same_was_not_hit_and_is_not_waited_for() -> None:
    pipeline = FakePipeline({"a/1": "store"}, {"store": [7]}, ends_when_killed=True)

    assert kills(pipeline) == [Kill("store", 1, 1, None)]
    assert pipeline.seconds < 3


@pytest.mark.parametrize("failure", [("store", 0), ("transform", 1000)])
def test_a_failure_from_before_the_blow_or_of_another_stage_does_not_count(
    failure: tuple[str, float],
) -> None:
    pipeline = FakePipeline(
        {"a/1": "store"}, {"store": [7]}, other_failures=[failure], ends_when_killed=True
    )

    assert kills(pipeline) == [Kill("store", 1, 1, None)]


def test_nothing_is_killed_before_an_execution_is_halfway_and_the_time_ends_it() -> None:
    pipeline = FakePipeline({"a/1": None}, {"validate": [7]}, waiting=1)

    assert kills(pipeline) == []
    assert pipeline.killed == []
    assert pipeline.seconds >= 60


def test_messages_that_wait_are_waited_for_until_there_are_none() -> None:
    waits = FakePipeline({}, {"validate": [7]}, waiting=3)
    empty = FakePipeline({}, {"validate": [7]})

    assert kills(waits) == kills(empty) == []
    assert waits.seconds >= 60
    assert empty.seconds < 1


def test_workers_that_none_of_the_executions_hangs_in_go_on_unharmed() -> None:
    pipeline = FakePipeline({"a/1": "store"}, {"store": [7]}, ends_when_held=True)

    assert kills(pipeline) == []
    assert pipeline.killed == []


def test_without_a_worker_there_is_no_blow() -> None:
    pipeline = FakePipeline({"a/1": "store"}, {})

    assert kills(pipeline) == []


MISSED, HIT = Kill("store", 1, 1, None), Kill("store", 1, 2, "a/1")


def struck(*rounds: list[Kill]) -> tuple[str, list[Kill], int]:
    """What was hit, what was shown, and how often more messages were sent."""
    following, shown, sent = iter(rounds), list[Kill](), list[None]()
    found = strike(
        lambda: iter(next(following)), lambda: sent.append(None), shown.append, rounds=len(rounds)
    )
    return found, shown, len(sent)


def test_a_hit_at_once_needs_no_more_messages() -> None:
    assert struck([HIT], []) == ("a/1", [HIT], 0)


def test_more_messages_are_sent_until_an_execution_is_hit() -> None:
    found, shown, sent = struck([], [MISSED], [MISSED, HIT], [])

    assert (found, sent) == ("a/1", 2)
    assert shown == [MISSED, MISSED, HIT]


def test_never_to_hit_an_execution_is_a_failure_in_one_line() -> None:
    with pytest.raises(OperationFailedError) as raised:
        struck([MISSED], [], [MISSED])

    assert "killed 2 times in 3 rounds of messages, and no execution was hit" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert raised.value.exit_code == 1


ONE, TWO, THREE = (SentMessage(f"m-{n}", f"run-{n}") for n in (1, 2, 3))


def dead_letter(message_id: str) -> DeadLetter:
    return DeadLetter(message_id, "handle", "{}", {}, 0)


def test_the_count_comes_out_when_each_message_is_in_one_place() -> None:
    found = account((ONE, TWO), frozenset({"run-1"}), {"m-2": dead_letter("m-2")})

    assert found.balanced
    assert (found.sent, len(found.stored), len(found.dead_letters)) == (2, 1, 1)


def test_a_message_that_is_nowhere_is_missing() -> None:
    found = account((ONE, TWO, THREE), frozenset({"run-1", "run-3"}), {})

    assert not found.balanced
    assert found.missing == ("run-2",)


def test_a_message_in_two_places_does_not_make_up_for_a_missing_one() -> None:
    found = account((ONE, TWO), frozenset({"run-1"}), {"m-1": dead_letter("m-1")})

    assert (found.missing, found.doubled) == (("run-2",), ("run-1",))


def test_settled_means_that_nothing_is_under_way_and_all_has_arrived() -> None:
    assert Tally(sent=3, stored=2, dead=1, waiting=0, in_flight=0).settled
    assert not Tally(sent=3, stored=2, dead=0, waiting=0, in_flight=0).settled
    assert not Tally(sent=3, stored=2, dead=1, waiting=0, in_flight=1).settled


UPLOADED = Uploaded(file_source(EVENTS), ObjectId("bucket", "input/orders.csv"), "etag")


def entry(state: str, **counts: int) -> CatalogEntry:
    found: Any = {"state": state, "counts": counts}
    return cast("CatalogEntry", found)


def test_each_row_is_a_result_or_a_reject_that_was_read() -> None:
    done = entry("done", rows=3, results=2, rejects=1)

    assert FileAccount(UPLOADED, done, (Reject({}),)).balanced
    assert not FileAccount(UPLOADED, done, ()).balanced
    assert not FileAccount(
        UPLOADED, entry("done", rows=3, results=1, rejects=1), (Reject({}),)
    ).balanced


def test_a_file_that_is_not_done_is_not_balanced() -> None:
    assert not FileAccount(UPLOADED, None).balanced
    assert not FileAccount(UPLOADED, entry("failed")).balanced
