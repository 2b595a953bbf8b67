"""The runner's operations answer documents with AWS's names, whole or without data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from aws_durable_execution_sdk_python import DurableContext, durable_execution

from localcloud.api_model import DurableApi
from localcloud.operations import OPERATIONS
from localcloud.paging import MarkerError
from tests.unit.localcloud.service import Service, serving
from tests.unit.localcloud.test_paging import HAND_MADE


@durable_execution
def handler(event: Any, context: DurableContext) -> Any:
    """Run one step, which raises if told to."""

    def run(_: object) -> object:
        if event == "fail":
            raise KeyError(event)
        return event

    return context.step(run, name="step")


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "executions", handler) as found:
        yield found


def test_every_operation_is_the_runners_or_the_gateways() -> None:
    api = DurableApi(botocore.session.get_session().get_service_model("lambda"))
    of_the_sdk = {"CheckpointDurableExecution", "GetDurableExecutionState"}
    of_the_gateway = {"ListDurableExecutionsByFunction"}
    own = {"StartDurableExecution", "GetLogResult"}
    assert set(api._operations) == (set(OPERATIONS) - own) | of_the_sdk | of_the_gateway


def test_an_execution_that_succeeded(service: Service) -> None:
    arn = service.start("event")
    found = service.end(arn)
    assert found["EndTimestamp"] >= found["StartTimestamp"]
    for name in ("StartTimestamp", "EndTimestamp", "FunctionArn", "DurableExecutionName"):
        del found[name]
    assert found == {
        "DurableExecutionArn": arn,
        "Status": "SUCCEEDED",
        "Version": "3",
        "InputPayload": '"event"',
        "Result": '"event"',
        "ExecutionDataIncluded": True,
        "DurableConfig": {"ExecutionTimeout": 60, "RetentionPeriodInDays": 7},
    }


def test_an_execution_without_its_data(service: Service) -> None:
    arn = service.start("event")
    service.end(arn)
    found = service.ask("GetDurableExecution", arn, IncludeExecutionData=False)
    assert found["ExecutionDataIncluded"] is False
    assert found.keys().isdisjoint({"InputPayload", "Result", "Error"})


def test_a_history_goes_on_where_its_page_ended(service: Service) -> None:
    arn = service.start("event")
    service.end(arn)
    for reverse in (False, True):
        found: list[int] = []
        marker: dict[str, str] = {}
        while True:
            page = service.ask(
                "GetDurableExecutionHistory", arn, MaxItems=2, ReverseOrder=reverse, **marker
            )
            found += [event["EventId"] for event in page["Events"]]
            if "NextMarker" not in page:
                break
            marker = {"Marker": page["NextMarker"]}
        assert found == sorted(range(1, 6), reverse=reverse)
    for hand_made in HAND_MADE:
        with pytest.raises(MarkerError):
            service.ask("GetDurableExecutionHistory", arn, Marker=hand_made)


def test_the_log_of_the_last_invocation(service: Service) -> None:
    arn = service.start("event")
    assert service.ask("GetLogResult", arn) == {"LogResult": "dGFpbA=="}
