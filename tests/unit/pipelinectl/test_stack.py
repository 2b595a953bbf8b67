"""What the command line knows of the stack, against the template that is deployed."""

from pathlib import Path
from typing import Any

import boto3
from botocore.stub import Stubber

from localcloud.cloudformation_yaml import load
from pipelinectl.aws import FUNCTION_ROLES, find_stack

TEMPLATE: dict[str, Any] = load(Path(__file__).parents[3] / "template.yaml")


def test_all_functions_of_the_template_go_by_their_role() -> None:
    names = [
        resource["Properties"]["FunctionName"]["Fn::Sub"]
        for resource in TEMPLATE["Resources"].values()
        if resource["Type"] == "AWS::Serverless::Function"
    ]

    assert sorted(names) == sorted(f"${{AWS::StackName}}-{role}" for role in FUNCTION_ROLES)


def test_the_template_has_every_output_that_is_read() -> None:
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    cloudformation = session.client("cloudformation", region_name="us-east-1")
    outputs = [{"OutputKey": name, "OutputValue": name} for name in TEMPLATE["Outputs"]]
    described = {
        "StackName": "s",
        "StackId": "arn:aws:cloudformation:us-east-1:111122223333:stack/s/1",
        "CreationTime": "2026-03-01T12:00:00Z",
        "StackStatus": "CREATE_COMPLETE",
        "Outputs": outputs,
    }
    with Stubber(cloudformation) as stub:
        stub.add_response("describe_stacks", {"Stacks": [described]})
        stack = find_stack(cloudformation, "s")

    assert stack.input_bucket == "InputBucketName"
    assert stack.uploads_api_id == "UploadsApiId"
