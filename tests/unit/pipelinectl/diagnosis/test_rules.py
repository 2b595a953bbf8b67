"""Every rule with facts that keep it, that break it, and that could not be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from pipelinectl.diagnosis.diagnose import diagnose
from pipelinectl.diagnosis.facts import Account, Bucket, Door, Facts, Port, Redrive, Topic, Unread
from pipelinectl.diagnosis.findings import Finding, Level
from pipelinectl.diagnosis.reading import DOORS
from pipelinectl.diagnosis.rules import RULES
from tests.unit.pipelinectl.diagnosis import sound
from tests.unit.pipelinectl.diagnosis.sound import (
    FACTS,
    with_function,
    with_machine,
    with_mapping,
    with_queue,
    with_resource,
    with_stack,
)
from tests.unit.test_template import notifications

WARNING, PROBLEM = Level.WARNING, Level.PROBLEM
NAMES = [rule.name for rule in RULES]


def settings(**change: str) -> dict[str, str]:
    return {**sound.PIPELINE.variables, **change}


NOWHERE = replace(FACTS, stack=None, absence="no stack 'prod' here: deploy it")
GONE_QUEUES = replace(sound.RESOURCES, queues={"in": sound.IN, "told": sound.TOLD}, gone=("dead",))
SHORT_RETENTIONS = replace(
    sound.RESOURCES,
    queues={
        "in": replace(sound.IN, retention=345600),
        "told": sound.TOLD,
        "dead": replace(sound.DEAD, retention=345600),
    },
    mappings={"uuid-in": sound.FROM_IN},
)
HELD = Port(4566, "ministack", "LOCALCLOUD_AWS_PORT", "java (pid 7)")

# rule, facts, level, and what the finding or its remedy has to say
FAULTS = [
    ("python", with_machine(python=(3, 9, 18)), PROBLEM, "3.9.18"),
    ("python", with_machine(python=None), PROBLEM, "not on the PATH"),
    ("commands", with_machine(commands={"uv": None}), PROBLEM, "make setup"),
    ("tools", with_machine(tools={"sam": False}), PROBLEM, "make setup"),
    ("ports", with_machine(ports=(HELD,)), PROBLEM, "4566 is held by java (pid 7)"),
    ("ports", replace(FACTS, machine=replace(sound.MACHINE, ports=(HELD,))), WARNING, "java"),
    ("stack-found", NOWHERE, PROBLEM, "deploy it"),
    ("stack-status", with_stack(status="ROLLBACK_COMPLETE"), PROBLEM, "describe-stack-events"),
    ("stack-status", with_stack(status="UPDATE_FAILED"), PROBLEM, "describe-stack-events"),
    ("stack-status", with_stack(status="UPDATE_ROLLBACK_COMPLETE"), WARNING, "version before"),
    ("stack-status", with_stack(status="UPDATE_IN_PROGRESS"), WARNING, "wait"),
    ("stack-outputs", with_stack(missing_outputs=("FilesQueueUrl",)), PROBLEM, "older"),
    ("resources", with_stack(resources=GONE_QUEUES), PROBLEM, "gone: dead"),
    ("function-state", with_function(sound.STORE, state="Failed"), PROBLEM, "Failed"),
    ("function-state", with_function(sound.STORE, last_update="Failed"), PROBLEM, "last update"),
    ("function-state", with_function(sound.STORE, state="Pending"), WARNING, "wait"),
    ("alias", with_function(sound.PIPELINE, qualifiers=frozenset()), PROBLEM, "create-alias"),
    ("mapping-enabled", with_mapping(sound.FROM_IN, state="Disabled"), PROBLEM, "--enabled"),
    ("mapping-enabled", with_mapping(sound.FROM_IN, state="Updating"), WARNING, "wait"),
    ("mapping-qualified", with_mapping(sound.FROM_IN, qualifier=None), PROBLEM, "pipeline:live"),
    ("mapping-qualified", with_mapping(sound.FROM_IN, qualifier="$LATEST"), WARNING, ":live"),
    (
        "partial-batch-response",
        with_mapping(sound.FROM_IN, reports_item_failures=False),
        PROBLEM,
        "ReportBatchItemFailures",
    ),
    ("batch-window", with_mapping(sound.FROM_IN, batch_size=11), PROBLEM, "11 in 0 s"),
    ("visibility-timeout", with_queue(sound.IN, visibility_timeout=900), PROBLEM, "=901"),
    ("visibility-timeout", with_queue(sound.TOLD, visibility_timeout=179), PROBLEM, "=180"),
    ("visibility-timeout", with_mapping(sound.FROM_TOLD, window=1), PROBLEM, "=181"),
    ("visibility-timeout", with_mapping(sound.FROM_IN, window=60), PROBLEM, "=961"),
    (
        "execution-timeout",
        with_function(sound.PIPELINE, execution_timeout=901),
        PROBLEM,
        "at most 900",
    ),
    (
        "execution-timeout",
        with_function(sound.PIPELINE, timeout=60),
        PROBLEM,
        "900 s, 60 s when invoked",
    ),
    ("stage-timeout", with_function(sound.STORE, timeout=451), PROBLEM, "at most 450"),
    (
        "deadline-settings",
        with_function(sound.PIPELINE, variables=settings(EXECUTION_TIMEOUT="600")),
        PROBLEM,
        "EXECUTION_TIMEOUT 600 is 900",
    ),
    (
        "deadline-settings",
        with_function(sound.STORE, timeout=90),
        PROBLEM,
        "STAGE_TIMEOUT 60 is 90",
    ),
    ("redrive-policy", with_queue(sound.IN, redrive=None), PROBLEM, "no redrive policy"),
    ("redrive-policy", with_queue(sound.IN, redrive=Redrive("x", 5)), PROBLEM, "gives up to x"),
    ("max-receive-count", with_queue(sound.TOLD, redrive=Redrive("dead", 1)), PROBLEM, "hiccup"),
    ("max-receive-count", with_queue(sound.TOLD, redrive=Redrive("dead", 4)), WARNING, "4"),
    ("max-receive-count", with_queue(sound.IN, redrive=Redrive("dead", 4)), PROBLEM, "counts to 5"),
    ("max-receive-count", with_queue(sound.IN, redrive=Redrive("dead", 9)), WARNING, "counts to 5"),
    ("dead-letter-retention", with_queue(sound.DEAD, retention=345600), PROBLEM, "4 d after 14 d"),
    ("dead-letter-retention", with_stack(resources=SHORT_RETENTIONS), WARNING, "4 d after 4 d"),
    ("dead-letters", with_queue(sound.DEAD, messages=3), WARNING, "pipelinectl dlq list"),
    ("queue-senders", with_queue(sound.DEAD, refuses_strangers=False), PROBLEM, "believes them"),
    (
        "reserved-concurrency",
        with_function(sound.STORE, reserved_concurrency=0),
        PROBLEM,
        "delete-function-concurrency",
    ),
    (
        "mapping-concurrency",
        with_function(sound.PIPELINE, reserved_concurrency=9),
        PROBLEM,
        "10, 9 reserved",
    ),
    (
        "mapping-concurrency",
        with_function(sound.NOTIFY, reserved_concurrency=9),
        WARNING,
        "no maximum",
    ),
    ("account-concurrency", with_stack(account=Account(10, 9)), PROBLEM, "10 of 9 unreserved"),
    (
        "bucket-notifications",
        with_resource("buckets", "input", Bucket("input", (sound.DOOR,), frozenset())),
        PROBLEM,
        "below input/",
    ),
    (
        "topic-subscriptions",
        with_resource("topics", sound.EVENTS, replace(sound.TOPIC, subscriptions=frozenset())),
        PROBLEM,
        "0 of 1",
    ),
    ("alarms", with_stack(alarms=(replace(sound.ALARM, state="ALARM"),)), WARNING, "ALARM"),
    ("alarm-actions", with_stack(alarms=(replace(sound.ALARM, actions=()),)), WARNING, "nobody"),
    (
        "operators",
        with_resource("topics", sound.OPERATORS, Topic(sound.OPERATORS, frozenset(), frozenset())),
        WARNING,
        "OperatorsEmail",
    ),
    (
        "operators",
        with_resource("topics", sound.OPERATORS, replace(sound.WATCHED, unconfirmed=("a@b.ch",))),
        WARNING,
        "a@b.ch",
    ),
]


def findings(name: str, facts: Facts) -> list[Finding]:
    (rule,) = [rule for rule in RULES if rule.name == name]
    return rule.findings(facts)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_sound_is_ok(name: str) -> None:
    found = findings(name, FACTS)

    assert found
    assert {finding.level for finding in found} == {Level.OK}
    assert all(finding.found for finding in found)


@pytest.mark.parametrize(
    ("name", "facts", "level", "says"), FAULTS, ids=[f"{f[0]}-{f[3]}" for f in FAULTS]
)
def test_a_fault_is_found_with_its_figures_and_its_remedy(
    name: str, facts: Facts, level: Level, says: str
) -> None:
    bad = [found for found in findings(name, facts) if found.level is not Level.OK]

    assert {finding.level for finding in bad} == {level}
    assert any(says in f"{finding.found} {finding.remedy}" for finding in bad)
    assert all(finding.remedy for finding in bad)


def test_every_rule_has_a_fault_here_and_a_name_of_its_own() -> None:
    assert {fault[0] for fault in FAULTS} == set(NAMES)
    assert max(Counter(NAMES).values()) == 1


@pytest.mark.parametrize("status", ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"])
def test_a_stack_that_is_complete_is_ok(status: str) -> None:
    (finding,) = findings("stack-status", with_stack(status=status))

    assert finding.level is Level.OK


def test_nobody_need_hear_of_a_local_cloud() -> None:
    nobody = Topic(sound.OPERATORS, frozenset(), frozenset())
    facts = with_resource("topics", sound.OPERATORS, nobody)
    assert facts.stack is not None

    (finding,) = findings("operators", replace(facts, stack=replace(facts.stack, local=True)))

    assert finding.level is Level.OK


def test_a_subscription_that_waits_for_confirmation_is_not_gone() -> None:
    waiting = Topic(sound.OPERATORS, frozenset({"mail"}), frozenset(), ("a@b.ch",))

    found = findings("topic-subscriptions", with_resource("topics", sound.OPERATORS, waiting))

    assert {finding.level for finding in found} == {Level.OK}


UNREAD = Unread("GetQueueAttributes: AccessDenied")
UNREADABLE = [
    *(
        (name, with_stack(resources=UNREAD))
        for name in ("resources", "redrive-policy", "visibility-timeout", "operators")
    ),
    ("alarms", with_stack(alarms=UNREAD)),
    ("account-concurrency", with_stack(account=UNREAD)),
    ("alias", with_function(sound.PIPELINE, qualifiers=UNREAD)),
    ("reserved-concurrency", with_function(sound.STORE, reserved_concurrency=UNREAD)),
    ("function-state", with_resource("functions", "store", UNREAD)),
    ("stage-timeout", with_resource("functions", "store", UNREAD)),
    ("deadline-settings", with_resource("functions", "pipeline", UNREAD)),
    ("resources", with_resource("queues", "in", UNREAD)),
    ("dead-letters", with_resource("queues", "in", UNREAD)),
    ("queue-senders", with_resource("queues", "dead", UNREAD)),
    ("redrive-policy", with_resource("mappings", "uuid-in", UNREAD)),
    ("mapping-concurrency", with_resource("mappings", "uuid-in", UNREAD)),
    ("account-concurrency", with_resource("mappings", "uuid-in", UNREAD)),
    ("execution-timeout", with_resource("functions", "pipeline", UNREAD)),
    ("stage-timeout", with_resource("functions", "pipeline", UNREAD)),
    ("alias", with_resource("functions", "pipeline", UNREAD)),
    ("visibility-timeout", with_resource("queues", "in", UNREAD)),
    ("dead-letter-retention", with_resource("queues", "dead", UNREAD)),
    ("bucket-notifications", with_resource("buckets", "input", UNREAD)),
    ("topic-subscriptions", with_resource("topics", sound.EVENTS, UNREAD)),
    ("mapping-enabled", with_resource("mappings", "uuid-in", UNREAD)),
]


@pytest.mark.parametrize(("name", "facts"), UNREADABLE)
def test_what_could_not_be_read_is_not_called_ok(name: str, facts: Facts) -> None:
    found = findings(name, facts)
    unchecked = [finding for finding in found if finding.level is Level.UNCHECKED]

    assert unchecked
    assert not [finding for finding in found if finding.level in (WARNING, PROBLEM)]
    assert all("could not be checked: GetQueueAttributes" in f.found for f in unchecked)


def test_without_a_stack_only_its_absence_and_the_machine_are_judged() -> None:
    checks = diagnose(NOWHERE)

    assert [c.rule.name for c in checks] == ["python", "commands", "tools", "ports", "stack-found"]
    assert [c.level for c in checks if c.level is not Level.OK] == [PROBLEM]


def test_without_a_project_the_machine_is_not_judged() -> None:
    names = {check.rule.name for check in diagnose(replace(FACTS, machine=None))}

    assert names == set(NAMES) - {"python", "commands", "tools", "ports"}


@pytest.mark.parametrize("bucket", DOORS)
def test_the_doors_are_those_of_the_template(bucket: str) -> None:
    of_template = {Door(prefix, event) for prefix, event, _ in notifications(bucket)}

    assert set(DOORS[bucket]) == of_template
