"""What nobody knows without AWS: asked along the way, written into the report, never judged.

Two of the facts need a function that does nothing else: the stack of examples/probe.
"""

from __future__ import annotations

import itertools
import json
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipelinectl import errors
from pipelinectl.aws import describe, outputs_of
from pipelinectl.errors import StackMissingError
from pipelinectl.executions import Executions
from pipelinectl.verify.alarms import DURABLE
from pipelinectl.verify.seen import said
from pipelinectl.verify.sent import REFUSED_EVENT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipelinectl.verify.judging import Run

PROBE_OUTPUT = "ProbeFunctionArn"
NOT_ASKED = "not asked: deploy examples/probe, and name its stack with --probe-stack"
TIMEOUT_SECONDS, WAITED_SECONDS = 5, 10
"""The probe's timeout, and how long its execution waits to outlive that."""

_PERIOD_SECONDS = 3600
_RUNNING = "RUNNING"


@dataclass(frozen=True)
class Fact:
    """A question and what was found; `why` says why it was not, where `found` is empty."""

    name: str
    question: str
    found: Mapping[str, Any]
    why: str = ""


@dataclass
class Asked:
    """The questions of one run; what takes its time is started before anything is awaited."""

    run: Run
    probe_stack: str | None
    _pool: ThreadPoolExecutor | None = None
    _outlives: Future[dict[str, Any]] | None = None
    _dies: str | None = None
    _refused: str = ""
    _died: dict[str, Any] = field(default_factory=dict)

    def begin(self) -> None:
        """Start what the probe stack has to do.

        Raises:
            StackMissingError: there is no such stack, or it is another one.
        """
        if self.probe_stack is None:
            return
        arn = self._probe_arn(self.probe_stack)
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._outlives = self._pool.submit(outliving, self.run, arn)
        self._pool.shutdown(wait=False)
        try:
            self._dies = self._lambda.invoke(
                FunctionName=arn,
                InvocationType="Event",
                DurableExecutionName=f"{self.run.names.prefix}-dies",
                Payload=json.dumps({"probe": "die", "name": self.run.names.prefix}).encode(),
            )["DurableExecutionArn"]
        except errors.expected() as error:
            self._refused = said(error)

    def pending(self) -> bool:
        """Whether the probe stack is still at it."""
        outlives = self._outlives is not None and not self._outlives.done()
        return self._still_dying() or outlives

    def facts(self) -> list[Fact]:
        """All that is known, once nothing is awaited any more."""
        return [self._dead_letter(), self._metrics(), self._synchronous(), self._repeated()]

    @property
    def _lambda(self) -> Any:
        return self.run.deployed.connection.lambda_

    def _probe_arn(self, stack_name: str) -> str:
        described = describe(self.run.deployed.connection.cloudformation, stack_name)
        try:
            return outputs_of(described)[PROBE_OUTPUT]
        except KeyError:
            msg = f"stack '{stack_name}' has no output {PROBE_OUTPUT}: deploy examples/probe"
            raise StackMissingError(msg) from None

    def _still_dying(self) -> bool:
        if self._dies is None or self._died:
            return False
        asked = self._lambda.get_durable_execution(
            DurableExecutionArn=self._dies, IncludeExecutionData=False
        )
        if asked["Status"] == _RUNNING:
            return True
        history = list(Executions(self._lambda, "").history(self._dies))
        self._died = repeats(asked, history, self._deaths())
        return False

    def _deaths(self) -> list[datetime]:
        """When the probe said that it dies: a history may not tell of such an invocation."""
        try:
            lines = self.run.deployed.connection.logs.filter_log_events(
                logGroupName=f"/aws/lambda/{self.probe_stack}-probe",
                filterPattern=f'"{self.run.names.prefix}"',
            )["events"]
        except errors.expected():
            return []  # no log, or none that the caller may read: the history has to do
        said_so = [line for line in lines if f"{self.run.names.prefix} dies" in line["message"]]
        return [datetime.fromtimestamp(line["timestamp"] / 1000, UTC) for line in said_so]

    def _dead_letter(self) -> Fact:
        question = "which attributes has a dead letter that Lambda itself sends"
        letter = self.run.observed.letter_of(REFUSED_EVENT)
        if letter is None:
            return Fact("lambda-dead-letter", question, {}, "no such dead letter has come")
        attributes = {
            name: {"type": value["dataType"], "value": value.get("stringValue", "binary")}
            for name, value in letter.message_attributes.items()
        }
        return Fact("lambda-dead-letter", question, {"attributes": attributes})

    def _metrics(self) -> Fact:
        question = "how many samples, and of which maximum, the durable metrics have"
        try:
            found = {name: self._statistics(name) for name in DURABLE}
        except errors.expected() as error:
            return Fact("durable-metrics", question, {}, said(error))
        written = {name: points for name, points in found.items() if points}
        if not written:
            return Fact("durable-metrics", question, {}, "none has been written in this hour")
        ours = [e for e in self.run.observed.executions.values() if e.ended]
        beside = {
            "executions_of_this_run": len(ours),
            "most_operations_in_one": max((operations(e.events) for e in ours), default=0),
        }
        return Fact("durable-metrics", question, {"metrics": written, **beside})

    def _statistics(self, name: str) -> Sequence[Mapping[str, Any]]:
        now = datetime.now(UTC)
        answer = self.run.deployed.connection.cloudwatch.get_metric_statistics(
            Namespace="AWS/Lambda",
            MetricName=name,
            Dimensions=[
                {"Name": "FunctionName", "Value": self.run.deployed.stack.durable_function_name}
            ],
            StartTime=now - timedelta(seconds=_PERIOD_SECONDS),
            EndTime=now,
            Period=_PERIOD_SECONDS,
            Statistics=["SampleCount", "Maximum", "Sum"],
        )
        return [
            {name: point[name] for name in ("SampleCount", "Maximum", "Sum")}
            for point in answer["Datapoints"]
        ]

    def _synchronous(self) -> Fact:
        question = "does a synchronous durable invocation outlive the function's timeout"
        if self._outlives is None:
            return Fact("synchronous-invocation", question, {}, NOT_ASKED)
        if not self._outlives.done():
            return Fact("synchronous-invocation", question, {}, "no answer by the deadline")
        return Fact("synchronous-invocation", question, self._outlives.result())

    def _repeated(self) -> Fact:
        question = "how often is an invocation that dies repeated"
        if self.probe_stack is None:
            return Fact("dying-invocation", question, {}, NOT_ASKED)
        why = self._refused or "the execution has not ended by the deadline"
        return Fact("dying-invocation", question, self._died, "" if self._died else why)


def outliving(run: Run, arn: str) -> dict[str, Any]:
    """Invoke the probe and wait for its answer: it waits for twice as long as its timeout."""
    began = time.monotonic()
    found: dict[str, Any] = {
        "function_timeout_seconds": TIMEOUT_SECONDS,
        "execution_waits_seconds": WAITED_SECONDS,
    }
    try:
        answer = run.deployed.connection.lambda_.invoke(
            FunctionName=arn,
            DurableExecutionName=f"{run.names.prefix}-outlives",
            Payload=json.dumps({"probe": "wait", "seconds": WAITED_SECONDS}).encode(),
        )
    except errors.expected() as error:
        return found | {"error": said(error)}
    return found | {
        "answered_after_seconds": round(time.monotonic() - began, 1),
        "status_code": answer["StatusCode"],
        "function_error": answer.get("FunctionError"),
    }


def repeats(
    execution: Mapping[str, Any], events: Sequence[Mapping[str, Any]], deaths: Sequence[datetime]
) -> dict[str, Any]:
    """How often a durable function was invoked that never came to its end, and how it ended.

    As the history has it, and as its log does, whose times are `deaths`.
    """
    details = [
        event["InvocationCompletedDetails"]
        for event in events
        if event["EventType"] == "InvocationCompleted"
    ]
    began, ended = events[0]["EventTimestamp"], events[-1]["EventTimestamp"]
    return {
        "invocations_in_history": len(details),
        "invocations_in_log": len(deaths),
        "seconds_between": _pauses([one["StartTimestamp"] for one in details] or deaths),
        "status": execution["Status"],
        "error_type": (execution.get("Error") or {}).get("ErrorType"),
        "seconds": round((ended - began).total_seconds(), 1),
    }


def _pauses(times: Sequence[datetime]) -> list[float]:
    return [round((b - a).total_seconds(), 1) for a, b in itertools.pairwise(sorted(times))]


def operations(events: Sequence[Mapping[str, Any]]) -> int:
    """Durable operations in a history, the execution itself included."""
    return len({event.get("Id") for event in events if event["EventType"].endswith("Started")})
