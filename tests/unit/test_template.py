"""The template against the rules we hold it to, and against the code it deploys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from durable_pipeline.settings import Settings as PipelineSettings
from localcloud.cloudformation_yaml import load
from store.settings import Settings as StoreSettings

ROOT = Path(__file__).parents[2]
TEMPLATE = load(ROOT / "template.yaml")
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, Any]:
    return {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
ROLES = of_type("AWS::IAM::Role")


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in ROLES.items():
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


@pytest.mark.parametrize("statement", list(statements()), ids=lambda s: s[0])
def test_no_role_has_wildcards(statement: tuple[str, dict[str, Any]]) -> None:
    _, allowed = statement
    assert not [action for action in as_list(allowed["Action"]) if "*" in action]
    assert "*" not in as_list(allowed["Resource"])


def test_each_function_has_a_role_and_a_log_group_of_its_own() -> None:
    roles = [function["Role"]["Fn::GetAtt"][0] for function in FUNCTIONS.values()]
    groups = [function["LoggingConfig"]["LogGroup"]["Ref"] for function in FUNCTIONS.values()]

    assert sorted(roles) == sorted(ROLES)
    assert sorted(groups) == sorted(of_type("AWS::Logs::LogGroup"))
    assert all(group["RetentionInDays"] for group in of_type("AWS::Logs::LogGroup").values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_handler_exists_and_is_built(name: str) -> None:
    module = FUNCTIONS[name]["Handler"].rpartition(".")[0]

    assert (ROOT / "src" / f"{module.replace('.', '/')}.py").is_file()
    assert f"build-{name}:" in (ROOT / "src" / "Makefile").read_text()


def test_the_durable_function_gets_the_environment_it_reads() -> None:
    environment = variables("DurablePipelineFunction")

    PipelineSettings.from_environment(dict.fromkeys(environment, "1"))
    assert {
        "ENVIRONMENT",
        "VALIDATION_FUNCTION_ARN",
        "TRANSFORMATION_FUNCTION_ARN",
        "STORAGE_FUNCTION_ARN",
    } <= environment


def test_the_store_function_gets_the_environment_it_reads() -> None:
    environment = variables("StoreFunction")

    StoreSettings.from_environment(dict.fromkeys(environment, "1"))
    assert {"ENVIRONMENT", "PROCESSED_DATA_TABLE"} <= environment


def variables(function: str) -> set[str]:
    shared = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    return {*shared, *FUNCTIONS[function]["Environment"]["Variables"]}


def test_an_execution_fits_what_an_event_source_mapping_allows() -> None:
    timeout = TEMPLATE["Parameters"]["ExecutionTimeout"]

    assert timeout["MaxValue"] <= 900
    assert TEMPLATE["Parameters"]["VisibilityTimeout"]["Default"] > timeout["Default"]


def test_the_queue_invokes_the_alias_and_hears_of_each_record() -> None:
    function = FUNCTIONS["DurablePipelineFunction"]
    (event,) = function["Events"].values()

    assert function["AutoPublishAlias"] == "live"
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert TEMPLATE["Parameters"]["BatchSize"]["Default"] == 10


def test_data_is_encrypted_at_rest_and_in_transit() -> None:
    queues = of_type("AWS::SQS::Queue")
    policies = of_type("AWS::SQS::QueuePolicy").values()
    (table,) = of_type("AWS::DynamoDB::Table").values()

    assert all(queue["SqsManagedSseEnabled"] for queue in queues.values())
    assert table["SSESpecification"]["SSEEnabled"]
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert sorted(policy["Queues"][0]["Ref"] for policy in policies) == sorted(queues)
    for policy in policies:
        assert [s["Sid"] for s in policy["PolicyDocument"]["Statement"]] == ["TlsOnly"]


def test_queues_keep_messages_as_long_as_sqs_allows() -> None:
    days = {q["MessageRetentionPeriod"] / 86400 for q in of_type("AWS::SQS::Queue").values()}

    assert days == {14}


@pytest.mark.parametrize(
    "name",
    ["DataProcessingQueueUrl", "ProcessedDataTable", "DeadLetterQueueUrl", "DurableFunctionArn"],
)
def test_the_stack_says_where_things_are(name: str) -> None:
    assert name in TEMPLATE["Outputs"]


def test_dependencies_are_pinned_with_hashes() -> None:
    for path in [*ROOT.glob("requirements/*.txt"), *ROOT.glob("src/*/requirements.txt")]:
        text = path.read_text()
        pins = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE | re.IGNORECASE)
        assert pins, path
        assert all("==" in pin for pin in pins), path
        assert text.count("--hash=") >= len(pins), path
        assert "://" not in text, path
