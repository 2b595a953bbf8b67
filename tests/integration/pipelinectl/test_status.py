"""What lies where, on a stack in moto; what Lambda would say is given."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from pipelinectl import status
from pipelinectl.aws import Connection, find_stack
from pipelinectl.doors import Doors, Mapping
from pipelinectl.executions import Execution, Executions
from pipelinectl.status import MOST, LastHour, Status, look
from tests.integration.pipelinectl.conftest import STACK_NAME, Deployed

NOW = datetime.now(UTC)
FUNCTION = "test-durable-pipeline"


def execution(state: str) -> Execution:
    return Execution("uuid/uuid", "one", state, NOW, None)


@pytest.fixture
def lambdas(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What Lambda is asked for; one runs, and one has failed."""
    asked: list[dict[str, Any]] = []

    def newest(_: Executions, **options: Any) -> Any:
        asked.append(options)
        return iter([execution(options["statuses"][0])])

    monkeypatch.setattr(Executions, "newest", newest)
    monkeypatch.setattr(
        Doors,
        "mappings",
        lambda _: [Mapping("messages", "u1", "Enabled"), Mapping("files", "u2", "Disabled")],
    )
    return asked


def put_metric(namespace: str, name: str, value: float, ago: timedelta, **dimensions: str) -> None:
    boto3.client("cloudwatch").put_metric_data(
        Namespace=namespace,
        MetricData=[
            {
                "MetricName": name,
                "Value": value,
                "Timestamp": NOW - ago,
                "Dimensions": [{"Name": n, "Value": v} for n, v in dimensions.items()],
            }
        ],
    )


def looked() -> status.Status:
    connection = Connection()
    stack = find_stack(connection.cloudformation, STACK_NAME)
    return look(connection, stack, Executions(connection.lambda_, FUNCTION), NOW)


def test_queues_say_what_waits_and_what_is_in_flight(
    deployed: Deployed, lambdas: list[dict[str, Any]]
) -> None:
    for _ in range(3):
        deployed.sqs.send_message(QueueUrl=deployed.queue_url, MessageBody="{}")
    deployed.sqs.send_message(QueueUrl=deployed.queue_url, MessageBody="{}", DelaySeconds=900)
    deployed.sqs.receive_message(QueueUrl=deployed.queue_url)

    found = looked().queue(deployed.queue_url)

    assert found
    assert (found.waiting, found.in_flight, found.delayed, found.depth) == (2, 1, 1, 4)


def test_ages_are_those_that_cloudwatch_heard_last(
    deployed: Deployed, lambdas: list[dict[str, Any]]
) -> None:
    age = "ApproximateAgeOfOldestMessage"
    deployed.sqs.send_message(QueueUrl=deployed.queue_url, MessageBody="{}")
    put_metric("AWS/SQS", age, 60, timedelta(minutes=9), QueueName="in")
    put_metric("AWS/SQS", age, 300, timedelta(minutes=4), QueueName="in")
    put_metric("AWS/SQS", age, 900, timedelta(minutes=4), QueueName="dead")

    found = looked()

    assert [(one.name, one.oldest_seconds) for one in found.queues] == [
        ("in", 300.0),
        ("internal", None),
        ("dead", None),  # it is empty by now
    ]


def test_the_last_hour_is_what_the_metrics_say(
    deployed: Deployed, lambdas: list[dict[str, Any]]
) -> None:
    ours = {"service": "durable-pipeline", "stack": STACK_NAME}
    put_metric("DurablePipeline", "RecordsStored", 40, timedelta(minutes=30), **ours)
    put_metric("DurablePipeline", "RecordsStored", 2, timedelta(minutes=5), **ours)
    put_metric("DurablePipeline", "RecordsStored", 9, timedelta(hours=2), **ours)
    put_metric("AWS/SQS", "NumberOfMessagesSent", 3, timedelta(minutes=5), QueueName="dead")

    hour = looked().last_hour

    assert (hour.stored, hour.dead_letters) == (42, 3)


def test_executions_that_run_and_those_that_failed_lately(
    deployed: Deployed, lambdas: list[dict[str, Any]]
) -> None:
    found = looked()

    assert [one.status for one in found.running] == ["RUNNING"]
    assert [one.status for one in found.failed] == ["FAILED"]
    assert {asked["limit"] for asked in lambdas} == {MOST}
    assert {asked["since"] for asked in lambdas} == {None, NOW - timedelta(hours=1)}


def test_what_is_paused_is_said(deployed: Deployed, lambdas: list[dict[str, Any]]) -> None:
    assert looked().paused == ("files",)


@pytest.mark.parametrize(
    ("state", "paused"),
    [
        ("Enabled", False),
        ("Creating", False),
        ("Enabling", False),
        ("Updating", False),
        ("Disabling", True),
        ("Disabled", True),
    ],
)
def test_a_door_that_is_changing_is_only_paused_if_it_will_be(state: str, paused: bool) -> None:
    found = Status(NOW, (), (Mapping("files", "u", state),), (), (), LastHour(None, None))

    assert (found.paused == ("files",)) == paused


def test_the_command_prints_all_of_it(deployed: Deployed, lambdas: list[dict[str, Any]]) -> None:
    deployed.sqs.send_message(QueueUrl=deployed.queue_url, MessageBody="{}")

    said = deployed.run("status").stdout
    document = deployed.run("status", "--json").json

    assert "paused: files" in said
    assert "1 execution running now" in said
    assert document["queues"][0]["waiting"] == 1
    assert document["doors"] == {"messages": "Enabled", "files": "Disabled"}
    assert document["executions"]["running"] == 1
