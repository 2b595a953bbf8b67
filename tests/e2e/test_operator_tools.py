"""What an operator does about records that failed, with the command line as it is installed."""

from __future__ import annotations

import json

import pytest

from pipelinectl.commands.executions import Status
from pipelinectl.executions import Executions
from tests.e2e.conftest import STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.objects import Objects, csv_of
from tests.e2e.operator import Operator
from tests.events import order, sqs_event, sqs_event_of, sqs_message, standard

ALIAS = f"{STACK}-durable-pipeline:live"


@pytest.fixture
def operator(stack: Stack) -> Operator:
    stack.take_dead_letters()
    return Operator.of(stack)


def test_an_edited_dead_letter_becomes_the_item_it_should_have_been(
    stack: Stack, operator: Operator
) -> None:
    queue = stack.outputs["DataProcessingQueueUrl"]
    source = {"DataType": "String", "StringValue": "till-7"}
    message_id = stack.client("sqs").send_message(
        QueueUrl=queue, MessageBody=order(quantity=0), MessageAttributes={"source": source}
    )["MessageId"]

    (letter,) = wait_for(lambda: operator.json("dlq", "list"))
    shown = operator.run("dlq", "show", letter["message_id"][:8]).stdout
    done = operator.json(
        "dlq", "redrive", "--id", letter["message_id"][:8], "--body", order(quantity=1)
    )

    assert "till-7" in shown
    assert letter["stage"] == "validate"
    assert letter["execution_id"] == f"test-{message_id}"
    assert [sent["execution_id"] for sent in done["sent"]] == [f"test-{message_id}"]
    item = wait_for(lambda: stack.items().get(f"test-{message_id}"))
    assert item["message_id"]["S"] == done["sent"][0]["new_message_id"]
    assert operator.json("dlq", "list") == []


def test_a_failed_execution_is_shown_and_retried(stack: Stack, operator: Operator) -> None:
    message = sqs_message(standard(data_source="retried"), "m-retried")
    # An event source mapping never leaves it out, so the handler relies on it.
    del message["receiptHandle"]
    started = stack.client("lambda").invoke(
        FunctionName=ALIAS, Payload=json.dumps(sqs_event(message)), InvocationType="Event"
    )
    arn = started["DurableExecutionArn"]
    stack.cloud.wait_for_end(arn)

    listed = operator.json("executions", "list", "--status", "FAILED")
    shown = operator.run("executions", "show", arn).stdout
    done = operator.json("executions", "retry", arn)

    assert arn in [execution["durable_execution_arn"] for execution in listed]
    assert "execution in the handler: KeyError" in " ".join(shown.split())
    assert done["sent"] == 1
    item = wait_for(lambda: stack.items().get("test-m-retried"))
    assert item["data_source"]["S"] == "RETRIED"


def test_an_execution_without_messages_cannot_be_retried(stack: Stack, operator: Operator) -> None:
    started = stack.client("lambda").invoke(
        FunctionName=ALIAS, Payload='{"no": "records"}', InvocationType="Event"
    )
    arn = started["DurableExecutionArn"]
    stack.cloud.wait_for_end(arn)

    done = operator.run("executions", "retry", arn, exit_code=1)

    assert "no SQS event" in done.stderr


def test_a_stopped_execution_says_so(stack: Stack, operator: Operator) -> None:
    # More each time, until one still runs when the command line has started.
    for count in (300, 600, 1200, 1200, 1200):
        event = sqs_event_of(standard(record_id=f"stopped-{number}") for number in range(count))
        started = stack.client("lambda").invoke(
            FunctionName=ALIAS, Payload=json.dumps(event), InvocationType="Event"
        )
        arn = started["DurableExecutionArn"]
        stopped = operator.attempt("executions", "stop", arn)
        if stopped.returncode == 0:
            break

    assert stopped.returncode == 0, stopped.stderr
    shown = operator.json("executions", "show", arn)

    assert shown["status"] == "STOPPED"
    assert "stopped" in shown["error"]["message"]


def test_an_event_that_lambda_gave_up_is_shown_and_redriven(
    stack: Stack, operator: Operator
) -> None:
    objects, functions = Objects(stack), stack.client("lambda")
    # As many rows as keep its execution running until it is found and stopped.
    objects.put("direct/given-up.csv", csv_of([["id"], *([str(n)] for n in range(40_000))]))

    def running() -> str | None:
        executions = Executions(functions, ALIAS.removesuffix(":live"))
        for one in executions.newest(statuses=["RUNNING"]):
            execution = stack.cloud.execution(one.arn)
            if "given-up.csv" in execution["InputPayload"]:
                return one.arn
        return None

    functions.stop_durable_execution(
        DurableExecutionArn=wait_for(running),
        Error={"ErrorType": "Test", "ErrorMessage": "stopped by a test"},
    )
    (letter,) = wait_for(lambda: operator.json("dlq", "list", "--stage", "execution"))
    shown = operator.run("dlq", "show", letter["message_id"]).stdout
    done = operator.json("dlq", "redrive", "--stage", "execution")

    assert letter["error_message"] == "stopped by a test"
    assert letter["error_message"] in shown
    assert [sent["message_id"] for sent in done["sent"]] == [letter["message_id"]]
    entry = objects.wait_for_state("direct/given-up.csv", "done")
    assert entry["counts"]["results"] == 40_000
    assert objects.item("direct/given-up.csv")
    assert operator.json("dlq", "list") == []


@pytest.mark.parametrize("status", Status)
def test_executions_are_listed_by_every_status(stack: Stack, status: Status) -> None:
    executions = Executions(stack.client("lambda"), ALIAS.removesuffix(":live"))

    listed = list(executions.newest(statuses=[status.value]))

    assert {execution.status for execution in listed} <= {status.value}
