from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelinectl.demonstration.chaos import Chaos, Kill, Struck
from pipelinectl.executions import Execution

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def history(stage: str | None, failed_after: float) -> list[dict[str, Any]]:
    """An execution in which an invoke of `stage` failed so many seconds after the kill."""
    start = {"EventType": "ExecutionStarted", "EventTimestamp": NOW, "Id": "e", "Name": "run"}
    if stage is None:
        return [start]
    failed = NOW + timedelta(seconds=failed_after)
    operation = {"Id": "a", "Name": stage}
    return [
        start,
        {"EventType": "ChainedInvokeStarted", "EventTimestamp": NOW, **operation},
        {"EventType": "ChainedInvokeFailed", "EventTimestamp": failed, **operation},
    ]


@dataclass
class FakeExecutions:
    """Executions that run for ever, with these histories."""

    histories: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def newest(self, *, statuses: Sequence[str], limit: int) -> Iterator[Execution]:
        assert statuses == ["RUNNING"]
        for arn in list(self.histories)[:limit]:
            yield Execution(arn, arn, "RUNNING", NOW, None)

    def history(self, arn: str) -> list[dict[str, Any]]:
        return self.histories[arn]


def kills(executions: FakeExecutions, pids: dict[str, list[int]]) -> list[Kill]:
    seconds = iter(range(1000))
    chaos = Chaos(
        executions,  # type: ignore[arg-type]  # a fake of what it uses
        lambda stage: pids.get(stage, []),
        sleep=lambda _: None,
        clock=lambda: next(seconds),
        now=lambda: NOW,
    )
    return list(chaos.kills(at_most=3, deadline_seconds=20))


def test_killing_ends_when_an_execution_felt_it() -> None:
    executions = FakeExecutions({"a/1": history(None, 0), "b/2": history("validate", 1)})

    (kill,) = kills(executions, {"validate": [7, 8]})

    assert kill == Kill({"validate": 2}, 2, Struck("b/2", "validate"))


def test_the_execution_that_had_come_furthest_is_shown() -> None:
    executions = FakeExecutions({"a/1": history("validate", 1), "b/2": history("store", 1)})

    (kill,) = kills(executions, {"validate": [7], "transform": [], "store": [8]})

    assert kill == Kill({"store": 1, "validate": 1}, 2, Struck("b/2", "store"))


def test_a_failure_from_before_the_kill_or_of_another_stage_does_not_count() -> None:
    executions = FakeExecutions({"a/1": history("validate", -1), "b/2": history("store", 1)})

    found = kills(executions, {"validate": [7]})

    assert [kill.struck for kill in found] == [None, None, None]


def test_nothing_is_killed_while_nothing_runs_and_the_time_ends_it() -> None:
    assert kills(FakeExecutions(), {"validate": [7]}) == []


def test_without_a_worker_there_is_no_blow() -> None:
    assert kills(FakeExecutions({"a/1": history(None, 0)}), {}) == []
