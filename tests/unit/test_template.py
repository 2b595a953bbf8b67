"""The template against the rules we hold it to, and against the code it deploys."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.handler import Settings as CatalogSettings
from cleanup.handler import Settings as CleanupSettings
from csv_file.handler import Settings as CsvFileSettings
from durable_pipeline.records import OFFLOADED
from durable_pipeline.report import LOGS
from durable_pipeline.settings import Settings as PipelineSettings
from localcloud.cloudformation_yaml import load
from localcloud.deploy import contradictions, parameter_values
from notify.handler import Settings as NotifySettings
from pipeline_core.events import EVENT_NAMES
from pipeline_core.payloads import Limits
from pipeline_core.settings import read_settings
from pipelinectl.doctor import functions as of_functions
from pipelinectl.doctor import queues as of_queues
from pipelinectl.doctor.stack import Level
from pipelinectl.local import LOCAL_PARAMETERS
from store.table import Settings as StoreSettings
from tests.chaos import cloud as chaos
from tests.chaos import test_large_file as large_file
from tests.cloudformation import (
    DEFAULTS,
    LAMBDAS_LEVELS,
    PARAMETERS,
    TEMPLATE,
    refusals,
    translations,
)
from tests.cloudformation import resolved as of_stack
from tests.cloudwatch import LONGEST_SEARCH, dashboard, shown
from tests.e2e import conftest as end_to_end
from tests.unit.pipelinectl.doctor import sound
from uploads.uploads import Settings as UploadsSettings

ROOT = Path(__file__).parents[2]
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]


def of_type(kind: str) -> dict[str, Any]:
    return {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == kind}


FUNCTIONS = of_type("AWS::Serverless::Function")
ROLES = of_type("AWS::IAM::Role")
QUEUES = of_type("AWS::SQS::Queue")
BUCKETS = of_type("AWS::S3::Bucket")
SHARED: dict[str, Any] = TEMPLATE["Globals"]["Function"]


DOORS = ("DataProcessingQueue", "ObjectsQueue", "InternalQueue", "FilesQueue")
"""The queues that the durable function reads."""

STACK_NAME = "a" * 26  # the longest with which all buckets get their names
ARNS = {
    "${AWS::Partition}": "aws",
    "${AWS::Region}": "ap-southeast-1",
    "${AWS::AccountId}": "123456789012",
    "${AWS::StackName}": STACK_NAME,
}


def resolved(value: Any) -> str:
    """A name or ARN as it is in a stack; what refers to a resource, as that resource's id."""
    match value:
        case {"Fn::Sub": str(text)}:
            for variable, meaning in ARNS.items():
                text = text.replace(variable, meaning)
            return text
        case {"Ref": str(name)} | {"Fn::GetAtt": [str(name), "Arn"]}:
            return name
    return str(value)


def policies(role: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A role's policies, those included that it has by a condition."""
    for policy in role["Policies"]:
        cases = policy["Fn::If"][1:] if "Fn::If" in policy else [policy]
        yield from (case for case in cases if "PolicyName" in case)


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in ROLES.items():
        for policy in policies(role):
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
    assert sorted([*groups, "AuditLogGroup", "UploadsApiLogGroup"]) == sorted(
        of_type("AWS::Logs::LogGroup")
    )
    assert all(group["RetentionInDays"] for group in of_type("AWS::Logs::LogGroup").values())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_functions_handler_exists_and_is_built(name: str) -> None:
    module = FUNCTIONS[name]["Handler"].rpartition(".")[0]

    assert (ROOT / "src" / f"{module.replace('.', '/')}.py").is_file()
    assert f"build-{name}:" in (ROOT / "src" / "Makefile").read_text()


@pytest.mark.parametrize(
    ("function", "settings"),
    [
        ("DurablePipelineFunction", PipelineSettings),
        ("ValidateFunction", Limits),
        ("TransformFunction", Limits),
        ("StoreFunction", Limits),
        ("StoreFunction", StoreSettings),
        ("CsvFileFunction", CsvFileSettings),
        ("CatalogFunction", CatalogSettings),
        ("NotifyFunction", NotifySettings),
        ("CleanupFunction", CleanupSettings),
        ("UploadsFunction", UploadsSettings),
    ],
)
def test_a_function_gets_the_environment_it_reads(function: str, settings: Any) -> None:
    read_settings(settings, dict.fromkeys(variables(function), "1"))


@pytest.mark.parametrize("function", ["TransformFunction", "StoreFunction"])
def test_a_stage_knows_the_bucket_that_the_pipeline_writes_to(function: str) -> None:
    assert "OUTPUT_BUCKET" in variables(function)


def variables(function: str) -> set[str]:
    return {*SHARED["Environment"]["Variables"], *FUNCTIONS[function]["Environment"]["Variables"]}


def test_an_execution_fits_what_an_event_source_mapping_allows() -> None:
    assert PARAMETERS["ExecutionTimeout"]["MaxValue"] <= 900


def test_a_queue_may_wait_for_the_whole_execution() -> None:
    # A synchronous invocation ends at the function's timeout, if that is the lower one.
    function = FUNCTIONS["DurablePipelineFunction"]

    assert function["Timeout"] == function["DurableConfig"]["ExecutionTimeout"]


def test_the_doors_are_read_by_the_same_rules_and_hear_of_each_record() -> None:
    events = [e["Properties"] for e in FUNCTIONS["DurablePipelineFunction"]["Events"].values()]
    batches = [event for event in events if event["BatchSize"] != 1]  # a file comes alone

    assert {resolved(event["Queue"]) for event in events} == set(DOORS)
    assert all(e["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for e in events)
    # Only where its messages come from tells one queue from another.
    assert len({json.dumps(e | {"Queue": None}, sort_keys=True) for e in batches}) == 1
    assert len({json.dumps(QUEUES[n] | {"QueueName": None}, sort_keys=True) for n in DOORS}) == 1


IN_ORDER = ("FifoQueue", "FifoInternalQueue")
"""The queues that the durable function reads with the FIFO door."""


def test_what_must_be_in_order_comes_one_by_one() -> None:
    mappings = of_type("AWS::Lambda::EventSourceMapping").values()
    live = {"Ref": "DurablePipelineFunctionAliaslive"}

    assert {resolved(mapping["EventSourceArn"]) for mapping in mappings} == set(IN_ORDER)
    # Each delivery of a message that waits behind another would count as one of its own.
    assert all(mapping["BatchSize"] == 1 for mapping in mappings)
    assert all(m["FunctionResponseTypes"] == ["ReportBatchItemFailures"] for m in mappings)
    assert all(mapping["FunctionName"] == live for mapping in mappings)
    # Lambda refuses one for a FIFO queue.
    assert not any("MaximumBatchingWindowInSeconds" in mapping for mapping in mappings)


def test_a_fifo_queue_gives_up_to_a_fifo_queue_and_deduplicates_by_group() -> None:
    fifo = {name for name, queue in QUEUES.items() if queue.get("FifoQueue")}

    assert fifo == {*IN_ORDER, "FifoDeadLetterQueue"}
    assert {n for n in QUEUES if resolved(QUEUES[n]["QueueName"]).endswith(".fifo")} == fifo
    for name, queue in QUEUES.items():
        if "RedrivePolicy" in queue:
            dead_letters = resolved(queue["RedrivePolicy"]["deadLetterTargetArn"])
            assert (name in fifo) is (dead_letters in fifo)
    for name in fifo:
        # Two equal bodies are two messages, whatever their producer means by it.
        assert "ContentBasedDeduplication" not in QUEUES[name]
        assert QUEUES[name]["DeduplicationScope"] == "messageGroup"
        assert QUEUES[name]["FifoThroughputLimit"] == "perMessageGroupId"


def test_without_the_fifo_door_nothing_of_it_is_there() -> None:
    off, on = translated()["defaults"], translated()["in order"]
    conditional = {name for name, r in RESOURCES.items() if r.get("Condition") == "InOrder"}

    assert {name for name, r in off.items() if r.get("Condition") == "InOrder"} == conditional
    assert TEMPLATE["Conditions"]["InOrder"] == {"Fn::Equals": [{"Ref": "FifoDoor"}, "true"]}
    assert {name for name in on if "Fifo" in name} == conditional
    said = [of_stack(off[name], {**DEFAULTS}) for name in off if name not in conditional]
    assert ".fifo" not in json.dumps(said)
    assert "Fifo" not in json.dumps(said).replace("FifoDoor", "")


@pytest.mark.parametrize("name", ["CatalogFunction", "NotifyFunction", "CleanupFunction"])
def test_a_queue_outwaits_its_function(name: str) -> None:
    (event,) = FUNCTIONS[name]["Events"].values()
    queue = QUEUES[resolved(event["Properties"]["Queue"])]

    assert queue["VisibilityTimeout"] >= 6 * FUNCTIONS[name]["Timeout"]
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_event_of_a_direct_execution_that_failed_is_kept() -> None:
    function = FUNCTIONS["DurablePipelineFunction"]
    kept = resolved(function["DeadLetterQueue"]["TargetArn"])

    # Durable functions have no destinations: Lambda would refuse them.
    assert "EventInvokeConfig" not in function
    assert ("sqs:SendMessage", kept) in allowed("DurablePipelineRole")


def test_a_file_may_be_handed_over_more_often_than_lambda_takes_for_sane() -> None:
    assert FUNCTIONS["DurablePipelineFunction"]["RecursiveLoop"] == "Allow"


def allowed(role: str) -> set[tuple[str, str]]:
    return {
        (action, resolved(resource))
        for policy in policies(ROLES[role])
        for statement in policy["PolicyDocument"]["Statement"]
        for action in as_list(statement["Action"])
        for resource in as_list(statement["Resource"])
    }


def test_an_own_stage_is_what_two_functions_may_invoke_and_nothing_else_of_it() -> None:
    def allowed_on(arn: str) -> dict[str, list[Any]]:
        return {
            name: statement["Resource"]
            for name, role in RESOURCES.items()
            if role["Type"] == "AWS::IAM::Role"
            for policy in of_stack(role["Properties"], {**DEFAULTS, "EnrichmentFunctionArn": arn})[
                "Policies"
            ]
            if policy["PolicyName"] == "enrich"
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Action"] == "lambda:InvokeFunction"
        }

    both = [OWN_STAGE, f"{OWN_STAGE}:*"]
    assert allowed_on(OWN_STAGE) == {"DurablePipelineRole": both, "CsvFileRole": both}
    assert allowed_on("") == {}


def test_without_an_own_stage_neither_variable_nor_metric_names_one() -> None:
    function = FUNCTIONS["DurablePipelineFunction"]["Environment"]
    names = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"][1]["Functions"]
    none, one = (
        [of_stack(part, {**DEFAULTS, "EnrichmentFunctionArn": arn}) for part in (function, names)]
        for arn in ("", OWN_STAGE)
    )

    assert "ENRICHMENT_FUNCTION_ARN" not in none[0]["Variables"]
    assert one[0]["Variables"]["ENRICHMENT_FUNCTION_ARN"] == OWN_STAGE
    assert one[1] == none[1] + r"\" OR \"enrich"


@pytest.mark.parametrize(
    ("arn", "taken"),
    [
        ("", True),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f", True),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f:live", True),
        ("arn:aws:lambda:eu-west-1:123456789012:function:f:$LATEST", True),
        ("f", False),
        ("arn:aws:lambda:eu-west-1:123456789012:function:*", False),
        ("arn:aws:lambda:eu-west-1:123456789012:layer:f:1", False),
    ],
)
def test_an_own_stage_is_named_by_the_arn_of_one_function(arn: str, taken: bool) -> None:
    pattern = PARAMETERS["EnrichmentFunctionArn"]["AllowedPattern"]

    assert bool(re.fullmatch(pattern, arn)) == taken


def test_the_table_has_a_stream_only_where_one_is_wanted() -> None:
    table = RESOURCES["ProcessedDataTable"]["Properties"]
    off, on = (
        of_stack(table, {**DEFAULTS, "ProcessedDataStream": wanted})
        | {"condition": TEMPLATE["Outputs"]["ProcessedDataStreamArn"]["Condition"]}
        for wanted in (DEFAULTS["ProcessedDataStream"], "true")
    )

    assert "StreamSpecification" not in off
    assert on == off | {"StreamSpecification": {"StreamViewType": "NEW_AND_OLD_IMAGES"}}
    assert TEMPLATE["Conditions"][on["condition"]] == {
        "Fn::Equals": [{"Ref": "ProcessedDataStream"}, "true"]
    }


SINKS = sorted((ROOT / "examples" / "sinks").glob("*/template.yaml"))


@pytest.mark.parametrize("path", SINKS, ids=lambda path: str(path.parent.name))
def test_a_sinks_roles_name_what_they_may_use(path: Path) -> None:
    resources = load(path)["Resources"].values()
    roles = [r["Properties"] for r in resources if r["Type"] == "AWS::IAM::Role"]
    allowed = [
        s for role in roles for p in policies(role) for s in p["PolicyDocument"]["Statement"]
    ]

    assert allowed
    assert "*" not in json.dumps(allowed)


def test_data_is_encrypted_at_rest() -> None:
    tables = of_type("AWS::DynamoDB::Table").values()

    assert all(queue["SqsManagedSseEnabled"] for queue in QUEUES.values())
    assert all(table["SSESpecification"]["SSEEnabled"] for table in tables)
    assert all(
        table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] for table in tables
    )
    for bucket in BUCKETS.values():
        (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert rule["ServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


@pytest.mark.parametrize(
    ("service", "kind", "policy_kind", "member"),
    [
        ("sqs", "AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "Queues"),
        ("sns", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "Topics"),
        ("s3", "AWS::S3::Bucket", "AWS::S3::BucketPolicy", "Bucket"),
    ],
)
def test_data_is_encrypted_in_transit(
    service: str, kind: str, policy_kind: str, member: str
) -> None:
    policies = of_type(policy_kind).values()

    assert sorted(resolved(as_list(p[member])[0]) for p in policies) == sorted(of_type(kind))
    for policy in policies:
        first = policy["PolicyDocument"]["Statement"][0]
        name = resolved(as_list(policy[member])[0])
        bucket = resolved(BUCKETS.get(name, {}).get("BucketName"))
        assert (first["Sid"], first["Effect"]) == ("TlsOnly", "Deny")
        assert (first["Principal"], first["Action"].rpartition(":")[0]) == ("*", service)
        assert first["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert [resolved(resource) for resource in as_list(first["Resource"])] in (
            [name],
            [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
            [name, f"${{{name}.Arn}}/*"],
        )


def from_services() -> Iterator[tuple[str, str, str]]:
    """Who may send to what on behalf of which resource, by the policies of queues and topics."""
    for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        for policy in of_type(kind).values():
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement.get("Effect") != "Allow":
                    continue
                conditions = statement["Condition"]
                arns = next(c for name, c in conditions.items() if name.startswith("Arn"))
                for source in as_list(arns["aws:SourceArn"]):
                    service = statement["Principal"]["Service"]
                    yield service, resolved(source), resolved(statement["Resource"])
                if service != "sns.amazonaws.com":  # a topic's ARN says whose it is, a bucket's not
                    account = conditions["StringEquals"]["aws:SourceAccount"]
                    assert account == {"Ref": "AWS::AccountId"}


def wired() -> Iterator[tuple[str, str, str]]:
    """Which service sends to what on behalf of which resource, by notifications and subscriptions.

    A topic sends what it cannot deliver to a queue to the dead letters of that queue.
    """
    for name, bucket in BUCKETS.items():
        for _, _, target in notifications(name):
            if RESOURCES.get(target, {}).get("Type") in ("AWS::SQS::Queue", "AWS::SNS::Topic"):
                arn = f"arn:aws:s3:::{resolved(bucket['BucketName'])}"
                yield "s3.amazonaws.com", arn, target
    for subscription in subscriptions():
        queue = resolved(subscription["Endpoint"])
        dead_letters = QUEUES[queue]["RedrivePolicy"]["deadLetterTargetArn"]
        for target in (queue, resolved(dead_letters)):
            yield "sns.amazonaws.com", resolved(subscription["TopicArn"]), target
    alarms = "arn:aws:cloudwatch:ap-southeast-1:123456789012:alarm:*"
    yield "cloudwatch.amazonaws.com", alarms, "OperatorsTopic"


def subscriptions() -> list[dict[str, Any]]:
    """The subscriptions of queues."""
    return [s for s in of_type("AWS::SNS::Subscription").values() if s["Protocol"] == "sqs"]


def test_services_may_send_where_they_are_wired_to_and_nowhere_else() -> None:
    assert set(from_services()) == set(wired())


def test_only_s3_may_send_to_the_queue_in_which_s3_is_believed() -> None:
    (denial,) = denials("ObjectsQueuePolicy")

    # What is missing is not equal either: a principal of IAM's sends on behalf of no source.
    ((operator, condition),) = denial["Condition"].items()
    ((key, sources),) = condition.items()
    assert (operator, key) == ("ArnNotEquals", "aws:SourceArn")
    assert (denial["Principal"], denial["Action"]) == ("*", "sqs:SendMessage")
    assert set(map(resolved, sources)) == {
        f"arn:aws:s3:::{STACK_NAME}-payloads-123456789012-ap-southeast-1",
        "ObjectCreatedTopic",
    }


@pytest.mark.parametrize(
    ("policy", "services"),
    [
        ("InternalQueuePolicy", {}),
        ("FilesQueuePolicy", {}),
        ("FifoInternalQueuePolicy", {}),
        ("FifoDeadLetterQueuePolicy", {}),
        (
            "DeadLetterQueuePolicy",
            {"ArnNotEquals": {"aws:SourceArn": {"Ref": "ObjectCreatedTopic"}}},
        ),
    ],
)
def test_only_named_operators_may_send_where_they_are_believed(policy: str, services: Any) -> None:
    (choice,) = denials(policy)
    condition, denial, otherwise = choice["Fn::If"]

    assert (condition, otherwise) == ("OperatorsAreNamed", {"Ref": "AWS::NoValue"})
    assert (denial["Effect"], denial["Principal"]) == ("Deny", "*")
    assert denial["Action"] == "sqs:SendMessage"
    principals = "${DurablePipelineRole.Arn},${CleanupRole.Arn},${OperatorRoleArns}"
    senders = {"aws:PrincipalArn": {"Fn::Split": [",", {"Fn::Sub": principals}]}}
    assert denial["Condition"] == {"ArnNotLike": senders} | services


def denials(policy: str) -> list[dict[str, Any]]:
    statements = RESOURCES[policy]["Properties"]["PolicyDocument"]["Statement"]
    return [s for s in statements[1:] if s.get("Effect") != "Allow"]


def test_the_pipeline_sends_only_where_it_is_believed() -> None:
    senders = {
        (role, queue)
        for role in ROLES
        for action, queue in allowed(role)
        if "SendMessage" in action
    }

    assert senders == {
        ("DurablePipelineRole", "InternalQueue"),
        ("DurablePipelineRole", "FilesQueue"),
        ("DurablePipelineRole", "DeadLetterQueue"),
        ("DurablePipelineRole", "FifoDeadLetterQueue"),
        ("CleanupRole", "InternalQueue"),
        ("CleanupRole", "CleanupQueue"),
    }


@pytest.mark.parametrize(
    ("parameter", "text", "taken"),
    [
        ("OperatorRoleArns", "", True),
        ("OperatorRoleArns", "arn:aws:iam::123456789012:role/operator", True),
        ("OperatorRoleArns", "arn:aws:iam::1:role/a,arn:aws:iam::1:role/team/*", True),
        ("OperatorRoleArns", "operator", False),
        ("OperatorRoleArns", "arn:aws:iam::1:role/a, arn:aws:iam::1:role/b", False),
        ("OperatorRoleArns", "arn:aws:iam::1:role/a,", False),
        ("OperatorsEmail", "", True),
        ("OperatorsEmail", "a@example.com", True),
        ("OperatorsEmail", "nobody", False),
        ("OperatorsPhone", "", True),
        ("OperatorsPhone", "+41790000000", True),
        ("OperatorsPhone", "0790000000", False),
        ("UploadsAllowedOrigins", "", True),
        ("UploadsAllowedOrigins", "https://app.example.com,http://127.0.0.1:8080", True),
        ("UploadsAllowedOrigins", "https://app.example.com/", False),
        ("UploadsAllowedOrigins", "app.example.com", False),
        ("UploadsAllowedOrigins", "*", False),
    ],
)
def test_operators_and_pages_are_named_in_words_that_aws_takes(
    parameter: str, text: str, taken: bool
) -> None:
    assert bool(re.fullmatch(PARAMETERS[parameter]["AllowedPattern"], text)) == taken


def test_what_is_too_large_to_travel_is_put_where_the_stages_may_read_it() -> None:
    puts = [
        resource for action, resource in allowed("DurablePipelineRole") if action == "s3:PutObject"
    ]

    assert len(puts) == 1
    assert puts[0].endswith(f"/{OFFLOADED}*")
    for role in ("ValidateRole", "TransformRole", "StoreRole"):
        reads = [resource for action, resource in allowed(role) if action == "s3:GetObject"]
        assert puts[0].removesuffix(f"{OFFLOADED}*") + "*" in reads


def notifications(bucket: str) -> Iterator[tuple[str, str, str]]:
    for kind, configurations in BUCKETS[bucket].get("NotificationConfiguration", {}).items():
        target = {"LambdaConfigurations": "Function"}.get(kind, kind.removesuffix("Configurations"))
        for configuration in configurations:
            (rule,) = configuration["Filter"]["S3Key"]["Rules"]
            assert rule["Name"] == "prefix"
            yield rule["Value"], configuration["Event"], resolved(configuration[target])


@pytest.mark.parametrize("bucket", ["InputBucket", "PayloadBucket"])
def test_a_bucket_is_made_after_what_its_notifications_need(bucket: str) -> None:
    targets = {target for _, _, target in notifications(bucket)}
    # S3 asks each target's policy when it is told of the target.
    needed = {
        name
        for name, resource in RESOURCES.items()
        for member in ("Queues", "Topics", "FunctionName")
        if resource["Type"] != "AWS::Lambda::EventSourceMapping"  # it lets nobody in
        if resolved(as_list(resource["Properties"].get(member))[0]) in targets
    }

    assert len(needed) == len(targets)
    assert set(as_list(RESOURCES[bucket]["DependsOn"])) == needed


def test_only_our_input_bucket_may_invoke_the_durable_function() -> None:
    permission = RESOURCES["DirectDoorPermission"]["Properties"]

    assert permission["Principal"] == "s3.amazonaws.com"
    assert permission["SourceAccount"] == {"Ref": "AWS::AccountId"}
    assert resolved(permission["SourceArn"]) == (
        f"arn:aws:s3:::{STACK_NAME}-input-123456789012-ap-southeast-1"
    )


def test_what_a_topic_cannot_deliver_goes_to_the_dead_letters_of_its_queue() -> None:
    for subscription in subscriptions():
        queue = QUEUES[resolved(subscription["Endpoint"])]
        target = subscription["RedrivePolicy"]["deadLetterTargetArn"]
        assert target == queue["RedrivePolicy"]["deadLetterTargetArn"]
        # What is filtered for is told. S3's events come in SNS's envelope, our own come bare.
        assert set(subscription.get("FilterPolicy", {}).get("event", ())) <= EVENT_NAMES
        ours = resolved(subscription["TopicArn"]) == "ProcessingEventsTopic"
        assert subscription["RawMessageDelivery"] is ours


def test_buckets_are_private_and_stay_when_the_stack_goes() -> None:
    for name, bucket in BUCKETS.items():
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}, name
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4, name
        (rule,) = bucket["OwnershipControls"]["Rules"]
        assert rule == {"ObjectOwnership": "BucketOwnerEnforced"}, name
        assert RESOURCES[name]["DeletionPolicy"] == "RetainExceptOnCreate", name
        assert RESOURCES[name]["UpdateReplacePolicy"] == "Retain", name


def test_buckets_have_names_that_s3_takes() -> None:
    names = [resolved(bucket["BucketName"]) for bucket in BUCKETS.values()]

    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", name) for name in names)


@pytest.mark.parametrize("name", ["InputBucket", "PayloadBucket", "OutputBucket"])
def test_uploads_that_were_abandoned_do_not_stay(name: str) -> None:
    assert {"DaysAfterInitiation": 1} in [
        rule.get("AbortIncompleteMultipartUpload")
        for rule in BUCKETS[name]["LifecycleConfiguration"]["Rules"]
    ]


def test_a_payload_outlives_every_message_that_points_to_it() -> None:
    (rule, _) = BUCKETS["PayloadBucket"]["LifecycleConfiguration"]["Rules"]
    seconds = sum(
        QUEUES[name]["MessageRetentionPeriod"]
        for name in ("DataProcessingQueue", "DeadLetterQueue")
    )

    assert rule["ExpirationInDays"] == {"Ref": "PayloadRetentionInDays"}
    assert PARAMETERS["PayloadRetentionInDays"]["MinValue"] * 86400 > seconds


def test_only_the_input_bucket_keeps_versions_and_not_for_ever() -> None:
    versioned = [name for name, bucket in BUCKETS.items() if "VersioningConfiguration" in bucket]
    (rule, _) = BUCKETS["InputBucket"]["LifecycleConfiguration"]["Rules"]

    assert versioned == ["InputBucket"]
    assert rule["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert rule["ExpiredObjectDeleteMarker"]


READERS = ["ValidateRole", "TransformRole", "StoreRole", "CsvFileRole", "UploadsRole"]


@pytest.mark.parametrize("role", READERS)
def test_whoever_reads_payloads_is_told_of_one_that_is_not_there(role: str) -> None:
    bucket = f"arn:aws:s3:::{STACK_NAME}-payloads-123456789012-ap-southeast-1"
    (listing,) = [
        statement
        for name, statement in statements()
        if name == role and bucket in map(resolved, as_list(statement["Resource"]))
    ]

    # With a condition on the prefix, S3 would answer 403 for an object that does not exist.
    assert listing["Action"] == "s3:ListBucket"
    assert "Condition" not in listing


def test_uploads_are_given_out_below_the_door_only() -> None:
    objects = {resource for action, resource in allowed("UploadsRole") if action.endswith("Object")}

    assert objects == {f"arn:aws:s3:::{STACK_NAME}-payloads-123456789012-ap-southeast-1/messages/*"}


def test_the_uploads_api_asks_who_is_there() -> None:
    routes = of_type("AWS::ApiGatewayV2::Route").values()
    permission = RESOURCES["UploadsApiPermission"]["Properties"]

    assert all(r["AuthorizationType"] == {"Ref": "UploadsApiAuthorization"} for r in routes)
    assert PARAMETERS["UploadsApiAuthorization"]["Default"] == "AWS_IAM"
    assert "${UploadsApi}/" in permission["SourceArn"]["Fn::Sub"]


def test_the_uploads_api_is_throttled_and_logged() -> None:
    stage = RESOURCES["UploadsApiStage"]["Properties"]

    assert set(stage["DefaultRouteSettings"]) == {"ThrottlingRateLimit", "ThrottlingBurstLimit"}
    log_entry = json.loads(stage["AccessLogSettings"]["Format"])
    assert log_entry["requestId"] == "$context.requestId"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_knows_each_queue_by_its_name(name: str) -> None:
    variables = FUNCTIONS[name]["Environment"]["Variables"]

    for variable in (v for v in variables if v.endswith("_QUEUE_URL")):
        camel = variable.removesuffix("_URL").title().replace("_", "")
        present = {"Ref": camel}
        if "Condition" in RESOURCES[camel]:
            present = {"Fn::If": ["InOrder", present, {"Ref": "AWS::NoValue"}]}
        assert variables[variable] == present


def test_queues_keep_messages_as_long_as_sqs_allows() -> None:
    days = {queue["MessageRetentionPeriod"] / 86400 for queue in QUEUES.values()}

    assert days == {14}


def test_each_queue_may_give_up_to_its_dead_letter_queue_and_no_other_may() -> None:
    for name, queue in QUEUES.items():
        if "RedrivePolicy" in queue:
            dead_letters = QUEUES[resolved(queue["RedrivePolicy"]["deadLetterTargetArn"])]
            sources = map(resolved, dead_letters["RedriveAllowPolicy"]["sourceQueueArns"])
            assert resolved(queue["QueueName"]) in [arn.rsplit(":")[-1] for arn in sources], name


def watched(metric: str) -> set[str]:
    return {
        resolved_name(alarm["Dimensions"][0]["Value"])
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm["MetricName"] == metric
    }


def test_dead_letters_raise_alarms_and_so_do_messages_that_wait_too_long() -> None:
    dead_letter_queues = {name for name, queue in QUEUES.items() if "RedrivePolicy" not in queue}

    assert len(dead_letter_queues) == 5
    assert watched("ApproximateNumberOfMessagesVisible") == dead_letter_queues
    assert watched("ApproximateAgeOfOldestMessage") == set(QUEUES) - dead_letter_queues


@pytest.mark.parametrize("metric", ["Errors", "Throttles"])
def test_each_function_that_fails_or_finds_no_room_raises_an_alarm(metric: str) -> None:
    assert watched(metric) == set(FUNCTIONS)


@pytest.mark.parametrize("metric", ["DurableExecutionFailed", "DurableExecutionTimedOut"])
def test_executions_raise_alarms(metric: str) -> None:
    assert watched(metric) == {"DurablePipelineFunction"}


def test_an_execution_raises_an_alarm_before_it_has_as_many_operations_as_it_may() -> None:
    alarm = of_type("AWS::CloudWatch::Alarm")["LargeExecutionsAlarm"]

    assert (alarm["MetricName"], alarm["Statistic"]) == ("ExecutionOperations", "Maximum")
    assert 1500 < alarm["Threshold"] < 3000


def resolved_name(value: Any) -> str:
    return str(value["Fn::GetAtt"][0] if "Fn::GetAtt" in value else value["Ref"])


def test_an_alarm_always_notifies_somebody() -> None:
    for name, alarm in of_type("AWS::CloudWatch::Alarm").items():
        (action,) = alarm["AlarmActions"]
        own_topic, ours = {"Ref": "AlarmTopicArn"}, {"Ref": "OperatorsTopic"}
        assert action == {"Fn::If": ["AlarmsHaveTheirTopic", own_topic, ours]}, name


def test_topics_can_be_sent_to_by_services() -> None:
    # A topic that is encrypted with the key of SNS refuses CloudWatch and S3.
    assert not [n for n, t in of_type("AWS::SNS::Topic").items() if "KmsMasterKeyId" in t]


def test_the_dashboard_shows_every_alarm() -> None:
    (widget,) = [w for w in dashboard("stack")["widgets"] if w["type"] == "alarm"]

    assert sorted(widget["properties"]["alarms"]) == sorted(of_type("AWS::CloudWatch::Alarm"))


@pytest.mark.parametrize(
    "metric",
    ["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible", "Errors", "Throttles"],
)
def test_the_dashboard_shows_what_raises_an_alarm(metric: str) -> None:
    resources = {value for m in shown("stack") if m.name == metric for _, value in m.dimensions}

    assert resources == watched(metric)


def test_the_guide_counts_the_alarms() -> None:
    guide = (ROOT / "docs" / "guides" / "observe.md").read_text("utf-8")

    always = [n for n in of_type("AWS::CloudWatch::Alarm") if "Condition" not in RESOURCES[n]]
    assert f"{len(always)} alarms" in guide


def test_the_dashboards_widgets_do_not_overlap() -> None:
    cells = [
        (x, y)
        for widget in dashboard("stack")["widgets"]
        for x in range(widget["x"], widget["x"] + widget["width"])
        for y in range(widget["y"], widget["y"] + widget["height"])
    ]

    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24


def test_a_search_is_not_longer_than_cloudwatch_takes() -> None:
    names = {
        name: resolved(properties.get("FunctionName", properties.get("QueueName")))
        for name, properties in {**FUNCTIONS, **QUEUES}.items()
    }
    searches = [
        re.sub(r"\w+", lambda word: names.get(word[0], word[0]), entry[0]["expression"])
        for widget in dashboard(STACK_NAME)["widgets"]
        for entry in widget["properties"].get("metrics", ())
        if isinstance(entry[0], dict)
    ]

    assert max(map(len, searches)) > 400
    assert max(map(len, searches)) <= LONGEST_SEARCH


def test_tracing_is_off_unless_wanted() -> None:
    for name in FUNCTIONS:
        plain, traced = (of_stack(base()[name]["Properties"], v) for v in (DEFAULTS, OTEL))
        variables = traced["Environment"]["Variables"].keys()

        assert (plain["TracingConfig"]["Mode"], plain["Layers"]) == ("PassThrough", [])
        assert (traced["TracingConfig"]["Mode"], traced["Layers"]) == ("Active", [LAYER])
        only_traced = variables - plain["Environment"]["Variables"].keys()
        assert only_traced - {"DURABLE_EXECUTION_PLUGINS"} == {"AWS_LAMBDA_EXEC_WRAPPER"}


def test_records_of_executions_are_off_unless_wanted() -> None:
    assert PARAMETERS["ExecutionRecords"]["Default"] != LOGS
    assert LOGS in PARAMETERS["ExecutionRecords"]["AllowedValues"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_traced_function_may_write_traces_and_another_may_not(name: str) -> None:
    role = ROLES[FUNCTIONS[name]["Role"]["Fn::GetAtt"][0]]
    traced = [arn.partition(":iam::")[2] for arn in of_stack(role, OTEL)["ManagedPolicyArns"]]

    assert traced == ["aws:policy/AWSXRayDaemonWriteAccess"]
    assert "ManagedPolicyArns" not in of_stack(role, DEFAULTS)


def test_a_trail_costs_only_those_who_want_one() -> None:
    assert PARAMETERS["CloudTrailEnabled"]["Default"] == "false"
    for name in ("Trail", "TrailBucket", "TrailBucketPolicy"):
        assert RESOURCES[name]["Condition"] == "CloudTrailRecords"


def test_each_parameter_has_its_place_in_the_form() -> None:
    groups = TEMPLATE["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    shown = [name for group in groups for name in group["Parameters"]]

    assert sorted(shown) == sorted(PARAMETERS)
    assert all(parameter["Description"] for parameter in PARAMETERS.values())


def test_dependencies_are_pinned_with_hashes() -> None:
    for path in [*ROOT.glob("requirements/*.txt"), *ROOT.glob("src/*/requirements.txt")]:
        text = path.read_text()
        pins = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE | re.IGNORECASE)
        assert pins, path
        assert all("==" in pin for pin in pins), path
        assert text.count("--hash=") >= len(pins), path
        assert "://" not in text, path


LAYER = "arn:aws:lambda:us-east-1:123456789012:layer:opentelemetry:1"
OWN_STAGE = "arn:aws:lambda:us-east-1:123456789012:function:enrich:1"
OTEL = {**DEFAULTS, "Tracing": "otel", "TracingLayerArn": LAYER}
# Other values of the parameters that are text by a pattern; of the function's, the longest.
TEXTS = {
    "Environment": "e" * 20,
    "TracingLayerArn": LAYER.replace("telemetry", "t" * (120 + len("telemetry") - len(LAYER))),
    "EnrichmentFunctionArn": OWN_STAGE.replace("enrich", "e" * (126 - len(OWN_STAGE))),
    "AlarmTopicArn": "arn:aws:sns:eu-central-1:123456789012:alarms",
    "OperatorsEmail": "operators@example.com",
    "OperatorsPhone": "+41790000000",
}


def others(name: str) -> list[str]:
    """Values that a parameter may have, other than its default; the longest is among them."""
    parameter = PARAMETERS[name]
    if name in TEXTS:
        return [TEXTS[name]]
    bounds = [parameter.get("MinValue"), parameter.get("MaxValue")]
    values = map(str, parameter.get("AllowedValues", bounds))
    return [value for value in values if value != DEFAULTS[name]]


CHANGES = {
    name: {**OTEL, name: DEFAULTS[name] if OTEL[name] != DEFAULTS[name] else others(name)[-1]}
    for name in PARAMETERS
}


TRANSLATED = {
    "": OTEL,
    "defaults": DEFAULTS,
    "in order": {**DEFAULTS, "FifoDoor": "true"},
    **CHANGES,
}


@functools.cache
def translated() -> dict[str, dict[str, Any]]:
    """The resources after each change, by its parameter, and, as "", before; SAM takes seconds."""
    return dict(zip(TRANSLATED, translations(list(TRANSLATED.values())), strict=True))


def base() -> dict[str, Any]:
    return translated()[""]


def version_of(resources: dict[str, Any], values: dict[str, str]) -> tuple[str, Any]:
    """The version that the alias names. CloudFormation makes another where any of this differs."""
    alias = resources["DurablePipelineFunctionAliaslive"]["Properties"]
    name = alias["FunctionVersion"]["Fn::GetAtt"][0]
    return name, of_stack(resources[name]["Properties"], values)


def function_of(resources: dict[str, Any], values: dict[str, str]) -> Any:
    return of_stack(resources["DurablePipelineFunction"]["Properties"], values)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_parameter_publishes_a_version_if_and_only_if_it_changes_the_function(name: str) -> None:
    # Only if, because Lambda refuses to publish what it has published, and the deployment fails.
    values = CHANGES[name]

    changed = function_of(translated()[name], values) != function_of(base(), OTEL)

    assert (version_of(translated()[name], values) != version_of(base(), OTEL)) is changed


VALUES = st.fixed_dictionaries(
    {name: st.sampled_from([DEFAULTS[name], *others(name)]) for name in PARAMETERS}
)


@given(VALUES, st.sampled_from(list(PARAMETERS)), st.data())
def test_two_deployments_share_a_version_if_and_only_if_they_share_the_function(
    before: dict[str, str], name: str, data: st.DataObject
) -> None:
    after = {**before, name: data.draw(st.sampled_from([DEFAULTS[name], *others(name)]))}
    functions = [function_of(base(), values) for values in (before, after)]

    published = version_of(base(), before) != version_of(base(), after)

    assert published is (functions[0] != functions[1])
    # That is surely what Lambda compares with the version before, when it is asked to publish.
    assert published is (functions[0]["Environment"] != functions[1]["Environment"])


def test_the_parameters_that_reach_the_function_are_told_from_those_that_do_not() -> None:
    publishing = {
        name
        for name in PARAMETERS
        if version_of(translated()[name], CHANGES[name]) != version_of(base(), OTEL)
    }

    assert {"StageTimeout", "LogLevel", "ExecutionTimeout", "Tracing"} <= publishing
    assert publishing.isdisjoint({"BatchSize", "VisibilityTimeout", "OperatorsEmail"})
    # Without OpenTelemetry, its layer is nothing to the function.
    assert version_of(base(), {**OTEL, "Tracing": "none"}) == version_of(
        base(), {**OTEL, "Tracing": "none", "TracingLayerArn": TEXTS["TracingLayerArn"]}
    )


def test_code_publishes_a_version_and_no_change_publishes_none() -> None:
    (other,) = translations([OTEL], code="other")
    (again,) = translations([OTEL])

    assert version_of(other, OTEL)[0] != version_of(base(), OTEL)[0]
    assert version_of(again, OTEL) == version_of(base(), OTEL)


def test_a_versions_description_takes_the_longest_values() -> None:
    longest = {
        **{name: max([DEFAULTS[name], *others(name)], key=len) for name in PARAMETERS},
        "Tracing": "otel",
    }
    texts = ("Environment", "TracingLayerArn", "EnrichmentFunctionArn")

    assert not [name for name in texts if any(t.startswith(name) for t in refusals(longest))]
    for name in texts:  # and there is none that is longer
        assert refusals({name: TEXTS[name].replace(":1", ":11") + "e" * (name == "Environment")})
    _, properties = version_of(base(), longest)
    assert len(properties["Description"]) <= 256


def schema_of(resource_type: str) -> Any:
    """What CloudFormation says of a type of resources."""
    # Imported by the one process that runs these tests, not by each that collects them: 3 s.
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    return PROVIDER_SCHEMA_MANAGER.get_resource_schema("us-east-1", resource_type).schema


def test_cloudformation_replaces_a_version_whose_description_changes() -> None:
    schema = schema_of("AWS::Lambda::Version")

    assert "/properties/Description" in schema["createOnlyProperties"]
    assert schema["properties"]["Description"]["maxLength"] == 256


def test_executions_that_run_keep_their_version() -> None:
    name, _ = version_of(base(), OTEL)

    # One is for a version whose logical id is gone, the other for one that was replaced.
    assert base()[name]["DeletionPolicy"] == base()[name]["UpdateReplacePolicy"] == "Retain"
    assert "DeletionPolicy" not in base()["DurablePipelineFunction"]


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("level", PARAMETERS["LogLevel"]["AllowedValues"])
def test_lambda_lets_through_what_a_function_is_to_log(name: str, level: str) -> None:
    properties = of_stack(base()[name]["Properties"], {**OTEL, "LogLevel": level})

    # Without it, Lambda drops what is below INFO and tells the function's logger to log the rest.
    assert properties["LoggingConfig"]["LogFormat"] == "JSON"
    assert properties["LoggingConfig"]["ApplicationLogLevel"] == LAMBDAS_LEVELS[level]
    assert properties["Environment"]["Variables"]["POWERTOOLS_LOG_LEVEL"] == level
    levels = schema_of("AWS::Lambda::Function")["definitions"]["LoggingConfig"]["properties"][
        "ApplicationLogLevel"
    ]
    assert LAMBDAS_LEVELS[level] in levels["enum"]


# What is given, and what the refusal says to set.
REFUSED = [
    ({"BatchSize": "11"}, "Set MaximumBatchingWindowInSeconds to 1"),
    ({"BatchSize": "10000"}, "Set MaximumBatchingWindowInSeconds to 1"),
    (
        {"VisibilityTimeout": "960", "MaximumBatchingWindowInSeconds": "60"},
        "Set VisibilityTimeout to 1260",
    ),
    ({"VisibilityTimeout": "900"}, "VisibilityTimeout: must be 1260"),
    ({"VisibilityTimeout": "75"}, "Set VisibilityTimeout to 1260"),
    ({"VisibilityTimeout": "45", "ExecutionTimeout": "60"}, "Set VisibilityTimeout to 1260"),
    (
        {
            "VisibilityTimeout": "75",
            "ExecutionTimeout": "60",
            "MaximumBatchingWindowInSeconds": "15",
        },
        "Set VisibilityTimeout to 1260",
    ),
    ({"FilesTimeout": "451"}, "FilesTimeout: must be 3 to 450"),
    ({"FilesTimeout": "300", "ExecutionTimeout": "300"}, "Set FilesTimeout to half"),
    ({"Tracing": "otel"}, "Set TracingLayerArn"),
]


@pytest.mark.parametrize(("values", "says"), REFUSED)
def test_settings_that_contradict_each_other_are_refused_with_what_to_set(
    values: dict[str, str], says: str
) -> None:
    (refusal,) = refusals(values)

    assert says in refusal


@pytest.mark.parametrize("rule", TEMPLATE["Rules"])
def test_every_rule_refuses_something_here(rule: str) -> None:
    said = {refusal for values, _ in REFUSED for refusal in refusals(values)}

    assert {a["AssertDescription"] for a in TEMPLATE["Rules"][rule]["Assertions"]} <= said


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"VisibilityTimeout": "960", "MaximumBatchingWindowInSeconds": "59"},
        {"BatchSize": "100", "MaximumBatchingWindowInSeconds": "5"},
        {"BatchSize": "10000", "MaximumBatchingWindowInSeconds": "300"},
        OTEL,
        *(LOCAL_PARAMETERS, end_to_end.PARAMETERS, chaos.PARAMETERS, large_file.PARAMETERS),
    ],
)
def test_settings_that_agree_are_taken(values: dict[str, str]) -> None:
    assert not refusals(values)
    assert not contradictions(TEMPLATE, parameter_values(TEMPLATE, values))


def seconds(name: str) -> st.SearchStrategy[int]:
    return st.integers(PARAMETERS[name]["MinValue"], PARAMETERS[name]["MaxValue"])


@given(
    visibility=st.sampled_from(PARAMETERS["VisibilityTimeout"]["AllowedValues"]),
    execution=seconds("ExecutionTimeout") | st.sampled_from([20, 30, 40, 60, 900]),
    window=seconds("MaximumBatchingWindowInSeconds") | st.integers(0, 5) | st.integers(58, 61),
    size=seconds("BatchSize") | st.integers(9, 12),
)
def test_what_the_template_takes_the_doctor_finds_sound(
    visibility: int, execution: int, window: int, size: int
) -> None:
    values = {
        "VisibilityTimeout": visibility,
        "ExecutionTimeout": execution,
        "MaximumBatchingWindowInSeconds": window,
        "BatchSize": size,
        "FilesTimeout": 3,
    }
    stack = sound.deployed(
        {
            **sound.ANSWERS,
            sound.IN: sound.queue(visibility),
            sound.PIPELINE: {"Timeout": execution, **sound.durable(execution)},
            sound.FROM_IN: sound.mapping(
                "in", "pipeline:live", BatchSize=size, MaximumBatchingWindowInSeconds=window
            ),
        }
    )

    if not refusals({name: str(value) for name, value in values.items()}):
        for check in (of_queues.visibility_timeout, of_queues.batch_window):
            assert [found.level for found in check(stack, "uuid-in")] == [Level.OK]
        (found,) = of_functions.execution_timeout(stack, "pipeline")
        assert found.level is Level.OK


@pytest.mark.parametrize("name", ["StageTimeout", "FilesTimeout"])
def test_what_rules_cannot_say_the_local_deployment_does(name: str) -> None:
    values = {"ExecutionTimeout": "60", "StageTimeout": "30", "FilesTimeout": "30"}

    (refusal,) = contradictions(TEMPLATE, parameter_values(TEMPLATE, {**values, name: "31"}))

    assert f"{name} 31 is more than half of ExecutionTimeout 60" in refusal
    assert f"Set {name} to 30 or less" in refusal
    assert not contradictions(TEMPLATE, parameter_values(TEMPLATE, values))


@pytest.mark.parametrize("name", ["StageTimeout", "FilesTimeout"])
def test_at_the_default_of_an_execution_no_timeout_within_it_is_too_long(name: str) -> None:
    values = parameter_values(TEMPLATE, {name: str(PARAMETERS[name]["MaxValue"])})

    assert not contradictions(TEMPLATE, values)
