"""Edits a built SAM template so that it deploys to the local cloud.

A durable function stays as it is; who invokes it starts an execution, which is `durable_functions`'
business in ministack.
"""

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from localcloud.settings import LocalCloudError, Settings

SAM_FUNCTION = "AWS::Serverless::Function"
PLAIN_FUNCTION = "AWS::Lambda::Function"
PATIENCE_LOGICAL_SUFFIX = "Patience"

# ministack refuses a stack that has any. Nothing refers to these.
_NOT_SERVED = {"AWS::Logs::QueryDefinition"}
_POLICIES = {"AWS::SQS::QueuePolicy", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"}
# With the pauses between them, a few minutes: the gateway is back within seconds.
_ATTEMPTS_AT_THE_GATEWAY = 10
_WITH_BATCH_CALL = {
    *("sqs:SendMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"),
    "sns:Publish",
}

_NONE: Mapping[str, str] = {}

JsonObject = dict[str, Any]


def overlay(
    template: Mapping[str, Any], settings: Settings, values: Mapping[str, str] = _NONE
) -> JsonObject:
    """Return the template as it is deployed locally; the one passed in stays as it is.

    `values` are those that the template's parameters get, all of them.
    Raises LocalCloudError for a durable function that the local cloud cannot run.
    """
    result = copy.deepcopy(dict(template))
    resources: JsonObject = result.get("Resources", {})
    for logical_id in [name for name, r in resources.items() if r.get("Type") in _NOT_SERVED]:
        del resources[logical_id]
    _reject_global_durable_config(result)
    for scaling in _scaling_configurations(resources):
        # A parameter is text to ministack, which then cannot compare it with a number.
        _resolve_number(scaling, "MaximumConcurrency", values)
    for logical_id in _durable_functions(resources):
        _check_durable(resources, logical_id)
        resources[f"{logical_id}{PATIENCE_LOGICAL_SUFFIX}"] = _patience(logical_id)
    for statement in _allowing_statements(resources):
        _allow_batch_calls(statement)
    for logical_id in [name for name, r in resources.items() if r.get("Type") in _POLICIES]:
        _allow_plain_http(resources, logical_id)
    for output in result.get("Outputs", {}).values():
        _address_api_by_path(output, settings)
    return result


def _reject_global_durable_config(template: JsonObject) -> None:
    if "DurableConfig" in template.get("Globals", {}).get("Function", {}):
        raise LocalCloudError(
            "Globals.Function.DurableConfig makes every function durable: move DurableConfig to "
            "the functions that are meant."
        )


def _scaling_configurations(resources: JsonObject) -> Iterator[JsonObject]:
    for resource in resources.values():
        properties = resource.get("Properties", {})
        sources = [event.get("Properties", {}) for event in properties.get("Events", {}).values()]
        if resource.get("Type") == "AWS::Lambda::EventSourceMapping":
            sources.append(properties)
        yield from (source["ScalingConfig"] for source in sources if "ScalingConfig" in source)


def _resolve_number(holder: JsonObject, key: str, values: Mapping[str, str]) -> None:
    value = holder.get(key)
    if isinstance(value, dict) and value.get("Ref") in values:
        holder[key] = int(values[value["Ref"]])


def _durable_functions(resources: JsonObject) -> list[str]:
    return [
        logical_id
        for logical_id, resource in resources.items()
        if resource.get("Type") in (SAM_FUNCTION, PLAIN_FUNCTION)
        and "DurableConfig" in resource.get("Properties", {})
    ]


def _check_durable(resources: JsonObject, logical_id: str) -> None:
    """Refuse what the local cloud cannot do for a durable function."""
    properties = resources[logical_id]["Properties"]
    durable = properties["DurableConfig"]
    if not isinstance(durable, dict) or "ExecutionTimeout" not in durable:
        raise LocalCloudError(
            f"{logical_id}.DurableConfig must be an object with an ExecutionTimeout: the local "
            "cloud reads it from there."
        )
    given = properties.get("DeadLetterQueue") or properties.get("DeadLetterConfig") or {}
    if given.get("Type", "SQS") != "SQS":
        raise LocalCloudError(
            f"{logical_id}.DeadLetterQueue is of type {given['Type']}: the local cloud sends dead "
            "letters to queues only, of type SQS."
        )
    patience_id = f"{logical_id}{PATIENCE_LOGICAL_SUFFIX}"
    if patience_id in resources:
        raise LocalCloudError(
            f"{logical_id} is durable and the local cloud needs the logical id {patience_id}, "
            "which the template uses: rename one of the two."
        )


def _patience(logical_id: str) -> JsonObject:
    """Have ministack repeat an asynchronous invocation that finds the gateway away.

    It reads this of a function, not of an alias. That Lambda does not repeat an execution that
    failed is the gateway's business, which takes any event that it has begun to work on.
    """
    return {
        "Type": "AWS::Lambda::EventInvokeConfig",
        "Properties": {
            "FunctionName": {"Ref": logical_id},
            "Qualifier": "$LATEST",
            "MaximumRetryAttempts": _ATTEMPTS_AT_THE_GATEWAY,
        },
    }


def _allow_plain_http(resources: JsonObject, logical_id: str) -> None:
    document = resources[logical_id].get("Properties", {}).get("PolicyDocument", {})
    statements = document.get("Statement", [])
    if isinstance(statements, dict):
        statements = [statements]
    kept = [statement for statement in statements if not _demands_tls(statement)]
    if kept:
        document["Statement"] = kept
    elif statements:
        del resources[logical_id]
        _forget(resources, logical_id)


def _allowing_statements(resources: JsonObject) -> Iterator[JsonObject]:
    for resource in resources.values():
        for policy in _inline_policies(resource.get("Properties", {})):
            statements = policy.get("Statement", [])
            statements = [statements] if isinstance(statements, dict) else statements
            yield from (statement for statement in statements if "Action" in statement)


def _inline_policies(properties: JsonObject) -> Iterator[JsonObject]:
    policies = properties.get("Policies", [])
    for policy in policies if isinstance(policies, list) else [policies]:
        for case in _cases(policy):
            yield case.get("PolicyDocument", case)


def _cases(policy: object) -> Iterator[JsonObject]:
    """What a policy may be: itself, or what a condition chooses from."""
    match policy:
        case {"Fn::If": [_, *cases]}:
            for case in cases:
                yield from _cases(case)
        case dict():
            yield policy


def _allow_batch_calls(statement: JsonObject) -> None:
    """Name the batch calls beside the single ones, by whose name AWS authorizes both."""
    actions = statement["Action"]
    actions = [actions] if isinstance(actions, str) else actions
    statement["Action"] = [*actions, *(f"{a}Batch" for a in actions if a in _WITH_BATCH_CALL)]


def _demands_tls(statement: object) -> bool:
    if not isinstance(statement, dict) or statement.get("Effect") != "Deny":
        return False
    condition = statement.get("Condition", {}).get("Bool", {})
    return {k.lower(): str(v).lower() for k, v in condition.items()} == {
        "aws:securetransport": "false"
    }


def _forget(resources: JsonObject, removed: str) -> None:
    for resource in resources.values():
        dependencies = resource.get("DependsOn")
        if dependencies == removed:
            del resource["DependsOn"]
        elif isinstance(dependencies, list) and removed in dependencies:
            dependencies.remove(removed)


def _address_api_by_path(output: JsonObject, settings: Settings) -> None:
    """Give out an address that needs no name server, unlike ministack's host name of an API."""
    match output.get("Value"):
        case {"Fn::GetAtt": [api, "ApiEndpoint"]}:
            output["Value"] = _sub(f"{settings.aws_endpoint_url}/_aws/execute-api/${{{api}}}")


def _sub(text: str) -> JsonObject:
    return {"Fn::Sub": text}
