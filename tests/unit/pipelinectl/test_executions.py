import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipelinectl.errors import OperationFailedError
from pipelinectl.executions import ExecutionInput, Executions, messages
from tests.events import sqs_event_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@dataclass
class FakeLambda:
    """Lists so many executions, one a page, in the order that AWS documents."""

    count: int

    def list_durable_executions_by_function(self, **options: Any) -> dict[str, Any]:
        numbers = sorted(range(self.count), reverse=not options["ReverseOrder"])
        index = int(options.get("Marker", 0))
        more = {"NextMarker": str(index + 1)} if index + 1 < self.count else {}
        return {"DurableExecutions": [_summary(n) for n in numbers[index : index + 1]]} | more


def _summary(number: int) -> dict[str, Any]:
    return {
        "DurableExecutionArn": f"arn/{number}",
        "DurableExecutionName": f"run-{number}",
        "Status": "SUCCEEDED",
        "StartTimestamp": NOON + timedelta(seconds=number),
    }


def test_the_newest_come_first() -> None:
    executions = Executions(FakeLambda(3), "pipeline")  # type: ignore[arg-type]  # a fake of what it uses

    assert [execution.name for execution in executions.newest()] == ["run-2", "run-1", "run-0"]
    assert executions.resolve("last") == "arn/2"


EVENT = json.dumps(sqs_event_of(["a", "b"]))


def execution(status: str, payload: str | None = EVENT) -> ExecutionInput:
    return ExecutionInput("uuid/uuid", status, payload)


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "STOPPED"])
def test_all_records_of_a_failed_execution_are_sent_again(status: str) -> None:
    again = messages(execution(status), "test")

    assert [message.text for message in again] == ["a", "b"]
    assert [message.execution_id for message in again] == ["test-m-0", "test-m-1"]


def test_what_succeeded_needs_force() -> None:
    with pytest.raises(OperationFailedError, match="SUCCEEDED, not failed: use --force"):
        messages(execution("SUCCEEDED"), "test")
    assert len(messages(execution("SUCCEEDED"), "test", force=True)) == 2


@pytest.mark.parametrize("status", ["RUNNING", "PAUSED", "PAUSING", "DELETING"])
def test_what_has_not_ended_is_refused_even_with_force(status: str) -> None:
    with pytest.raises(OperationFailedError, match=f"is {status}, not failed: wait"):
        messages(execution(status), "test", force=True)


def test_an_input_that_is_not_kept_is_an_error() -> None:
    with pytest.raises(OperationFailedError, match="not kept any more"):
        messages(execution("FAILED", None), "test")
