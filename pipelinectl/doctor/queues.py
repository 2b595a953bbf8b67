"""Checks of queues, and of the event source mappings that lead from them to functions."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pipeline_core.messages import FIFO
from pipelinectl.aws import parameters_of
from pipelinectl.doctor.stack import (
    MAPPING,
    QUEUE,
    Level,
    durable_timeout,
    invoked,
    ok,
    problem,
    short,
    variables,
    verdict,
    warning,
)
from pipelinectl.doors import ENABLED, PAUSED

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelinectl.doctor.stack import Deployed, Findings

_DAY = 86400
_LONGEST_RETENTION = 14 * _DAY
_FEWEST_DELIVERIES, ADVISED_DELIVERIES = 2, 5
_TIMES_THE_TIMEOUT = 6
LARGEST_BATCH_WITHOUT_WINDOW = 10

# Outputs of the queues that refuse strangers: S3's events always, the others where operators are
# named (template.yaml).
_FOR_S3 = ("ObjectsQueueUrl",)
_FOR_OPERATORS = (
    "InternalQueueUrl",
    "FilesQueueUrl",
    "DeadLetterQueueUrl",
    "FifoInternalQueueUrl",
    "FifoDeadLetterQueueUrl",
)
_SENDING = frozenset({"sqs:sendmessage", "sqs:*"})
_SENDERS = frozenset({"aws:sourcearn", "aws:principalarn"})


def _update(uuid: str, change: str) -> str:
    return f"aws lambda update-event-source-mapping --uuid {uuid} {change}"


def _queue_of(mapping: Mapping[str, Any]) -> str:
    return short(mapping["EventSourceArn"])


def mapping_enabled(stack: Deployed, uuid: str) -> Findings:
    """Messages wait in their queue meanwhile, and are lost when its retention ends."""
    mapping = stack.read(MAPPING, uuid)
    queue, state = _queue_of(mapping), mapping["State"]
    if state in PAUSED:
        yield problem(queue, state, "'pipelinectl resume' takes messages in again")
    elif state != ENABLED:
        yield warning(queue, state, "wait until it is Enabled, and ask again")
    else:
        yield ok(queue, state)


def mapping_qualified(stack: Deployed, uuid: str) -> Findings:
    """An execution replays with the code that it began with: that needs a version."""
    mapping = stack.read(MAPPING, uuid)
    queue, (name, qualifier) = _queue_of(mapping), invoked(mapping["FunctionArn"])
    remedy = _update(uuid, f"--function-name {name}:{stack.alias or 'ALIAS'}")
    if durable_timeout(stack.function(name)) is None:
        yield ok(queue, "not durable")
    elif not qualifier:
        yield problem(queue, f"{name} without alias", remedy)
    elif qualifier == "$LATEST":
        yield warning(queue, f"{name}:$LATEST, which changes", remedy)
    else:
        yield ok(queue, f"{name}:{qualifier}")


def partial_batch_response(stack: Deployed, uuid: str) -> Findings:
    """Else it takes the function's answer for success and deletes the failed ones too."""
    mapping = stack.read(MAPPING, uuid)
    reports = "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", [])
    lost = "failed records are deleted as if they were stored"
    found, bad = ("ReportBatchItemFailures", None) if reports else (lost, Level.PROBLEM)
    remedy = _update(uuid, "--function-response-types ReportBatchItemFailures")
    yield verdict(_queue_of(mapping), found, remedy, bad=bad)


def batch_window(stack: Deployed, uuid: str) -> Findings:
    """One receive brings at most 10 messages; Lambda collects more only within a window.

    From a FIFO queue they come one by one: each delivery counts, also of what waits for another.
    """
    mapping = stack.read(MAPPING, uuid)
    window = mapping.get("MaximumBatchingWindowInSeconds", 0)
    found = f"{mapping['BatchSize']} in {window} s"
    if mapping["EventSourceArn"].endswith(FIFO):
        alone = mapping["BatchSize"] == 1
        remedy = _update(uuid, "--batch-size 1")
        yield verdict(_queue_of(mapping), found, remedy, bad=None if alone else Level.PROBLEM)
        return
    cut = mapping["BatchSize"] > LARGEST_BATCH_WITHOUT_WINDOW and window < 1
    remedy = _update(uuid, "--maximum-batching-window-in-seconds 1")
    yield verdict(_queue_of(mapping), found, remedy, bad=Level.PROBLEM if cut else None)


def visibility_timeout(stack: Deployed, uuid: str) -> Findings:
    """Else messages are delivered again while they are still in work."""
    mapping = stack.read(MAPPING, uuid)
    name = _queue_of(mapping)
    url = stack.queue_url(name)
    visible_after = int(stack.read(QUEUE, url)["VisibilityTimeout"])
    window = mapping.get("MaximumBatchingWindowInSeconds", 0)
    needed, why = _needed_visibility(stack.function(invoked(mapping["FunctionArn"])[0]), window)
    found = f"{visible_after} s for {why}"
    remedy = (
        f"deploy with a larger VisibilityTimeout, or aws sqs set-queue-attributes --queue-url "
        f"{url} --attributes VisibilityTimeout={needed}"
    )
    yield verdict(name, found, remedy, bad=Level.PROBLEM if visible_after < needed else None)


def _needed_visibility(function: Mapping[str, Any], window: int) -> tuple[int, str]:
    waiting = f" after {window} s of batching" if window else ""
    durable = durable_timeout(function)
    if durable is not None:
        return durable + window + 1, f"executions of {durable} s{waiting}"
    why = f"{_TIMES_THE_TIMEOUT} x {function['Timeout']} s{waiting}"
    return _TIMES_THE_TIMEOUT * function["Timeout"] + window, why


def _redrive(queue: Mapping[str, str]) -> tuple[str, int] | None:
    """The dead-letter queue's name and the deliveries before it, where there is one."""
    policy = json.loads(queue.get("RedrivePolicy") or "null")
    return policy and (short(policy["deadLetterTargetArn"]), int(policy["maxReceiveCount"]))


def redrive_policy(stack: Deployed, uuid: str) -> Findings:
    """Without one, a message that always fails comes back until its retention ends, and is lost."""
    name = _queue_of(stack.read(MAPPING, uuid))
    redrive = _redrive(stack.read(QUEUE, stack.queue_url(name)))
    if redrive is None:
        remedy = "deploy template.yaml again, or give the queue a RedrivePolicy"
        yield problem(name, "no redrive policy", remedy)
    elif redrive[0] not in map(short, stack.there(QUEUE)):
        remedy = "make the dead-letter queue again, or name one that exists in the RedrivePolicy"
        yield problem(name, f"gives up to {redrive[0]}, which the stack does not have", remedy)
    else:
        yield ok(name, f"to {redrive[0]}")


def max_receive_count(stack: Deployed, uuid: str) -> Findings:
    """The function gives the reason at the last delivery; SQS, when it is first, gives none."""
    mapping = stack.read(MAPPING, uuid)
    name = _queue_of(mapping)
    redrive = _redrive(stack.read(QUEUE, stack.queue_url(name)))
    if redrive is None:
        return
    count = redrive[1]
    function = stack.function(invoked(mapping["FunctionArn"])[0])
    believed = variables(function).get("MAX_RECEIVE_COUNT", "")
    remedy = "deploy with a larger MaxReceiveCount"
    if count < _FEWEST_DELIVERIES:
        yield problem(name, f"{count}: one hiccup and a message is a dead letter", remedy)
    elif believed.isdecimal() and int(believed) != count:
        found = f"{count}, but the durable function counts to {believed}"
        redeploy = "change it by deploying with MaxReceiveCount, which sets both"
        yield (problem if count < int(believed) else warning)(name, found, redeploy)
    elif count < ADVISED_DELIVERIES:
        yield warning(name, f"{count}: throttling alone may use them up", remedy)
    else:
        yield ok(name, str(count))


def dead_letter_retention(stack: Deployed, uuid: str) -> Findings:
    """What was given up late in a queue's retention is deleted soon after, or at once."""
    name = _queue_of(stack.read(MAPPING, uuid))
    queue = stack.read(QUEUE, stack.queue_url(name))
    redrive = _redrive(queue)
    if redrive is None:
        return
    url = stack.queue_url(redrive[0])
    kept, before = (int(q["MessageRetentionPeriod"]) for q in (stack.read(QUEUE, url), queue))
    found = f"{kept / _DAY:g} d after {before / _DAY:g} d"
    remedy = (
        f"aws sqs set-queue-attributes --queue-url {url} "
        f"--attributes MessageRetentionPeriod={_LONGEST_RETENTION}"
    )
    as_short = Level.WARNING if kept == before != _LONGEST_RETENTION else None
    yield verdict(name, found, remedy, bad=Level.PROBLEM if kept < before else as_short)


def dead_letters(stack: Deployed, url: str) -> Findings:
    """The pipeline's own have reasons; the others are events of objects."""
    queue, name = stack.read(QUEUE, url), short(url)
    redrives = map(_redrive, stack.readable(QUEUE))
    if name not in {redrive[0] for redrive in redrives if redrive}:
        return
    count = queue["ApproximateNumberOfMessages"]
    remedy = f"aws sqs receive-message --queue-url {url} --max-number-of-messages 10"
    if url in map(stack.output, ("DeadLetterQueueUrl", "FifoDeadLetterQueueUrl")):
        remedy = "see why with 'pipelinectl dlq list', repair, then 'pipelinectl dlq redrive'"
    yield verdict(name, count, remedy, bad=None if count == "0" else Level.WARNING)


def queue_senders(stack: Deployed, url: str) -> Findings:
    """Who may send there can write another's item anew, or bury an object."""
    named = parameters_of(stack.description).get("OperatorRoleArns")
    closed = _FOR_S3 + (_FOR_OPERATORS if named else ())
    if short(url) not in {short(stack.output(name)) for name in closed}:
        return
    if _refuses_strangers(json.loads(stack.read(QUEUE, url).get("Policy") or "{}")):
        yield ok(short(url), "refuses strangers")
    else:
        found = "takes messages of whomever IAM allows it, and believes them"
        remedy = "deploy template.yaml again under another name, or restore it"
        yield problem(short(url), found, remedy)


def _refuses_strangers(policy: Mapping[str, Any]) -> bool:
    """Whether it denies to send, whatever IAM allows, by who sends or on whose behalf."""
    return any(
        statement["Effect"] == "Deny"
        and _SENDING & {action.lower() for action in _listed(statement.get("Action", []))}
        and _SENDERS
        & {key.lower() for one in statement.get("Condition", {}).values() for key in one}
        for statement in _listed(policy.get("Statement", []))
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
