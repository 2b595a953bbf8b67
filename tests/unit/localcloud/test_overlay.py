"""The overlay turns a template for AWS into one for the local cloud."""

import copy
from pathlib import Path
from typing import Any

import pytest

from localcloud.cloudformation_yaml import load
from localcloud.overlay import overlay
from localcloud.settings import LocalCloudError, Settings

SETTINGS = Settings.from_environment({"LOCALCLOUD_PORT": "4566"})  # whatever runs beside it
NAME = {"Fn::Sub": "${AWS::StackName}-durable"}
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "sqs:*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


def durable(**properties: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::Serverless::Function",
        "Properties": {
            "FunctionName": NAME,
            "Handler": "app.handler",
            "Role": {"Fn::GetAtt": ["Role", "Arn"]},
            "Timeout": 30,
            "AutoPublishAlias": "live",
            "DurableConfig": {"ExecutionTimeout": {"Ref": "Limit"}, "RetentionPeriodInDays": 7},
            "Environment": {"Variables": {"OWN": "kept"}},
            "Events": {"Queue": {"Type": "SQS", "Properties": {"Queue": "arn"}}},
            **properties,
        },
    }


def overlaid(resources: dict[str, Any], **parameters: str) -> dict[str, Any]:
    template = {"Resources": resources}
    result: dict[str, Any] = overlay(template, SETTINGS, parameters)["Resources"]
    return result


def test_a_durable_function_stays_as_it_is() -> None:
    assert overlaid({"Pipeline": durable()})["Pipeline"] == durable()


def test_other_functions_stay_as_they_are() -> None:
    stage = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "app.stage"}}
    assert overlaid({"Stage": stage}) == {"Stage": stage}


def test_the_template_passed_in_stays_as_it_is() -> None:
    resources = {"Pipeline": durable(), "Policy": policy(TLS_ONLY)}
    template: dict[str, Any] = {"Resources": resources}
    before = copy.deepcopy(template)
    overlay(template, SETTINGS)
    assert template == before


@pytest.mark.parametrize(
    ("function", "rule"),
    [
        (durable(DurableConfig={}), "Pipeline.DurableConfig must be an object"),
        (durable(DurableConfig="yes"), "Pipeline.DurableConfig must be an object"),
    ],
)
def test_a_durable_function_without_a_timeout_is_refused(
    function: dict[str, Any], rule: str
) -> None:
    with pytest.raises(LocalCloudError, match=rule):
        overlaid({"Pipeline": function})


def test_a_logical_id_that_the_local_cloud_needs_is_refused() -> None:
    with pytest.raises(LocalCloudError, match="PipelinePatience"):
        overlaid({"Pipeline": durable(), "PipelinePatience": {"Type": "AWS::SQS::Queue"}})


def test_dead_letters_to_a_topic_are_refused() -> None:
    with pytest.raises(LocalCloudError, match=r"Pipeline\.DeadLetterQueue is of type SNS"):
        overlaid({"Pipeline": durable(DeadLetterQueue={"Type": "SNS", "TargetArn": "arn"})})


def test_ministack_repeats_what_it_could_not_bring_to_the_gateway() -> None:
    # Of an alias, ministack would not read it.
    assert overlaid({"Pipeline": durable()})["PipelinePatience"] == {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": "Pipeline"},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": 10,
        },
    }


def test_an_apis_address_is_one_that_resolves() -> None:
    template = {
        "Outputs": {
            "Url": {"Value": {"Fn::GetAtt": ["Api", "ApiEndpoint"]}},
            "Id": {"Value": {"Ref": "Api"}},
        }
    }
    assert overlay(template, SETTINGS)["Outputs"] == {
        "Url": {"Value": {"Fn::Sub": "http://127.0.0.1:4566/_aws/execute-api/${Api}"}},
        "Id": {"Value": {"Ref": "Api"}},
    }


def test_global_durability_is_refused() -> None:
    template: dict[str, Any] = {
        "Globals": {"Function": {"DurableConfig": {}}},
        "Resources": {},
    }
    with pytest.raises(LocalCloudError, match="Globals"):
        overlay(template, SETTINGS)


@pytest.mark.parametrize("statements", [[TLS_ONLY], TLS_ONLY])
def test_a_policy_that_only_demands_tls_is_dropped(statements: Any) -> None:
    dependent = {"Type": "AWS::SQS::Queue", "DependsOn": ["Policy", "Other"]}
    alone = {"Type": "AWS::SQS::Queue", "DependsOn": "Policy"}
    result = overlaid({"Policy": policy(statements), "A": dependent, "B": alone})
    assert result == {
        "A": {"Type": "AWS::SQS::Queue", "DependsOn": ["Other"]},
        "B": {"Type": "AWS::SQS::Queue"},
    }


def test_other_statements_of_a_policy_are_kept() -> None:
    allow = {"Effect": "Allow", "Action": "sqs:SendMessage"}
    deny = {**TLS_ONLY, "Condition": {"Bool": {"aws:ViaAWSService": "false"}}}
    result = overlaid({"Policy": policy([allow, TLS_ONLY, deny])})
    assert result["Policy"]["Properties"]["PolicyDocument"]["Statement"] == [allow, deny]


def test_a_parameter_for_the_concurrency_becomes_a_number() -> None:
    scaling = {"ScalingConfig": {"MaximumConcurrency": {"Ref": "Most"}}}
    events = {"Queue": {"Type": "SQS", "Properties": scaling}}
    plain = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": scaling}
    result = overlaid({"Pipeline": durable(Events=events), "Mapping": plain}, Most="7")
    event = result["Pipeline"]["Properties"]["Events"]["Queue"]["Properties"]
    assert event["ScalingConfig"]["MaximumConcurrency"] == 7
    assert result["Mapping"]["Properties"]["ScalingConfig"]["MaximumConcurrency"] == 7


def test_short_forms_are_read_as_long_forms(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        "a: !Ref X\n"
        "b: !GetAtt X.Arn\n"
        "c: !GetAtt [X, Arn]\n"
        "d: !If [Here, !Sub '${X}-y', !Ref AWS::NoValue]\n"
        "e: !Condition Here\n"
        "f: !Sub ['${n}', {n: !Ref X}]\n"
        "Version: 2012-10-17\n"
    )
    assert load(path) == {
        "a": {"Ref": "X"},
        "b": {"Fn::GetAtt": ["X", "Arn"]},
        "c": {"Fn::GetAtt": ["X", "Arn"]},
        "d": {"Fn::If": ["Here", {"Fn::Sub": "${X}-y"}, {"Ref": "AWS::NoValue"}]},
        "e": {"Condition": "Here"},
        "f": {"Fn::Sub": ["${n}", {"n": {"Ref": "X"}}]},
        "Version": "2012-10-17",
    }


def policy(statements: Any) -> dict[str, Any]:
    return {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": ["url"], "PolicyDocument": {"Statement": statements}},
    }


@pytest.mark.parametrize(
    ("action", "both"),
    [
        ("sqs:SendMessage", ["sqs:SendMessage", "sqs:SendMessageBatch"]),
        (["sqs:GetQueueUrl", "sqs:SendMessage"], ["sqs:SendMessage", "sqs:SendMessageBatch"]),
        ("sns:Publish", ["sns:Publish", "sns:PublishBatch"]),
    ],
)
@pytest.mark.parametrize("kind", ["AWS::IAM::Role", "AWS::Serverless::Function"])
def test_a_role_that_may_send_a_message_may_send_a_batch(
    action: Any, both: list[str], kind: str
) -> None:
    document = {"Statement": [{"Effect": "Allow", "Action": action, "Resource": "arn"}]}
    policy = {"PolicyDocument": document} if kind == "AWS::IAM::Role" else document

    resource = overlaid({"It": {"Type": kind, "Properties": {"Policies": [policy]}}})["It"]

    (allowed,) = resource["Properties"]["Policies"]
    (statement,) = allowed.get("PolicyDocument", allowed)["Statement"]
    assert statement["Action"][-2:] == both


def test_a_role_that_may_send_by_a_condition_may_send_a_batch() -> None:
    statement = {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": "arn"}
    policy = {"PolicyName": "name", "PolicyDocument": {"Statement": [statement]}}
    none = {"Ref": "AWS::NoValue"}
    choice = {"Fn::If": ["A", {"Fn::If": ["B", none, policy]}, none]}

    resource = overlaid({"It": {"Type": "AWS::IAM::Role", "Properties": {"Policies": [choice]}}})[
        "It"
    ]

    (found,) = resource["Properties"]["Policies"]
    (allowed,) = found["Fn::If"][1]["Fn::If"][2]["PolicyDocument"]["Statement"]
    assert allowed["Action"] == ["sqs:SendMessage", "sqs:SendMessageBatch"]


def test_what_is_not_served_locally_is_left_out() -> None:
    query = {"Type": "AWS::Logs::QueryDefinition", "Properties": {"Name": "q", "QueryString": "s"}}

    assert list(overlaid({"Query": query, "Topic": {"Type": "AWS::SNS::Topic"}})) == ["Topic"]
