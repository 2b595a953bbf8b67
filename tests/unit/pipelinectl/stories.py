"""Histories of executions, event by event, of the pipeline's own operations."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pipelinectl.executions import Execution, ExecutionInput

START = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class Story:
    """What an execution did, as GetDurableExecutionHistory tells it, a second for each event."""

    arn: str
    messages: Sequence[Any]
    began: datetime = START
    events: list[dict[str, Any]] = field(default_factory=list)
    status: str = "RUNNING"

    def __post_init__(self) -> None:
        self._add("ExecutionStarted", "e", "name", Input={"Payload": self.input})

    @property
    def input(self) -> str:
        """The event that it was started with."""
        return json.dumps({"Records": list(self.messages)})

    @property
    def ended_at(self) -> datetime | None:
        """When it ended."""
        return None if self.status == "RUNNING" else self.events[-1]["EventTimestamp"]

    def invoke(self, name: str, ids: Iterable[str], answer: Any = None) -> Story:
        """A chained invoke for these records that is not over, or answered so."""
        request = json.dumps({"records": [{"id": one} for one in ids]})
        return self.call(name, request, answer)

    def call(self, name: str, request: str, answer: Any = None) -> Story:
        """The same, with whatever request."""
        key = f"{name}-{len(self.events)}"
        self._add("ChainedInvokeStarted", key, name, Input={"Payload": request})
        if answer is not None:
            result = {"Payload": json.dumps(answer)}
            self._add("ChainedInvokeSucceeded", key, name, Result=result)
        return self

    def crash(self, name: str, ids: Iterable[str], error_type: str = "Runtime.ExitError") -> Story:
        """A chained invoke that ended without an answer."""
        self.invoke(name, ids)
        error = {"Payload": {"ErrorType": error_type, "ErrorMessage": "died"}}
        self._add("ChainedInvokeFailed", self.events[-1]["Id"], name, Error=error)
        return self

    def step(self, name: str) -> Story:
        """A step that was done."""
        self._add("StepStarted", name, name)
        self._add("StepSucceeded", name, name, Result={"Payload": "[]"})
        return self

    def end(self, *failures: str) -> Story:
        """Its end, with what it gave back to the queue."""
        answer = {"batchItemFailures": [{"itemIdentifier": one} for one in failures]}
        self._add("ExecutionSucceeded", "e", "name", Result={"Payload": json.dumps(answer)})
        self.status = "SUCCEEDED"
        return self

    def fail(self) -> Story:
        """Its end, as a whole."""
        error = {"Payload": {"ErrorType": "KeyError", "ErrorMessage": "receiptHandle"}}
        self._add("ExecutionFailed", "e", "name", Error=error)
        self.status = "FAILED"
        return self

    def _add(self, kind: str, key: str, name: str, **details: Any) -> None:
        at = self.began + timedelta(seconds=len(self.events))
        self.events.append(
            {"EventType": kind, "EventTimestamp": at, "Id": key, "Name": name}
            | {f"{kind}Details": details}
        )


def results(outcome: str, *ids: str, **more: Any) -> dict[str, Any]:
    """A stage's answer: the same for each of these records."""
    return {"results": [{"id": one, "outcome": outcome, **more} for one in ids], "completed_at": ""}


@dataclass(frozen=True)
class Told:
    """Executions of which there are these stories; `read` are those whose input was asked for."""

    stories: list[Story]
    read: list[str] = field(default_factory=list)

    def newest(self, **_: Any) -> list[Execution]:
        """All of them, newest first."""
        listed = sorted(self.stories, key=lambda story: story.began, reverse=True)
        return [Execution(s.arn, s.arn, s.status, s.began, s.ended_at) for s in listed]

    def history(self, arn: str) -> list[dict[str, Any]]:
        """The events; none of one that is not kept."""
        return next((story.events for story in self.stories if story.arn == arn), [])

    def input_of(self, arn: str) -> ExecutionInput:
        """The input of one."""
        self.read.append(arn)
        (story,) = (story for story in self.stories if story.arn == arn)
        return ExecutionInput(arn, story.status, story.input)
