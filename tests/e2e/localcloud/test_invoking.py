"""The Lambda endpoint, as stock clients see it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.localcloud.support import STACK, Cloud, Marks, wait_for

pytestmark = pytest.mark.timeout(300)

DONE = {"first": "first", "second": "second"}


def test_a_synchronous_invoke_answers_the_result(cloud: Cloud) -> None:
    answer = cloud.invoke("chain", {})
    assert (answer.status, answer.error, answer.body) == (200, None, DONE)


def test_a_name_makes_an_invoke_idempotent(cloud: Cloud, marks: Marks) -> None:
    event = {"marks": str(marks.directory)}
    one = cloud.invoke("chain", event, DurableExecutionName="once")
    two = cloud.invoke("chain", event, DurableExecutionName="once")
    assert one == two
    assert marks.runs("first") == 1
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.ClientError) as caught:
        cloud.invoke("chain", {"other": "input"}, DurableExecutionName="once")
    error = caught.value.response
    assert error["Error"]["Code"] == "DurableExecutionAlreadyStartedException"
    assert error["ResponseMetadata"]["HTTPStatusCode"] == 409


def test_an_asynchronous_invoke_answers_at_once(cloud: Cloud, marks: Marks) -> None:
    event = {"marks": str(marks.directory), "wait_in_second": True}
    answer = cloud.invoke("chain", event, InvocationType="Event")
    assert (answer.status, answer.body) == (202, None)
    marks.wait_for("second")
    assert cloud.execution(answer.arn)["Status"] == "RUNNING"
    marks.release()
    assert json.loads(cloud.wait_for_end(answer.arn)["Result"]) == DONE


def test_the_aws_cli_works_as_it_is(cloud: Cloud, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    metadata = _aws(cloud, "invoke", "--function-name", f"{STACK}-chain:live", str(out))
    assert json.loads(out.read_text()) == DONE
    arn = metadata["DurableExecutionArn"]
    described = _aws(cloud, "get-durable-execution", "--durable-execution-arn", arn)
    assert described["Status"] == "SUCCEEDED"


@pytest.mark.parametrize(
    "function",
    [
        f"{STACK}-chain",
        f"{STACK}-chain:live",
        f"arn:aws:lambda:eu-central-2:000000000000:function:{STACK}-chain:live",
    ],
)
def test_executions_are_listed_by_any_form_of_the_name(cloud: Cloud, function: str) -> None:
    arn = cloud.invoke("chain", {}).arn
    listed = cloud.client("lambda").list_durable_executions_by_function(
        FunctionName=function, Statuses=["SUCCEEDED"]
    )
    assert listed["DurableExecutions"][0]["DurableExecutionArn"] == arn


def test_the_history_tells_each_stage(cloud: Cloud) -> None:
    arn = cloud.invoke("chain", {}).arn
    names = {e["Name"] for e in cloud.history(arn) if e["EventType"] == "ChainedInvokeSucceeded"}
    assert names == {"first", "second-1"}


def test_an_execution_can_be_stopped(cloud: Cloud, marks: Marks) -> None:
    arn = cloud.start("chain", {"marks": str(marks.directory), "wait_in_second": True})
    marks.wait_for("second")
    cloud.client("lambda").stop_durable_execution(DurableExecutionArn=arn)
    marks.release()
    assert cloud.wait_for_end(arn)["Status"] == "STOPPED"


def test_a_callback_is_delivered(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    started = client.invoke(FunctionName=cloud.outputs["ApprovalArn"], InvocationType="Event")
    arn = started["DurableExecutionArn"]
    callback_id = wait_for(lambda: cloud.callback_id(arn))
    client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b'"yes"')
    assert json.loads(cloud.wait_for_end(arn)["Result"]) == {"approved": '"yes"'}


def test_an_unqualified_invoke_of_a_durable_function_is_refused(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="unqualified"):
        client.invoke(FunctionName=f"{STACK}-chain")


def test_an_unknown_execution_is_reported_as_on_aws(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_durable_execution(
            DurableExecutionArn="arn:aws:lambda:eu-central-2:000000000000:function:none:1"
            "/durable-execution/name/id"
        )


def test_a_plain_function_is_invoked_through_the_same_endpoint(cloud: Cloud) -> None:
    answer = cloud.client("lambda").invoke(FunctionName=f"{STACK}-first", Payload=b"{}")
    assert json.loads(answer["Payload"].read()) == "first"


def test_an_environment_goes_on_after_an_error_of_its_handler(cloud: Cloud) -> None:
    def invoke(event: dict[str, Any]) -> Any:
        answer = cloud.client("lambda").invoke(
            FunctionName=f"{STACK}-first", Payload=json.dumps(event)
        )
        return json.loads(answer["Payload"].read())

    process = invoke({"tell_process": True})
    assert invoke({"answer_bytes": "many"})["errorType"] == "ValueError"
    assert invoke({"tell_process": True}) == process


def test_a_chained_invoke_needs_permission(cloud: Cloud) -> None:
    answer = cloud.invoke("forbidden", {})
    assert answer.error == "Unhandled"
    [failed] = [e for e in cloud.history(answer.arn) if e["EventType"] == "ChainedInvokeFailed"]
    error = failed["ChainedInvokeFailedDetails"]["Error"]["Payload"]
    assert error["ErrorType"] == "AccessDeniedException"
    assert (
        "is not authorized to perform: lambda:InvokeFunction on resource: "
        in (error["ErrorMessage"])
    )


def test_a_checkpoint_needs_permission(cloud: Cloud) -> None:
    answer = cloud.invoke("unsaved", {})
    assert answer.error == "Unhandled"
    assert "AccessDeniedException" in answer.body["errorMessage"]
    assert "lambda:CheckpointDurableExecution" in answer.body["errorMessage"]


def test_a_large_input_passes(cloud: Cloud) -> None:
    answer = cloud.invoke("chain", {"Records": [], "filler": "x" * 5_000_000})
    assert answer.body == {"batchItemFailures": []}


def test_a_queue_triggers_an_execution_and_keeps_what_failed(cloud: Cloud) -> None:
    queue, url = cloud.client("sqs"), cloud.outputs["QueueUrl"]
    bodies: dict[str, Any] = {"good": {}, "bad": {"fail": True}}
    entries = [
        {"Id": name, "MessageBody": json.dumps({"name": name, **body})}
        for name, body in bodies.items()
    ]
    queue.send_message_batch(QueueUrl=url, Entries=entries)
    wait_for(lambda: _hidden_and_visible(queue, url) == (1, 0))
    logs = cloud.client("logs")
    assert wait_for(lambda: _log_streams(logs, f"/aws/lambda/{STACK}-chain"))


def _aws(cloud: Cloud, *arguments: str) -> Any:
    aws = Path(sys.executable).with_name("aws")
    finished = subprocess.run(
        [str(aws), "lambda", *arguments, "--output", "json"],
        env={**os.environ, **cloud.settings.client_environment()},
        check=True,
        capture_output=True,
    )
    return json.loads(finished.stdout)


def _hidden_and_visible(queue: Any, url: str) -> tuple[int, int]:
    attributes = queue.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return (
        int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        int(attributes["ApproximateNumberOfMessages"]),
    )


def _log_streams(logs: Any, group: str) -> Any:
    return logs.describe_log_streams(logGroupName=group)["logStreams"]
