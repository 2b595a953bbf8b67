from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from pipelinectl.cost import Deployment, measure, report
from pipelinectl.errors import NotFoundError
from pipelinectl.executions import Executions
from tests.events import standard
from tests.integration.pipelinectl.conftest import Deployed
from tests.unit.pipelinectl.cost_samples import event, invocation, started, started_with

FUNCTION = "pipe-durable"
PLACE = Deployment("pipe", "us-east-1", is_local=False, retention_days=7, durable_function=FUNCTION)
LIST, HISTORY = "list_durable_executions_by_function", "get_durable_execution_history"


def healthy(*bodies: str) -> list[dict[str, Any]]:
    """The history of a batch that one stage took three quarters of a second for."""
    return [
        started_with(*bodies),
        event("ChainedInvokeStarted", 1, "a", FunctionName="pipe-store"),
        invocation(0, 1.25),
        event("ChainedInvokeSucceeded", 1.75, "a", Result={"Payload": "{}"}),
        invocation(2, 2.25),
        event("ExecutionSucceeded", 3, "e", Result={"Payload": "{}"}),
    ]


@contextmanager
def executions(*answers: tuple[str, dict[str, Any]]) -> Iterator[Executions]:
    """Executions whose client gives these answers, in this order."""
    client = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x").client(
        "lambda", region_name="us-east-1"
    )
    with Stubber(client) as stub:
        for operation, answer in answers:
            stub.add_response(operation, answer)
        yield Executions(client, FUNCTION, sleep=lambda _: None)
        stub.assert_no_pending_responses()


def size(memory_mb: int, architecture: str = "arm64") -> tuple[str, dict[str, Any]]:
    answer = {"MemorySize": memory_mb, "Architectures": [architecture]}
    return "get_function_configuration", answer


def of(*histories: list[dict[str, Any]], month: tuple[int, int] | None = None) -> dict[str, Any]:
    """The report of executions with these histories; only what a record needs has a size."""
    answers = [(HISTORY, {"Events": history}) for history in histories]
    with executions(*answers, size(1024), size(512, "x86_64")) as found:
        measured = measure(found, [f"arn/{n}" for n in range(len(histories))], lambda _: None)
        return report(found.lambda_, measured, PLACE, month)


def test_several_executions_are_added_up() -> None:
    found = of(healthy(standard()), healthy(standard(), standard()))

    assert found["executions"]["counted"] == 2
    assert found["records"] == 2  # m-0 was delivered twice
    compute = {c["name"]: c["quantity"] for c in found["charges"] if c["unit"] == "GB-second"}
    assert compute == {"Lambda compute, arm64": 2 * 1.5, "Lambda compute, x86_64": 2 * 0.75 / 2}
    assert found["patterns"][0]["charges"] == found["charges"]
    assert not found["warnings"]


def test_what_took_in_no_records_is_left_out_and_named() -> None:
    found = of(started_and_failed(), healthy(standard()))

    assert found["executions"]["counted"] == 1
    assert found["executions"]["left_out"] == ["arn/0"]


def started_and_failed() -> list[dict[str, Any]]:
    error = {"Payload": {"ErrorType": "ValueError", "ErrorMessage": "no event"}}
    return [started({"no": "records"}), event("ExecutionFailed", 1, "e", Error=error)]


def test_without_any_record_there_is_no_price_of_one() -> None:
    with (
        executions((HISTORY, {"Events": started_and_failed()})) as found,
        pytest.raises(NotFoundError, match="took in no records"),
    ):
        report(found.lambda_, measure(found, ["arn"], lambda _: None), PLACE, None)


def test_a_forecast_needs_messages_that_went_through_the_stages() -> None:
    end = event("ExecutionSucceeded", 2, "e", Result={"Payload": "{}"})
    rejected = [started_with("no JSON"), invocation(0, 1), end]

    with executions((HISTORY, {"Events": rejected}), size(1024)) as found:
        measured = measure(found, ["arn"], lambda _: None)
        with pytest.raises(NotFoundError, match="no forecast"):
            report(found.lambda_, measured, PLACE, (100, 10))


def test_a_forecast_is_made_from_what_was_measured() -> None:
    forecast = of(healthy(standard()), month=(1000, 100))["forecast"]

    assert (forecast["executions"], forecast["records_a_month"]) == (10, 1000)


def test_the_newest_that_have_ended_are_taken() -> None:
    def summary(arn: str, status: str) -> dict[str, Any]:
        return {
            "DurableExecutionArn": arn,
            "DurableExecutionName": arn,
            "FunctionArn": f"arn:aws:lambda:us-east-1:123456789012:function:{FUNCTION}:live",
            "Status": status,
            "StartTimestamp": event("", 0)["EventTimestamp"],
        }

    listed = [summary("a", "RUNNING"), summary("b", "FAILED"), summary("c", "SUCCEEDED")]
    page = (LIST, {"DurableExecutions": listed, "NextMarker": "more"})
    with executions(page) as found:
        assert found.ended(2) == ["b", "c"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--batch-size", "10"], "give --records or --rate too"),
        (["--records", "10", "--rate", "1"], "two forecasts"),
        (["--rate", "0"], "--rate"),
        (["--records", "0"], "--records"),
        (["--batch-size", "10001"], "--batch-size"),
    ],
)
def test_wrong_options_are_one_line(deployed: Deployed, arguments: list[str], said: str) -> None:
    result = deployed.run("cost", *arguments)

    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
