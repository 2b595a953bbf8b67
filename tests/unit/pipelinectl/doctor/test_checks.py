"""Every check with answers of AWS's that keep its rule, that break it, and that are errors."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from pipelinectl.doctor import CHECKS, diagnose
from pipelinectl.doctor.stack import DOORS, Deployed, Finding, Level
from tests.unit.pipelinectl.doctor import sound, test_machine
from tests.unit.pipelinectl.doctor.sound import (
    ANSWERS,
    DENIED,
    FROM_IN,
    IN,
    PIPELINE,
    STORE,
    TOLD,
    Question,
    answering,
    but,
    but_queue,
    deployed,
    redrive,
)
from tests.unit.test_template import notifications

WARNING, PROBLEM = Level.WARNING, Level.PROBLEM
OF_MACHINE = test_machine.PLANTED_HERE
NAMES = [check.name for check in CHECKS if check.name not in OF_MACHINE]


def function(**change: Any) -> dict[Question, Any]:
    return but(STORE, **change)


def stack(**change: Any) -> dict[Question, Any]:
    return answering(sound.STACK, sound.stack(**change))


def mapping(**change: Any) -> dict[Question, Any]:
    return but(FROM_IN, **change)


UNRESERVED = {"ConcurrentExecutions": 10, "UnreservedConcurrentExecutions": 9}
SHORT = {
    **but_queue(IN, MessageRetentionPeriod="345600"),
    sound.DEAD: sound.queue(30, MessageRetentionPeriod="345600"),
}
_ARN = ANSWERS[FROM_IN]["FunctionArn"].removesuffix(":live")

# The stack of the end-to-end tests has neither of the first two, and keeps the rights of its roles.
PLANTED_HERE = {"own-stage", "processed-data-stream", "row-items"}

# check, answers, level, and what the finding or its remedy has to say
FAULTS = [
    ("own-stage", answering(sound.OWN_STAGE, sound.GONE), PROBLEM, "another EnrichmentFunctionArn"),
    ("own-stage", but(sound.OWN_STAGE, State="Failed"), PROBLEM, "repair and deploy"),
    ("own-stage", but(sound.OWN_STAGE, Timeout=61), PROBLEM, "at most 60 s"),
    (
        "own-stage",
        but(sound.MAY_INVOKE, EvaluationResults=[{"EvalDecision": "implicitDeny"}]),
        PROBLEM,
        "deploy template.yaml again",
    ),
    (
        "row-items",
        but(sound.FILES_MAY_STORE, EvaluationResults=[{"EvalDecision": "implicitDeny"}]),
        PROBLEM,
        "deploy template.yaml again",
    ),
    (
        "processed-data-stream",
        answering(sound.STREAM, sound.table(enabled=False)),
        PROBLEM,
        "ProcessedDataStream=false",
    ),
    (
        "processed-data-stream",
        answering(sound.STREAM, sound.table(LatestStreamArn="another")),
        PROBLEM,
        "not the one in the stack's outputs",
    ),
    ("stack-found", None, PROBLEM, "deploy it"),
    (
        "stack-status",
        stack(StackStatus="ROLLBACK_COMPLETE"),
        PROBLEM,
        "stack-events",
    ),
    (
        "stack-status",
        stack(StackStatus="UPDATE_FAILED"),
        PROBLEM,
        "stack-events",
    ),
    (
        "stack-status",
        stack(StackStatus="UPDATE_ROLLBACK_COMPLETE"),
        WARNING,
        "version before",
    ),
    (
        "stack-status",
        stack(StackStatus="UPDATE_IN_PROGRESS"),
        WARNING,
        "wait",
    ),
    (
        "stack-outputs",
        stack(Outputs=sound.outputs(FilesQueueUrl=None)),
        PROBLEM,
        "older",
    ),
    ("resources", answering(sound.DEAD, sound.GONE), PROBLEM, "gone: dead"),
    ("function-state", function(State="Failed"), PROBLEM, "Failed"),
    ("function-state", function(LastUpdateStatus="Failed"), PROBLEM, "last update"),
    ("function-state", function(State="Pending"), WARNING, "wait"),
    ("alias", answering(sound.ALIASES, {"Aliases": []}), PROBLEM, "create-alias"),
    ("mapping-enabled", mapping(State="Disabled"), PROBLEM, "pipelinectl resume"),
    ("mapping-enabled", mapping(State="Updating"), WARNING, "wait"),
    ("mapping-qualified", mapping(FunctionArn=_ARN), PROBLEM, "pipeline:live"),
    ("mapping-qualified", mapping(FunctionArn=f"{_ARN}:$LATEST"), WARNING, ":live"),
    (
        "partial-batch-response",
        mapping(FunctionResponseTypes=[]),
        PROBLEM,
        "ReportBatchItemFailures",
    ),
    ("batch-window", mapping(BatchSize=11), PROBLEM, "11 in 0 s"),
    (
        "batch-window",
        mapping(EventSourceArn=f"{ANSWERS[FROM_IN]['EventSourceArn']}.fifo", BatchSize=2),
        PROBLEM,
        "--batch-size 1",
    ),
    ("visibility-timeout", but_queue(IN, VisibilityTimeout="900"), PROBLEM, "=901"),
    ("visibility-timeout", but_queue(TOLD, VisibilityTimeout="179"), PROBLEM, "=180"),
    (
        "visibility-timeout",
        but(sound.FROM_TOLD, MaximumBatchingWindowInSeconds=1),
        PROBLEM,
        "=181",
    ),
    ("visibility-timeout", mapping(MaximumBatchingWindowInSeconds=60), PROBLEM, "=961"),
    ("execution-timeout", but(PIPELINE, **sound.durable(901)), PROBLEM, "at most 900"),
    ("execution-timeout", but(PIPELINE, Timeout=60), PROBLEM, "900 s, 60 s when invoked"),
    ("stage-timeout", function(Timeout=451), PROBLEM, "at most 450"),
    (
        "deadline-settings",
        but(PIPELINE, **sound.environment(EXECUTION_TIMEOUT="600")),
        PROBLEM,
        "EXECUTION_TIMEOUT 600 is 900",
    ),
    ("deadline-settings", function(Timeout=90), PROBLEM, "STAGE_TIMEOUT 60 is 90"),
    ("redrive-policy", but_queue(IN, RedrivePolicy=""), PROBLEM, "no redrive policy"),
    ("redrive-policy", but_queue(IN, RedrivePolicy=redrive("x", 5)), PROBLEM, "gives up to x"),
    ("max-receive-count", but_queue(TOLD, RedrivePolicy=redrive("dead", 1)), PROBLEM, "hiccup"),
    ("max-receive-count", but_queue(TOLD, RedrivePolicy=redrive("dead", 4)), WARNING, "4"),
    ("max-receive-count", but_queue(IN, RedrivePolicy=redrive("dead", 4)), PROBLEM, "counts to 5"),
    ("max-receive-count", but_queue(IN, RedrivePolicy=redrive("dead", 9)), WARNING, "counts to 5"),
    (
        "dead-letter-retention",
        but_queue(sound.DEAD, MessageRetentionPeriod="345600"),
        PROBLEM,
        "4 d after 14 d",
    ),
    (
        "dead-letter-retention",
        {**SHORT, TOLD: sound.queue(180, MessageRetentionPeriod="1")},
        WARNING,
        "4 d after 4 d",
    ),
    (
        "dead-letters",
        but_queue(sound.DEAD, ApproximateNumberOfMessages="3"),
        WARNING,
        "pipelinectl dlq list",
    ),
    ("queue-senders", but_queue(sound.DEAD, Policy=""), PROBLEM, "believes them"),
    (
        "reserved-concurrency",
        answering(sound.reserved_of("store"), {"ReservedConcurrentExecutions": 0}),
        PROBLEM,
        "delete-function-concurrency",
    ),
    (
        "mapping-concurrency",
        answering(sound.reserved_of("pipeline"), {"ReservedConcurrentExecutions": 9}),
        PROBLEM,
        "10, 9 reserved",
    ),
    (
        "mapping-concurrency",
        answering(sound.reserved_of("notify"), {"ReservedConcurrentExecutions": 9}),
        WARNING,
        "no maximum",
    ),
    (
        "account-concurrency",
        but(sound.ACCOUNT, AccountLimit=UNRESERVED),
        PROBLEM,
        "10 of 9 unreserved",
    ),
    ("bucket-notifications", answering(sound.INPUT, {}), PROBLEM, "below messages/"),
    ("topic-subscriptions", answering(sound.TO_EVENTS, sound.subscribed()), PROBLEM, "0 of 1"),
    (
        "alarms",
        answering(sound.ALARMS, sound.alarms(StateValue="ALARM")),
        WARNING,
        "ALARM",
    ),
    ("alarm-actions", answering(sound.ALARMS, sound.alarms(AlarmActions=[])), WARNING, "no"),
    (
        "alarm-actions",
        answering(sound.ALARMS, sound.alarms(ActionsEnabled=False)),
        WARNING,
        "nobody",
    ),
    ("operators", answering(sound.TO_OPERATORS, sound.subscribed()), WARNING, "OperatorsEmail"),
    (
        "operators",
        answering(
            sound.TO_OPERATORS,
            sound.subscribed(("mail", "x"), ("PendingConfirmation", "a@b.ch")),
        ),
        WARNING,
        "a@b.ch",
    ),
]
NOWHERE = Deployed(None, "prod", "no stack 'prod' here: deploy it")


def findings(name: str, deployed: Deployed) -> list[Finding]:
    (check,) = [check for check in CHECKS if check.name == name]
    return check.findings(deployed)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_sound_is_ok(name: str) -> None:
    found = findings(name, deployed())

    assert found
    assert {finding.level for finding in found} == {Level.OK}
    assert all(finding.found for finding in found)


@pytest.mark.parametrize(
    ("name", "answers", "level", "says"), FAULTS, ids=[f"{f[0]}-{f[3]}" for f in FAULTS]
)
def test_a_fault_is_found_with_its_figures_and_its_remedy(
    name: str, answers: Mapping[Question, Any] | None, level: Level, says: str
) -> None:
    examined = NOWHERE if answers is None else deployed(answers)
    bad = [found for found in findings(name, examined) if found.level is not Level.OK]

    assert {finding.level for finding in bad} == {level}
    assert any(says in f"{finding.found} {finding.remedy}" for finding in bad)
    assert all(finding.remedy for finding in bad)


def test_every_check_has_a_fault_here_and_a_name_of_its_own() -> None:
    assert {fault[0] for fault in FAULTS} | OF_MACHINE == {check.name for check in CHECKS}
    assert max(Counter(check.name for check in CHECKS).values()) == 1


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"])
def test_a_stack_that_is_complete_is_ok(status: str) -> None:
    (finding,) = findings("stack-status", deployed(stack(StackStatus=status)))

    assert finding.level is Level.OK


def test_nobody_need_hear_of_a_local_cloud() -> None:
    nobody = answering(sound.TO_OPERATORS, sound.subscribed())

    (finding,) = findings("operators", deployed(nobody, sound.LOCAL))

    assert finding.level is Level.OK


def test_a_subscription_that_waits_for_confirmation_is_not_gone() -> None:
    waiting = answering(sound.TO_EVENTS, sound.subscribed(("PendingConfirmation", "a@b.ch")))

    found = findings("topic-subscriptions", deployed(waiting))

    assert {finding.level for finding in found} == {Level.OK}


@pytest.mark.parametrize(
    ("statement", "level"),
    [
        ({"Effect": "Deny", "Action": "SQS:*", "Condition": {"X": {"AWS:PrincipalArn": ""}}}, "ok"),
        ({"Effect": "Allow", "Action": "sqs:*", "Condition": {"X": {"aws:SourceArn": ""}}}, "bad"),
        ({"Effect": "Deny", "Action": ["sqs:ReceiveMessage"]}, "bad"),
    ],
)
def test_only_a_denial_to_send_by_who_sends_refuses_strangers(
    statement: dict[str, Any], level: str
) -> None:
    policy = json.dumps({"Statement": statement})

    (finding,) = findings("queue-senders", deployed(but_queue(sound.DEAD, Policy=policy)))

    assert (finding.level is Level.OK) == (level == "ok")


UNREADABLE = [
    *(
        (name, sound.RESOURCES)
        for name in ("resources", "redrive-policy", "visibility-timeout", "operators", "alarms")
    ),
    ("alarms", sound.ALARMS),
    ("account-concurrency", sound.ACCOUNT),
    ("alias", sound.ALIASES),
    ("reserved-concurrency", sound.reserved_of("store")),
    ("function-state", STORE),
    ("stage-timeout", STORE),
    ("deadline-settings", PIPELINE),
    ("resources", IN),
    ("dead-letters", IN),
    ("queue-senders", sound.DEAD),
    ("redrive-policy", FROM_IN),
    ("mapping-concurrency", FROM_IN),
    ("account-concurrency", FROM_IN),
    ("execution-timeout", PIPELINE),
    ("stage-timeout", PIPELINE),
    ("alias", PIPELINE),
    ("visibility-timeout", IN),
    ("dead-letter-retention", sound.DEAD),
    ("bucket-notifications", sound.INPUT),
    ("topic-subscriptions", sound.TO_EVENTS),
    ("mapping-enabled", FROM_IN),
]


@pytest.mark.parametrize(("name", "question"), UNREADABLE)
def test_what_could_not_be_read_is_not_called_ok(name: str, question: Question) -> None:
    found = findings(name, deployed(answering(question, DENIED)))
    unchecked = [finding for finding in found if finding.level is Level.UNCHECKED]

    assert unchecked
    assert not [finding for finding in found if finding.level in (WARNING, PROBLEM)]
    assert all("could not be checked: GetQueueAttributes" in f.found for f in unchecked)


def test_without_a_stack_only_its_absence_is_judged() -> None:
    results = diagnose(NOWHERE)

    assert [(r.check.name, r.level) for r in results] == [("stack-found", PROBLEM)]


def test_without_a_project_the_machine_is_not_judged() -> None:
    assert {result.check.name for result in diagnose(deployed())} == set(NAMES)


@pytest.mark.parametrize("bucket", DOORS)
def test_the_doors_are_those_of_the_template(bucket: str) -> None:
    of_template = {(prefix, event) for prefix, event, _ in notifications(bucket)}

    assert set(DOORS[bucket]) == of_template
