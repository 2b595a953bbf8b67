"""The doctor on a stack in moto, which lacks some of the APIs, and where there is no stack."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pipelinectl.aws import Connection
from pipelinectl.doctor import CHECKS, diagnose
from pipelinectl.doctor.stack import Finding, Level, examine
from tests.integration.pipelinectl.conftest import STACK_NAME, TEMPLATE, Deployed, Result

PLANTED_HERE = {"operators"}

OPERATORS = "arn:aws:sns:us-east-1:123456789012:operators"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the project's folder."""
    monkeypatch.chdir(tmp_path)


def with_operators() -> dict[str, Any]:
    topic = {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": "operators"}}
    return TEMPLATE | {"Resources": TEMPLATE["Resources"] | {"Operators": topic}}


def check(result: Result, name: str) -> Any:
    (found,) = [check for check in result.json if check["check"] == name]
    return found


def findings_of(connection: Connection, name: str, stack_name: str) -> list[Finding]:
    results = diagnose(examine(connection, stack_name))
    return [one for result in results if result.check.name == name for one in result.findings]


def test_a_topic_of_operators_that_nobody_hears_is_found(aws: None) -> None:
    boto3.client("cloudformation").create_stack(
        StackName="prod", TemplateBody=json.dumps(with_operators())
    )
    (before,) = findings_of(Connection(), "operators", "prod")
    boto3.client("sns").subscribe(TopicArn=OPERATORS, Protocol="email", Endpoint="a@example.com")
    (after,) = findings_of(Connection(), "operators", "prod")

    assert (before.level.value, before.subject) == ("warning", "operators")
    assert "OperatorsEmail" in before.remedy
    assert after.level.value == "ok"


DENIAL = {"Effect": "Deny", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
BY_ROLE = {"ArnNotLike": {"aws:PrincipalArn": "arn:aws:iam::123456789012:role/operator"}}
TLS_ONLY = {"Bool": {"aws:SecureTransport": "false"}}


@pytest.mark.parametrize(
    ("operators", "condition", "levels"),
    [
        ("arn:aws:iam::123456789012:role/operator", BY_ROLE, {"dead": "problem", "internal": "ok"}),
        (
            "arn:aws:iam::123456789012:role/operator",
            TLS_ONLY,
            {"dead": "problem", "internal": "problem"},
        ),
        ("", TLS_ONLY, {}),
    ],
)
def test_a_queue_in_which_a_stranger_would_be_believed_is_found(
    aws: None, operators: str, condition: Any, levels: dict[str, str]
) -> None:
    parameter = {"OperatorRoleArns": {"Type": "String", "Default": operators}}
    template = TEMPLATE | {"Parameters": TEMPLATE["Parameters"] | parameter}
    boto3.client("cloudformation").create_stack(StackName="prod", TemplateBody=json.dumps(template))
    policy = {"Version": "2012-10-17", "Statement": [DENIAL | {"Condition": condition}]}
    sqs = boto3.client("sqs")
    sqs.set_queue_attributes(
        QueueUrl=sqs.get_queue_url(QueueName="internal")["QueueUrl"],
        Attributes={"Policy": json.dumps(policy)},
    )

    findings = findings_of(Connection(), "queue-senders", "prod")

    assert {one.subject: one.level.value for one in findings} == levels


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        (None, "on AWS"),
        ("https://vpce-1.cloudformation.eu-central-1.vpce.amazonaws.com", "on AWS"),
        ("http://127.0.0.1:4566", "on a local cloud"),
    ],
)
def test_only_an_endpoint_on_this_machine_is_a_local_cloud(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, endpoint: str | None, place: str
) -> None:
    monkeypatch.setattr(Connection, "endpoint_url", endpoint)

    (finding,) = findings_of(Connection(), "stack-found", STACK_NAME)

    assert finding.found == place


def test_an_api_that_is_not_there_is_said_to_be(deployed: Deployed, elsewhere: None) -> None:
    result = deployed.run("doctor", "--json")

    # moto has no GetAccountSettings.
    (finding,) = check(result, "account-concurrency")["findings"]
    assert finding["level"] == "unchecked"
    assert finding["found"].startswith("could not be checked: GetAccountSettings")
    assert check(result, "account-concurrency")["level"] == "unchecked"


def test_what_access_is_denied_to_is_not_called_ok(deployed: Deployed) -> None:
    connection = Connection()

    def deny(**_: object) -> None:
        denied = {"Error": {"Code": "AccessDenied", "Message": "not you"}}
        raise ClientError(denied, "GetQueueAttributes")  # type: ignore[arg-type]  # a part of it

    calls = "before-call.sqs.GetQueueAttributes"
    connection.sqs.meta.events.register(calls, deny)
    try:
        (finding,) = findings_of(connection, "resources", STACK_NAME)
        letters = findings_of(connection, "dead-letters", STACK_NAME)
    finally:
        connection.sqs.meta.events.unregister(calls, deny)  # it is the client of other tests, too

    assert finding.level is Level.UNCHECKED
    assert "AccessDenied: not you: ask for this permission" in finding.found
    assert {letter.level for letter in letters} == {Level.UNCHECKED}


def test_no_stack_is_one_problem_with_its_remedy(deployed: Deployed, elsewhere: None) -> None:
    result = deployed.run("--stack-name", "nowhere", "doctor", "--json")

    assert result.exit_code == 1
    assert [check["check"] for check in result.json] == ["stack-found"]
    (finding,) = result.json[0]["findings"]
    assert finding["found"] == "no stack 'nowhere' here"
    assert "pipelinectl local up" in finding["remedy"]


def test_no_stack_is_said_in_lines_for_people_too(deployed: Deployed, elsewhere: None) -> None:
    result = deployed.run("--stack-name", "nowhere", "doctor")

    assert result.exit_code == 1
    assert result.stdout.startswith("problem    stack-found  ")
    assert "→ deploy it" in result.stdout
    assert "1 check, 1 problem, 0 warnings" in result.stderr


def test_the_machine_is_looked_at_in_a_projects_folder(deployed: Deployed) -> None:
    result = deployed.run("--stack-name", "nowhere", "doctor", "--json")

    names = [check["check"] for check in result.json]
    assert names == ["python", "commands", "tools", "ports", "stack-found"]


def test_every_check_is_planted_somewhere() -> None:
    from tests.e2e.planting import PLANTS
    from tests.unit.pipelinectl.doctor.test_checks import PLANTED_HERE as IN_CHECKS
    from tests.unit.pipelinectl.doctor.test_machine import PLANTED_HERE as IN_MACHINE

    assert {*PLANTS, *PLANTED_HERE, *IN_CHECKS, *IN_MACHINE} == {check.name for check in CHECKS}
