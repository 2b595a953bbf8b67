"""Facts of a pipeline and of a machine that nothing is wrong with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pipelinectl.diagnosis.facts import (
    Account,
    Alarm,
    Bucket,
    Door,
    Facts,
    Function,
    Machine,
    Mapping,
    Port,
    Queue,
    Redrive,
    Resources,
    StackFacts,
    Topic,
)

OPERATORS = "arn:aws:sns:eu-central-1:123456789012:operators"
EVENTS = "arn:aws:sns:eu-central-1:123456789012:events"
_FUNCTION = "arn:aws:lambda:eu-central-1:123456789012:function"

DOOR = Door("input/", "s3:ObjectCreated:*")

IN = Queue("in", "https://sqs/in", 960, 1209600, 0, Redrive("dead", 5))
TOLD = Queue("told", "https://sqs/told", 180, 1209600, 0, Redrive("dead", 5))
DEAD = Queue("dead", "https://sqs/dead", 30, 1209600, 0, refuses_strangers=True)

PIPELINE = Function(
    "pipeline",
    900,
    execution_timeout=900,
    qualifiers=frozenset({"live"}),
    variables={
        "EXECUTION_TIMEOUT": "900",
        "STAGE_TIMEOUT": "60",
        "MAX_RECEIVE_COUNT": "5",
        "STORAGE_FUNCTION_ARN": f"{_FUNCTION}:store",
    },
)
STORE = Function("store", 60)
NOTIFY = Function("notify", 30)

FROM_IN = Mapping(
    "uuid-in", "in", "pipeline", "live", "Enabled", 10, 0, 10, reports_item_failures=True
)
FROM_TOLD = Mapping(
    "uuid-told", "told", "notify", None, "Enabled", 10, 0, None, reports_item_failures=True
)

ALARM = Alarm("errors", "OK", "", (OPERATORS,))
TOPIC = Topic(EVENTS, frozenset({"subscription"}), frozenset({"subscription"}))
WATCHED = Topic(OPERATORS, frozenset(), frozenset({"mail"}))
BUCKET = Bucket("input", (DOOR,), frozenset({DOOR}))

RESOURCES = Resources(
    queues={"in": IN, "told": TOLD, "dead": DEAD},
    mappings={"uuid-in": FROM_IN, "uuid-told": FROM_TOLD},
    functions={"pipeline": PIPELINE, "store": STORE, "notify": NOTIFY},
    topics={EVENTS: TOPIC, OPERATORS: WATCHED},
    buckets={"input": BUCKET},
    count=11,
)
STACK = StackFacts(
    name="prod",
    status="UPDATE_COMPLETE",
    status_reason="",
    missing_outputs=(),
    local=False,
    operators=OPERATORS,
    dead_letter_queue_url="https://sqs/dead",
    alias="live",
    closed=frozenset({"dead"}),
    resources=RESOURCES,
    alarms=(ALARM,),
    account=Account(1000, 1000),
)
MACHINE = Machine(
    python=(3, 12, 1),
    commands={"make": "/usr/bin/make", "uv": "/usr/bin/uv"},
    tools={".tools/sam/bin/sam": True},
    ports=(Port(4566, "ministack", "LOCALCLOUD_AWS_PORT", None),),
)
FACTS = Facts(STACK, "", MACHINE)


def with_stack(**change: Any) -> Facts:
    """Sound facts but for the stack's `change`."""
    return replace(FACTS, stack=replace(STACK, **change))


def with_resource(kind: str, name: str, resource: object) -> Facts:
    """Sound facts but for one resource."""
    change: dict[str, Any] = {kind: {**getattr(RESOURCES, kind), name: resource}}
    return with_stack(resources=replace(RESOURCES, **change))


def with_queue(queue: Queue, **change: Any) -> Facts:
    """Sound facts but for one queue's `change`."""
    return with_resource("queues", queue.name, replace(queue, **change))


def with_mapping(mapping: Mapping, **change: Any) -> Facts:
    """Sound facts but for one mapping's `change`."""
    return with_resource("mappings", mapping.uuid, replace(mapping, **change))


def with_function(function: Function, **change: Any) -> Facts:
    """Sound facts but for one function's `change`."""
    return with_resource("functions", function.name, replace(function, **change))


def with_machine(**change: Any) -> Facts:
    """Sound facts but for the machine's `change`, and no stack yet."""
    return replace(FACTS, stack=None, machine=replace(MACHINE, **change))
