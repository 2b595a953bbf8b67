"""`executions retry` on a stack in moto; of Lambda there is only the execution that is asked."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelinectl.aws import Connection
from tests.events import sqs_event, sqs_message
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import known_of

ARN = "uuid/uuid"


class Lambda:
    """Knows one execution."""

    def __init__(self, status: str, payload: str) -> None:
        self._execution = {
            "DurableExecutionArn": ARN,
            "DurableExecutionName": "run",
            "Status": status,
            "StartTimestamp": datetime(2026, 1, 1, tzinfo=UTC),
            "InputPayload": payload,
        }

    def list_durable_executions_by_function(self, **_: Any) -> Any:
        return {"DurableExecutions": [self._execution]}

    def get_durable_execution(self, *, DurableExecutionArn: str, **_: Any) -> Any:
        assert DurableExecutionArn == ARN
        return self._execution


def knows(monkeypatch: pytest.MonkeyPatch, status: str, payload: str) -> None:
    monkeypatch.setattr(Connection, "lambda_", Lambda(status, payload))


def event(*bodies: str) -> str:
    source = {"source": {"stringValue": "till-7", "dataType": "String"}}
    messages = (sqs_message(body, f"m-{n}", attributes=source) for n, body in enumerate(bodies))
    return json.dumps(sqs_event(*messages))


@pytest.mark.parametrize("reference", [ARN, "run", "last"])
def test_records_are_sent_as_the_same_records(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, reference: str
) -> None:
    knows(monkeypatch, "FAILED", event("a", *["{}"] * 11))

    result = deployed.run("executions", "retry", reference)

    assert result.stdout == "sent 12 messages\n"
    assert "may also come back by themselves" in result.stderr
    # Two batches, side by side: which one is first is open.
    (received,) = (message for message in deployed.again() if message["Body"] == "a")
    assert known_of(received) == {
        "execution_id": "test-m-0",
        "sent_timestamp": 1772354400000,
        "door": "messages",
        "message_attributes": {"source": {"stringValue": "till-7", "dataType": "String"}},
    }


def test_json_says_what_was_sent(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    knows(monkeypatch, "TIMED_OUT", event("a"))

    document = deployed.run("executions", "retry", "last", "--json").json

    assert document["durable_execution_arn"] == ARN
    assert (document["sent"], len(document["message_ids"])) == (1, 1)


@pytest.mark.parametrize(
    ("status", "payload", "said"),
    [
        ("RUNNING", event("a"), "is RUNNING, not failed"),
        ("SUCCEEDED", event("a"), "--force"),
        ("FAILED", '{"no": "records"}', "no SQS event"),
    ],
)
def test_what_cannot_be_retried_is_one_line_and_1(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, status: str, payload: str, said: str
) -> None:
    knows(monkeypatch, status, payload)

    result = deployed.run("executions", "retry", "last")

    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert deployed.bodies_again() == []
