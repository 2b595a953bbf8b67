import json

import pytest

from pipelinectl.errors import OperationFailedError
from pipelinectl.executions import ExecutionInput, messages
from tests.events import sqs_event_of

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
