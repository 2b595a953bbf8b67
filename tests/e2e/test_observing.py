"""What operators see of the deployed pipeline: logs that hang together, metrics, a dashboard."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from localcloud.cloudformation_yaml import load
from pipelinectl.errors import ExitCode
from tests.e2e.alarms import alarms_of
from tests.e2e.conftest import PATIENCE, ROOT, STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.operator import Operator
from tests.events import standard

RESOURCES: dict[str, Any] = load(ROOT / "template.yaml")["Resources"]
STAGES = {"validate", "transform", "store"}
PIPELINE = "durable-pipeline"


def test_a_message_is_followed_by_its_id_through_all_functions(stack: Stack) -> None:
    (message_id,) = stack.send([standard()])
    stack.wait_for_items([message_id])

    def complete() -> list[Any] | None:
        found = asked(stack, "OneMessageQuery", ID=message_id)
        ended = any(line["message"] == "batch processed" for line in of_execution(stack, found))
        return found if ended and {line["service"] for line in found} > STAGES else None

    lines = wait_for(complete)

    (arn,) = {line["durable_execution_arn"] for line in lines}
    assert [e["EventType"] for e in stack.history(arn)].count("ChainedInvokeSucceeded") == 3
    (stored,) = [line for line in lines if line["service"] == "store"]
    assert stored["execution_ids"] == f"test-{message_id}"


def test_a_record_is_followed_through_all_functions_until_ctrl_c(
    stack: Stack, tmp_path: Path
) -> None:
    shown = tmp_path / "shown"
    with (
        shown.open("w") as output,
        Operator.of(stack).start(
            "logs", "--follow", "--record", "followed-1", "--json", output=output
        ) as following,
    ):
        ids = stack.send([standard(record_id="followed-1"), standard(record_id="other-1")])

        wait_for(lambda: {line["function"] for line in lines_in(shown)} >= {"store", PIPELINE})
        following.send_signal(signal.SIGINT)

        assert following.wait(PATIENCE) == ExitCode.INTERRUPTED
    # Its message's id stands in a line as well as its own, once that is known.
    named = [json.dumps(line["event"]) for line in lines_in(shown)]
    assert all("followed-1" in text or ids[0] in text for text in named)
    (stored,) = [line for line in lines_in(shown) if line["function"] == "store"]
    assert "followed-1" in stored["event"]["execution_ids"].split(", ")


def lines_in(shown: Path) -> list[Any]:
    """The whole lines of a file that grows."""
    whole, _, _ = shown.read_text().rpartition("\n")
    return [json.loads(line) for line in whole.splitlines()]


def test_metrics_of_a_batch_are_in_the_logs(stack: Stack) -> None:
    (message_id,) = stack.send([standard()])
    stack.wait_for_items([message_id])

    def emitted() -> dict[str, set[str]] | None:
        found = {
            service: names(metrics_in(log_of(stack, service)))
            for service in ("durable-pipeline", *STAGES)
        }
        return found if all(found.values()) else None

    metrics = wait_for(emitted)

    assert {"BatchSize", "RecordsStored", "OldestRecordAge"} <= metrics["durable-pipeline"]
    assert all(metrics[stage] == {"StageDuration"} for stage in STAGES)
    assert {line["stack"] for line in metrics_in(log_of(stack, "store"))} == {STACK}


def test_the_dashboard_and_every_alarm_are_deployed(stack: Stack) -> None:
    cloudwatch = stack.client("cloudwatch")
    alarms = alarms_of(stack)

    body = json.loads(cloudwatch.get_dashboard(DashboardName=STACK)["DashboardBody"])

    expected = [r for r in RESOURCES.values() if r["Type"] == "AWS::CloudWatch::Alarm"]
    assert len(alarms) == len(expected)
    assert {tuple(a["AlarmActions"]) for a in alarms} == {(stack.outputs["OperatorsTopicArn"],)}
    (widget,) = [w for w in body["widgets"] if w["type"] == "alarm"]
    assert sorted(widget["properties"]["alarms"]) == sorted(a["AlarmArn"] for a in alarms)
    assert "${" not in json.dumps(body)


def asked(stack: Stack, query: str, **placeholders: str) -> list[Any]:
    """The lines that a saved query finds, with its placeholders filled in."""
    properties = RESOURCES[query]["Properties"]
    text = properties["QueryString"]
    for name, value in placeholders.items():
        text = text.replace(name, value)
    logs = stack.client("logs")
    known = set(log_groups(stack))
    names = {log_group_name(group["Ref"]) for group in properties["LogGroupNames"]}
    query_id = logs.start_query(
        logGroupNames=sorted(names & known), startTime=0, endTime=2**32, queryString=text
    )["queryId"]
    rows = logs.get_query_results(queryId=query_id)["results"]
    messages = [f["value"] for row in rows for f in row if f["field"] == "@message"]
    return [json.loads(message) for message in messages if message.startswith("{")]


def of_execution(stack: Stack, lines: list[Any]) -> Iterator[Any]:
    """All lines of the durable function about the executions that ``lines`` are of."""
    arns = {line.get("durable_execution_arn") for line in lines}
    for line in log_of(stack, "durable-pipeline"):
        if line.get("durable_execution_arn") in arns:
            yield line


def log_group_name(logical_id: str) -> str:
    name: str = RESOURCES[logical_id]["Properties"]["LogGroupName"]["Fn::Sub"]
    return name.replace("${AWS::StackName}", STACK)


def log_groups(stack: Stack) -> list[str]:
    return [g["logGroupName"] for g in stack.client("logs").describe_log_groups()["logGroups"]]


def log_of(stack: Stack, function: str) -> list[Any]:
    """The structured lines that a function has logged."""
    pages = stack.client("logs").get_paginator("filter_log_events")
    found = pages.paginate(logGroupName=f"/aws/lambda/{STACK}-{function}")
    texts = [event["message"].strip() for page in found for event in page["events"]]
    return [json.loads(text) for text in texts if text.startswith("{")]


def metrics_in(lines: list[Any]) -> list[Any]:
    return [line for line in lines if "_aws" in line]


def names(metrics: list[Any]) -> set[str]:
    return {
        metric["Name"]
        for line in metrics
        for directive in line["_aws"]["CloudWatchMetrics"]
        for metric in directive["Metrics"]
    }
