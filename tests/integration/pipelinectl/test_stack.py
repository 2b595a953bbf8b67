import json

import boto3
import pytest

from pipelinectl.aws import find_stack
from pipelinectl.errors import StackMissingError
from tests.integration.pipelinectl.conftest import STACK_NAME, TEMPLATE, Deployed


def test_outputs_say_where_everything_is(deployed: Deployed) -> None:
    stack = find_stack(boto3.client("cloudformation"), STACK_NAME)

    assert stack.queue_url == deployed.queue_url
    assert stack.internal_queue_url == deployed.internal_queue_url
    assert stack.dead_letter_queue_url == deployed.dead_letter_queue_url
    assert stack.table_name == "processed"
    assert stack.durable_function_name == "test-durable-pipeline"
    assert stack.environment == "test"


def test_a_missing_stack_is_one_line_and_3(deployed: Deployed) -> None:
    result = deployed.run("--stack-name", "nowhere", "items")

    assert result.exit_code == 3
    assert "no stack 'nowhere' here" in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_stack_without_an_output_names_it(aws: None) -> None:
    outputs = {"ProcessedDataTable": TEMPLATE["Outputs"]["ProcessedDataTable"]}
    cloudformation = boto3.client("cloudformation")
    cloudformation.create_stack(
        StackName="old", TemplateBody=json.dumps(TEMPLATE | {"Outputs": outputs})
    )

    with pytest.raises(StackMissingError, match="'old' has no output 'DataProcessingQueueUrl'"):
        find_stack(cloudformation, "old")
