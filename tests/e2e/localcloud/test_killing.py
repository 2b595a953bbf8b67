"""What is killed comes back, and what was finished is not done again."""

import json

import pytest

from localcloud import supervisor
from tests.e2e.localcloud.support import STACK, Cloud, Marks, processes_of, wait_for

pytestmark = pytest.mark.timeout(300)

TARGETS = [("runner", 2), ("second", 2), ("gateway", 1), ("ministack", 2)]
DONE = {"first": "first", "second": "second"}


@pytest.mark.parametrize(
    ("target", "runs"), [("runner", 2), ("second", 2), ("gateway", 1), ("ministack", 2)]
)
def test_an_execution_outlives_what_runs_it(
    cloud: Cloud, marks: Marks, target: str, runs: int
) -> None:
    arn = cloud.start("chain", {"marks": str(marks.directory), "wait_in_second": True})
    marks.wait_for("second")
    assert supervisor.kill(cloud.settings, target)
    marks.wait_for("second", runs)
    supervisor.up(cloud.settings)
    marks.release()
    assert json.loads(cloud.wait_for_end(arn)["Result"]) == DONE
    assert marks.runs("first") == 1


def test_everything_outlives_down_and_up(cloud: Cloud, marks: Marks) -> None:
    arn = cloud.start("chain", {"marks": str(marks.directory), "wait_in_second": True})
    marks.wait_for("second")
    supervisor.down(cloud.settings)
    assert processes_of(cloud.settings) == []
    marks.release()
    supervisor.up(cloud.settings)
    assert json.loads(cloud.wait_for_end(arn)["Result"]) == DONE
    assert marks.runs("first") == 1
    body = json.dumps({"name": "after", "marks": str(marks.directory)})
    cloud.client("sqs").send_message(QueueUrl=cloud.outputs["QueueUrl"], MessageBody=body)
    marks.wait_for("first", 2)


def test_an_execution_outlives_its_handler(cloud: Cloud, marks: Marks) -> None:
    arn = cloud.start("chain", {"marks": str(marks.directory), "wait_in_handler": True})
    marks.wait_for("step")
    assert supervisor.kill(cloud.settings, f"{STACK}-chain")
    marks.wait_for("step", 2)
    marks.release()
    assert json.loads(cloud.wait_for_end(arn)["Result"]) == DONE
    assert marks.runs("first") == 1


def test_a_worker_that_has_only_just_started_can_be_spared(cloud: Cloud, marks: Marks) -> None:
    arn = cloud.start("chain", {"marks": str(marks.directory), "wait_in_second": True})
    marks.wait_for("second")
    assert supervisor.kill(cloud.settings, f"{STACK}-second", served_seconds=3600) == []
    marks.release()
    assert json.loads(cloud.wait_for_end(arn)["Result"]) == DONE
    assert marks.runs("second") == 1


def test_a_killed_stage_is_reported_as_lambda_reports_it(cloud: Cloud, marks: Marks) -> None:
    arn = cloud.start("chain", {"marks": str(marks.directory), "wait_in_second": True})
    marks.wait_for("second")
    supervisor.kill(cloud.settings, "second")
    marks.release()
    cloud.wait_for_end(arn)
    [failed] = [e for e in cloud.history(arn) if e["EventType"] == "ChainedInvokeFailed"]
    error = failed["ChainedInvokeFailedDetails"]["Error"]["Payload"]
    assert error["ErrorType"] == "Runtime.ExitError"


def test_a_synchronous_invoke_outlives_the_runner(cloud: Cloud, marks: Marks) -> None:
    event = {"marks": str(marks.directory), "wait_in_second": True}
    name = "outlives-the-runner"
    cloud.invoke("chain", event, InvocationType="Event", DurableExecutionName=name)
    marks.wait_for("second")
    supervisor.kill(cloud.settings, "runner")
    marks.release()
    assert cloud.invoke("chain", event, DurableExecutionName=name).body == DONE


def test_a_callback_reaches_an_execution_that_outlived_the_runner(cloud: Cloud) -> None:
    client = cloud.client("lambda")
    started = client.invoke(FunctionName=cloud.outputs["ApprovalArn"], InvocationType="Event")
    arn = started["DurableExecutionArn"]
    callback_id = wait_for(lambda: cloud.callback_id(arn))
    supervisor.kill(cloud.settings, "runner")
    supervisor.up(cloud.settings)
    client.send_durable_execution_callback_success(CallbackId=callback_id, Result=b"yes")
    assert json.loads(cloud.wait_for_end(arn)["Result"]) == {"approved": "yes"}
