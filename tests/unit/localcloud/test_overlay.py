"""The overlay turns a template for AWS into one for the local cloud."""

import copy
from pathlib import Path
from typing import Any

import pytest

from localcloud.cloudformation_yaml import load
from localcloud.overlay import overlay, twin_name
from localcloud.settings import LocalCloudError, Settings

SETTINGS = Settings.from_environment({"LOCALCLOUD_LAMBDA_PORT": "4570"})
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
    template = {
        "Parameters": {"Most": {"Type": "Number", "Default": 5}},
        "Resources": resources,
    }
    result: dict[str, Any] = overlay(template, SETTINGS, parameters)["Resources"]
    return result


def test_a_durable_function_forwards_its_invocations_to_the_gateway() -> None:
    properties = overlaid({"Pipeline": durable()})["Pipeline"]["Properties"]
    assert "DurableConfig" not in properties
    assert properties["Timeout"] == {"Ref": "Limit"}
    assert properties["AutoPublishAlias"] == "live"
    assert properties["Events"] == durable()["Properties"]["Events"]
    assert properties["Environment"]["Variables"] == {
        "OWN": "kept",
        "MINISTACK_LAMBDA_PROXY_URL": {
            "Fn::Join": [
                "",
                ["http://127.0.0.1:4570/_localcloud/functions/", NAME, "/trigger"],
            ]
        },
        "LOCALCLOUD_HANDLER_FUNCTION": {"Fn::Join": ["", [NAME, "--handler"]]},
        "LOCALCLOUD_EXECUTION_TIMEOUT": {"Ref": "Limit"},
        "LOCALCLOUD_RETENTION_DAYS": 7,
    }


def test_its_twin_is_the_same_code_without_what_triggers_it() -> None:
    properties = overlaid({"Pipeline": durable()})["PipelineHandler"]["Properties"]
    assert properties == {
        "FunctionName": {"Fn::Join": ["", [NAME, "--handler"]]},
        "Handler": "app.handler",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Timeout": 30,
        "Environment": {"Variables": {"OWN": "kept"}},
        "LoggingConfig": {"LogGroup": {"Fn::Join": ["", ["/aws/lambda/", NAME]]}},
    }


def test_a_log_group_of_the_original_is_the_twins_too() -> None:
    logging = {"LogGroup": {"Ref": "Group"}, "LogFormat": "JSON"}
    twin = overlaid({"Pipeline": durable(LoggingConfig=logging)})["PipelineHandler"]
    assert twin["Properties"]["LoggingConfig"] == logging


def test_a_twin_shares_the_role_that_sam_makes() -> None:
    function = durable(Policies="AWSLambdaExecute")
    del function["Properties"]["Role"]
    result = overlaid({"Pipeline": function})
    twin = result["PipelineHandler"]["Properties"]
    assert twin["Role"] == {"Fn::GetAtt": ["PipelineRole", "Arn"]}
    assert "Policies" not in twin
    first, granted = result["Pipeline"]["Properties"]["Policies"]
    assert first == "AWSLambdaExecute"
    assert "lambda:CheckpointDurableExecution" in granted["Statement"][0]["Action"]


def test_a_function_without_a_name_gets_one() -> None:
    function = durable()
    del function["Properties"]["FunctionName"]
    result = overlaid({"Pipeline": function})
    name = {"Fn::Sub": "${AWS::StackName}-Pipeline"}
    assert result["Pipeline"]["Properties"]["FunctionName"] == name
    assert result["PipelineHandler"]["Properties"]["FunctionName"] == {
        "Fn::Join": ["", [name, "--handler"]]
    }


def test_a_literal_name_stays_literal() -> None:
    twin = overlaid({"Pipeline": durable(FunctionName="plain")})["PipelineHandler"]
    assert twin["Properties"]["FunctionName"] == twin_name("plain") == "plain--handler"


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


@pytest.mark.parametrize("needed", ["PipelineHandler", "PipelinePatience"])
def test_a_logical_id_that_the_local_cloud_needs_is_refused(needed: str) -> None:
    with pytest.raises(LocalCloudError, match=needed):
        overlaid({"Pipeline": durable(), needed: {"Type": "AWS::SQS::Queue"}})


@pytest.mark.parametrize(
    "given",
    [
        {"DeadLetterQueue": {"Type": "SQS", "TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}},
        {"DeadLetterConfig": {"TargetArn": {"Fn::GetAtt": ["Dead", "Arn"]}}},
    ],
    ids=["of SAM", "of CloudFormation"],
)
def test_the_gateway_learns_where_the_events_of_failed_executions_go(given: Any) -> None:
    result = overlaid({"Pipeline": durable(**given)})
    variables = result["Pipeline"]["Properties"]["Environment"]["Variables"]
    assert variables["LOCALCLOUD_DEAD_LETTER_TARGET"] == {"Fn::GetAtt": ["Dead", "Arn"]}
    assert set(given) & set(result["PipelineHandler"]["Properties"]) == set()


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


@pytest.mark.parametrize(("given", "number"), [({}, 5), ({"Most": "7"}, 7)])
def test_a_parameter_for_the_concurrency_becomes_a_number(
    given: dict[str, str], number: int
) -> None:
    scaling = {"ScalingConfig": {"MaximumConcurrency": {"Ref": "Most"}}}
    events = {"Queue": {"Type": "SQS", "Properties": scaling}}
    plain = {"Type": "AWS::Lambda::EventSourceMapping", "Properties": scaling}
    result = overlaid({"Pipeline": durable(Events=events), "Mapping": plain}, **given)
    event = result["Pipeline"]["Properties"]["Events"]["Queue"]["Properties"]
    assert event["ScalingConfig"]["MaximumConcurrency"] == number
    assert result["Mapping"]["Properties"]["ScalingConfig"]["MaximumConcurrency"] == number


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


def test_what_is_not_served_locally_is_left_out() -> None:
    query = {"Type": "AWS::Logs::QueryDefinition", "Properties": {"Name": "q", "QueryString": "s"}}

    assert list(overlaid({"Query": query, "Topic": {"Type": "AWS::SNS::Topic"}})) == ["Topic"]
