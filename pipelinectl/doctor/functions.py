"""Checks of functions: their state, how long they may take, and how many of them run at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pipelinectl import errors
from pipelinectl.doctor.stack import (
    MAPPING,
    Level,
    durable_timeout,
    invoked,
    is_gone,
    ok,
    problem,
    variables,
    verdict,
    warning,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelinectl.doctor.stack import Deployed, Finding, Findings

LONGEST_EXECUTION = 900

# The durable function's variables that name what it calls, and those with the callees' timeouts.
_CALLED = {
    "VALIDATION_FUNCTION_ARN": "STAGE_TIMEOUT",
    "TRANSFORMATION_FUNCTION_ARN": "STAGE_TIMEOUT",
    "STORAGE_FUNCTION_ARN": "STAGE_TIMEOUT",
    "CSV_FILE_FUNCTION_ARN": "FILES_TIMEOUT",
}

OWN_STAGE = "ENRICHMENT_FUNCTION_ARN"
"""The variable that names the own stage, which the stack has not made."""

_INVOKE = "lambda:InvokeFunction"


def _called(function: Mapping[str, Any]) -> dict[str, str]:
    """Names of the functions that a durable function calls, each with its timeout's variable."""
    arns = {variables(function).get(name, ""): setting for name, setting in _CALLED.items()}
    return {invoked(arn)[0]: setting for arn, setting in arns.items() if arn}


def function_state(stack: Deployed, name: str) -> Findings:
    """Inactive is a function that Lambda put to rest: the next invocation wakes it."""
    function = stack.function(name)
    state, update = function.get("State", "Active"), function.get("LastUpdateStatus", "Successful")
    again = "repair what it says and deploy again"
    if state == "Failed":
        yield problem(name, f"Failed {function.get('StateReason', '')}".strip(), again)
    elif update == "Failed":
        reason = function.get("LastUpdateStatusReason", "")
        yield problem(name, f"last update Failed {reason}".strip(), again)
    elif state == "Pending" or update == "InProgress":
        found = f"{state}, last update {update}"
        yield warning(name, found, "wait until it is done, and ask again")
    else:
        yield ok(name, state)


def alias(stack: Deployed, name: str) -> Findings:
    """Without it, every invocation is refused, and messages come back until they are given up."""
    if durable_timeout(stack.function(name)) is None:
        return
    arns = [mapping["FunctionArn"] for mapping in stack.mappings_to(name)]
    used = {stack.alias, *(invoked(arn)[1] for arn in arns)}
    aliases = stack.ask("lambda_", "list_aliases", FunctionName=name)["Aliases"]
    known = {one["Name"] for one in aliases}
    for one in sorted(used - {"", "$LATEST"}):
        if one in known or one.isdecimal():
            yield ok(name, one)
        else:
            remedy = f"aws lambda create-alias --function-name {name} --name {one} "
            yield problem(name, f"no alias {one}", f"{remedy}--function-version VERSION")


def execution_timeout(stack: Deployed, name: str) -> Findings:
    """The event source mapping waits for the whole execution, and no longer than this."""
    function = stack.function(name)
    seconds = durable_timeout(function)
    if seconds is None or not stack.mappings_to(name):
        return
    found = f"{seconds} s"
    if seconds > LONGEST_EXECUTION:
        remedy = f"deploy with an ExecutionTimeout of at most {LONGEST_EXECUTION}"
        yield problem(name, found, remedy)
    elif function["Timeout"] < seconds:
        remedy = "deploy template.yaml again, which sets both to ExecutionTimeout"
        yield problem(name, f"{found}, {function['Timeout']} s when invoked", remedy)
    else:
        yield ok(name, found)


def stage_timeout(stack: Deployed, name: str) -> Findings:
    """A call that begins late and hangs would take the whole execution, and its batch, with it."""
    caller = stack.function(name)
    seconds = durable_timeout(caller)
    if seconds is None:
        return
    for called, setting in _called(caller).items():
        timeout = stack.function(called)["Timeout"]
        parameter = "FilesTimeout" if setting == "FILES_TIMEOUT" else "StageTimeout"
        most = f"a {parameter} of at most {seconds / 2:.0f}"
        remedy = f"deploy with {most}, or a longer ExecutionTimeout"
        bad = Level.PROBLEM if timeout > seconds / 2 else None
        yield verdict(called, f"{timeout} s of {seconds} s", remedy, bad=bad)


def deadline_settings(stack: Deployed, name: str) -> Findings:
    """It stops beginning work by them; by wrong ones, too late or too early."""
    function = stack.function(name)
    seconds = durable_timeout(function)
    if seconds is None:
        return
    real = [("EXECUTION_TIMEOUT", seconds)]
    for called, setting in _called(function).items():
        real.append((setting, stack.function(called)["Timeout"]))
    believed = {setting: variables(function).get(setting, "") for setting, _ in real}
    wrong = {
        f"{setting} {believed[setting]} is {timeout}"
        for setting, timeout in real
        if believed[setting].isdecimal() and int(believed[setting]) != timeout
    }
    found = ", ".join(sorted(wrong)) or "as they are"
    remedy = "deploy template.yaml again: its parameters set both"
    yield verdict(name, found, remedy, bad=Level.PROBLEM if wrong else None)


def own_stage(stack: Deployed, name: str) -> Findings:
    """No record is stored while it is missing, or may not be invoked."""
    caller = stack.function(name)
    arn = variables(caller).get(OWN_STAGE)
    if not arn or durable_timeout(caller) is None:
        return
    subject = invoked(arn)[0]
    try:
        function = stack.ask("lambda_", "get_function_configuration", FunctionName=arn)
    except errors.expected() as error:
        if not is_gone(error):
            raise
        remedy = "deploy that function, or the pipeline with another EnrichmentFunctionArn, or none"
        yield problem(subject, "does not exist", remedy)
        return
    yield _own_stage_state(function, subject)
    yield _own_stage_time(caller, function, subject)
    called = [variables(caller).get("CSV_FILE_FUNCTION_ARN", "")]
    for one in (name, *(invoked(arn_)[0] for arn_ in called if arn_)):
        remedy = "deploy template.yaml again: it gives the right with EnrichmentFunctionArn"
        yield _may_invoke(stack, one, arn, remedy)


def _own_stage_state(function: Mapping[str, Any], subject: str) -> Finding:
    state = function.get("State", "Active")
    bad = Level.PROBLEM if state == "Failed" else None
    return verdict(subject, state, "repair and deploy that function again", bad=bad)


def _own_stage_time(
    caller: Mapping[str, Any], function: Mapping[str, Any], subject: str
) -> Finding:
    """The deadline of an execution reckons with StageTimeout."""
    seconds, most = function["Timeout"], int(variables(caller).get("STAGE_TIMEOUT", "60"))
    remedy = f"give that function a timeout of at most {most} s, or the pipeline a StageTimeout"
    bad = Level.PROBLEM if seconds > most else None
    return verdict(subject, f"{seconds} s of {most} s", f"{remedy} of {seconds}", bad=bad)


def row_items(stack: Deployed, name: str) -> Findings:
    """Which rows become items an object's metadata may say at any time."""
    said = variables(stack.function(name))
    files, store = said.get("CSV_FILE_FUNCTION_ARN"), said.get("STORAGE_FUNCTION_ARN")
    if files and store and durable_timeout(stack.function(name)) is not None:
        yield _may_invoke(stack, invoked(files)[0], store, "deploy template.yaml again")


def _may_invoke(stack: Deployed, name: str, arn: str, remedy: str) -> Finding:
    simulated = stack.ask(
        "iam",
        "simulate_principal_policy",
        PolicySourceArn=stack.function(name)["Role"],
        ActionNames=[_INVOKE],
        ResourceArns=[arn],
    )
    decisions = {one["EvalDecision"] for one in simulated["EvaluationResults"]}
    bad = None if decisions == {"allowed"} else Level.PROBLEM
    return verdict(name, f"{', '.join(sorted(decisions))} to invoke it", remedy, bad=bad)


def reserved_concurrency(stack: Deployed, name: str) -> Findings:
    """Zero is the emergency brake that somebody may have pulled, and forgotten."""
    reserved = _reserved(stack, name)
    found = {None: "none", 0: "0: it never runs"}.get(reserved, str(reserved))
    remedy = f"aws lambda delete-function-concurrency --function-name {name}"
    yield verdict(name, found, remedy, bad=Level.PROBLEM if reserved == 0 else None)


def _reserved(stack: Deployed, name: str) -> int | None:
    answer = stack.ask("lambda_", "get_function_concurrency", FunctionName=name)
    reserved: int | None = answer.get("ReservedConcurrentExecutions")
    return reserved


def mapping_concurrency(stack: Deployed, _: str) -> Findings:
    """Messages that were received for an invocation that is throttled lose a delivery."""
    for name, limits in _limits(stack).items():
        reserved = _reserved(stack, name)
        wanted = None if None in limits else sum(limit for limit in limits if limit)
        found = (
            f"{'no maximum' if wanted is None else wanted}, "
            f"{'none' if reserved is None else reserved} reserved"
        )
        remedy = (
            f"aws lambda delete-function-concurrency --function-name {name}, or deploy with a "
            "MaximumConcurrency that fits"
        )
        fits = reserved is None or (wanted is not None and wanted <= reserved)
        level = Level.WARNING if wanted is None else Level.PROBLEM
        yield verdict(name, found, remedy, bad=None if fits else level)


def account_concurrency(stack: Deployed, _: str) -> Findings:
    """New accounts begin with 10, and what is left is shared with every other function."""
    account = stack.ask("lambda_", "get_account_settings")["AccountLimit"]
    shared = [limits for name, limits in _limits(stack).items() if _reserved(stack, name) is None]
    wanted = sum(limit or 0 for limits in shared for limit in limits)
    unreserved = account["UnreservedConcurrentExecutions"]
    found = f"{wanted} of {unreserved} unreserved, {account['ConcurrentExecutions']} in all"
    remedy = (
        "deploy with a smaller MaximumConcurrency, or ask for more 'Concurrent executions' in "
        "Service Quotas"
    )
    yield verdict("", found, remedy, bad=Level.PROBLEM if wanted > unreserved else None)


def _limits(stack: Deployed) -> dict[str, list[int | None]]:
    """MaximumConcurrency of all event source mappings, by function; None where none is set."""
    limits: dict[str, list[int | None]] = {}
    for mapping in (stack.read(MAPPING, uuid) for uuid in stack.there(MAPPING)):
        maximum = mapping.get("ScalingConfig", {}).get("MaximumConcurrency")
        limits.setdefault(invoked(mapping["FunctionArn"])[0], []).append(maximum)
    return limits
