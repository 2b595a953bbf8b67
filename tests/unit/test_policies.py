"""The policies for deployer and operator: narrow, and as wide as the template is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from localcloud.cloudformation_yaml import load
from tests.documents import ROOT

POLICIES = sorted((ROOT / "policies").glob("*.json"))
RESOURCES: dict[str, Any] = load(ROOT / "template.yaml")["Resources"]
PLACEHOLDERS = {"STACK", "REGION", "ACCOUNT"}

# What makes and what removes a resource of each type; SAM's own types become the first.
MADE_BY = {
    "AWS::Serverless::Function": ("lambda:CreateFunction", "lambda:DeleteFunction"),
    "AWS::Lambda::Permission": ("lambda:AddPermission", "lambda:RemovePermission"),
    "AWS::IAM::Role": ("iam:CreateRole", "iam:DeleteRole"),
    "AWS::IAM::Policy": ("iam:PutRolePolicy", "iam:DeleteRolePolicy"),
    "AWS::Lambda::EventSourceMapping": (
        "lambda:CreateEventSourceMapping",
        "lambda:DeleteEventSourceMapping",
    ),
    "AWS::SQS::Queue": ("sqs:CreateQueue", "sqs:DeleteQueue"),
    "AWS::SQS::QueuePolicy": ("sqs:SetQueueAttributes",),
    "AWS::SNS::Topic": ("sns:CreateTopic", "sns:DeleteTopic"),
    "AWS::SNS::TopicPolicy": ("sns:SetTopicAttributes",),
    "AWS::SNS::Subscription": ("sns:Subscribe", "sns:Unsubscribe"),
    "AWS::S3::Bucket": ("s3:CreateBucket", "s3:DeleteBucket"),
    "AWS::S3::BucketPolicy": ("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"),
    "AWS::DynamoDB::Table": ("dynamodb:CreateTable", "dynamodb:DeleteTable"),
    "AWS::ApiGatewayV2::Api": ("apigateway:POST", "apigateway:DELETE"),
    "AWS::ApiGatewayV2::Integration": ("apigateway:POST", "apigateway:DELETE"),
    "AWS::ApiGatewayV2::Route": ("apigateway:POST", "apigateway:DELETE"),
    "AWS::ApiGatewayV2::Stage": ("apigateway:POST", "apigateway:DELETE"),
    "AWS::Logs::LogGroup": ("logs:CreateLogGroup", "logs:DeleteLogGroup"),
    "AWS::Logs::QueryDefinition": ("logs:PutQueryDefinition", "logs:DeleteQueryDefinition"),
    "AWS::CloudWatch::Alarm": ("cloudwatch:PutMetricAlarm", "cloudwatch:DeleteAlarms"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch:PutDashboard", "cloudwatch:DeleteDashboards"),
    "AWS::CloudTrail::Trail": ("cloudtrail:CreateTrail", "cloudtrail:DeleteTrail"),
}


def statements(name: str) -> list[dict[str, Any]]:
    document: dict[str, Any] = json.loads((ROOT / "policies" / f"{name}.json").read_text("utf-8"))
    return list(document["Statement"])


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value


def actions(name: str) -> Iterator[str]:
    for statement in statements(name):
        yield from listed(statement["Action"])


@pytest.mark.parametrize("name", [path.stem for path in POLICIES])
def test_a_policy_only_allows_and_no_action_has_a_wildcard(name: str) -> None:
    assert {statement["Effect"] for statement in statements(name)} == {"Allow"}
    assert [action for action in actions(name) if not re.fullmatch(r"[a-z0-9-]+:\w+", action)] == []


@pytest.mark.parametrize("name", [path.stem for path in POLICIES])
def test_a_policy_has_no_placeholders_but_those_of_the_guide(name: str) -> None:
    resources = [r for statement in statements(name) for r in listed(statement["Resource"])]

    assert {word for r in resources for word in re.findall(r"\b[A-Z]{3,}\b", r)} <= PLACEHOLDERS


@pytest.mark.parametrize("name", [path.stem for path in POLICIES])
def test_each_statement_says_by_a_name_of_its_own_what_it_is_for(name: str) -> None:
    sids = [statement["Sid"] for statement in statements(name)]

    assert len(sids) == len(set(sids))


def test_the_deployer_may_make_and_remove_each_type_of_resource() -> None:
    types = {resource["Type"] for resource in RESOURCES.values()}
    needed = {action for kind in types for action in MADE_BY[kind]}

    assert needed - set(actions("deployer")) == set()


def test_roles_go_to_functions_only() -> None:
    (passing,) = [s for s in statements("deployer") if "iam:PassRole" in listed(s["Action"])]

    assert passing["Condition"] == {"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}


def test_the_operators_rights_in_executions_are_of_versions_of_the_function() -> None:
    (executions,) = [s for s in statements("operator") if s["Sid"] == "Executions"]

    assert executions["Resource"].endswith(":function:STACK-durable-pipeline:*")
