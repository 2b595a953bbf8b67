"""Where things are: the outputs of the CloudFormation stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipelinectl.errors import StackMissingError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation.client import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

DEFAULT_STACK_NAME = "durable-pipeline"

FUNCTION_ROLES = (
    "durable-pipeline",
    "validate",
    "transform",
    "store",
    "csv-file",
    "catalog",
    "notify",
    "cleanup",
    "uploads",
)

OUTPUTS = {
    "queue_url": "DataProcessingQueueUrl",
    "dead_letter_queue_url": "DeadLetterQueueUrl",
    "table_name": "ProcessedDataTable",
    "durable_function_arn": "DurableFunctionArn",
    "objects_queue_url": "ObjectsQueueUrl",
    "internal_queue_url": "InternalQueueUrl",
    "files_queue_url": "FilesQueueUrl",
    "input_bucket": "InputBucketName",
    "payload_bucket": "PayloadBucketName",
    "output_bucket": "OutputBucketName",
    "catalog_table": "ObjectCatalogTable",
    "uploads_api_url": "UploadsApiUrl",
    "uploads_api_id": "UploadsApiId",
    "operators_topic_arn": "OperatorsTopicArn",
    "processing_events_topic_arn": "ProcessingEventsTopicArn",
}
"""The stack's output that each field of a `Stack` is read from."""


@dataclass(frozen=True)
class Stack:
    """The resources of a deployed pipeline that the command line works on.

    `environment` is its parameter of that name, the prefix of the ids that it gives; None where
    the stack has no such parameter. `parameters` are all of them, as text.
    """

    name: str
    queue_url: str
    dead_letter_queue_url: str
    table_name: str
    durable_function_arn: str
    objects_queue_url: str
    internal_queue_url: str
    files_queue_url: str
    input_bucket: str
    payload_bucket: str
    output_bucket: str
    catalog_table: str
    uploads_api_url: str
    uploads_api_id: str
    operators_topic_arn: str
    processing_events_topic_arn: str
    environment: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)

    @property
    def durable_function_name(self) -> str:
        """The function's name without qualifier, which stands for all of its versions."""
        return self.durable_function_arn.split(":function:", 1)[-1].split(":", 1)[0]


def function_name(stack_name: str, role: str) -> str:
    """Name of the Lambda function that has `role` in the stack."""
    return f"{stack_name}-{role}"


def find_stack(cloudformation: CloudFormationClient, name: str) -> Stack:
    """Read the stack's outputs and parameters.

    Raises:
        StackMissingError: there is no such stack, or it lacks an output.
    """
    stack = describe(cloudformation, name)
    outputs = outputs_of(stack)
    try:
        return Stack(
            name=name,
            environment=parameters_of(stack).get("Environment"),
            parameters=parameters_of(stack),
            **{field: outputs[output] for field, output in OUTPUTS.items()},
        )
    except KeyError as error:
        msg = f"stack '{name}' has no output {error}: deploy it again with this template.yaml"
        raise StackMissingError(msg) from error


def outputs_of(stack: StackTypeDef) -> dict[str, str]:
    """The stack's outputs by their names."""
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def parameters_of(stack: StackTypeDef) -> dict[str, str]:
    """The values that the stack's parameters have."""
    return {
        parameter["ParameterKey"]: parameter.get("ParameterValue", "")
        for parameter in stack.get("Parameters", [])
    }


def describe(cloudformation: CloudFormationClient, name: str) -> StackTypeDef:
    """What CloudFormation says of the stack.

    Raises:
        StackMissingError: there is no such stack.
    """
    from botocore.exceptions import ClientError

    try:
        return cloudformation.describe_stacks(StackName=name)["Stacks"][0]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ValidationError":
            raise
        msg = (
            f"no stack '{name}' here: deploy it ('pipelinectl local up' does so locally), "
            "or name another with --stack-name"
        )
        raise StackMissingError(msg) from error
