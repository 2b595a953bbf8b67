"""The commands in the README and in guides do what is said of them, on the local cloud."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator

import pytest

from tests.documents import README, ROOT, Document
from tests.e2e.conftest import BIN, PATIENCE, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.walkthrough import Shell, Walkthrough
from tests.events import order

GUIDES = ROOT / "docs" / "guides"

KILL = "pipelinectl local kill"
ANYTHING = ""
SENT = r"sent (\d+ of )?\d+ message"
ITEM = r"TEST\.CSV"
TIMELINE = r"(?s)validate.*transform.*store"
OUTPUT_FUNCTION = {"output() {": ANYTHING, 'eval "$(pipelinectl local env)"': ANYTHING}

FOR_GOOD = "would stop the cloud that the other tests share; test_life.py stops one of its own"
AWS_ONLY = "asks, and needs an AWS account; the local cloud is deployed by the same tool"

WALKTHROUGHS = [
    Walkthrough(
        README,
        shows=OUTPUT_FUNCTION
        | {
            ". .venv/bin/activate": ANYTHING,
            "pipelinectl send": SENT,
            "pipelinectl items": ITEM,
            "pipelinectl executions list": "SUCCEEDED",
            "pipelinectl executions show last": TIMELINE,
            "pipelinectl dlq list": "ValidationError",
            "pipelinectl dlq redrive --id ID --edit": SENT,
            KILL: ANYTHING,
            "pipelinectl doctor": r"checks, 0 problems",
            "pipelinectl cost": "durable operations",
            "aws sqs send-message": '"MessageId"',
            "aws dynamodb scan": ITEM,
            "ARN=": ANYTHING,
            "aws lambda get-durable-execution-history": '"ExecutionStarted"',
        },
        left_out={
            "make demo": "test_demo.py runs it",
            "make test": "is what runs this",
            "make down": FOR_GOOD,
            "sam build": AWS_ONLY,
            "sam deploy": AWS_ONLY,
        },
    ),
    Walkthrough(
        Document(GUIDES / "send-and-inspect.md"),
        shows=OUTPUT_FUNCTION
        | {
            "pipelinectl send": SENT,
            "tail -n 2 events/orders.jsonl | pipelinectl send": SENT,
            "pipelinectl items --id guide-00001": r'"execution_id": "guide-00001"',
            "pipelinectl items --source TEST.CSV": ITEM,
            "pipelinectl items --source LOAD --count": r"^[1-9]\d\d$",
            "pipelinectl executions list": "SUCCEEDED",
            "pipelinectl executions show last": TIMELINE,
            "aws dynamodb get-item": '"execution_id"',
        },
        left_out={},
    ),
    Walkthrough(
        Document(GUIDES / "resume-after-a-failure.md"),
        shows={
            "pipelinectl send": SENT,
            KILL: ANYTHING,
            "pipelinectl executions list": "SUCCEEDED",
            "pipelinectl executions show last": TIMELINE,
            "pipelinectl items --source LOAD --count": r"^[1-9]\d\d$",
        },
        left_out={
            "pipelinectl executions list --status FAILED": "none has failed; "
            "test_operator_tools.py has one that did",
            "pipelinectl executions show NAME": "none has failed, as above",
            "pipelinectl executions retry NAME": "none has failed, as above",
        },
    ),
]
EVERY = pytest.mark.parametrize(
    "walkthrough",
    [
        pytest.param(w, marks=[pytest.mark.guide] if w.document is not README else [])
        for w in WALKTHROUGHS
    ],
    ids=lambda w: w.document.path.stem,
)


@pytest.fixture
def fill_in(stack: Stack) -> Iterator[Callable[[str], str]]:
    """Puts outputs in the place of their <Name>, and a dead letter in that of ID."""
    stack.take_dead_letters()
    stack.send([order(quantity=0, order_id="a-7")])

    def dead_letter() -> str:
        queue = stack.outputs["DeadLetterQueueUrl"]
        messages = stack.client("sqs").receive_message(QueueUrl=queue, VisibilityTimeout=0)
        return "".join(message["MessageId"] for message in messages.get("Messages", []))

    letter = wait_for(dead_letter)

    def filled(command: str) -> str:
        with_outputs = re.sub(r"<(\w+)>", lambda name: stack.outputs[name[1]], command)
        return re.sub(r"\bID\b", letter, with_outputs)

    yield filled
    stack.take_dead_letters()


@pytest.fixture
def shell(stack: Stack) -> Iterator[Shell]:
    """A shell as someone has it who ran `make up`, and whose editor corrects a quantity."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    path = {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "120"}
    editor = {"VISUAL": """sed -i 's/"quantity": 0/"quantity": 1/'"""}
    with Shell(own | path | editor | stack.cloud.settings.to_environment()) as shell:
        yield shell


@EVERY
def test_each_command_is_run_or_left_out_for_a_reason(walkthrough: Walkthrough) -> None:
    assert walkthrough.unknown() == []
    assert walkthrough.stale() == set()


@EVERY
def test_the_commands_do_what_is_said(
    walkthrough: Walkthrough, stack: Stack, shell: Shell, fill_in: Callable[[str], str]
) -> None:
    for command in filter(walkthrough.run, walkthrough.document.commands()):
        if command.startswith(KILL):
            killed_at_work(shell, command)
        else:
            wait_for(lambda: stack.in_flight() == 0, seconds=PATIENCE)
            walkthrough.check(command, shell.run(fill_in(command)))


def killed_at_work(shell: Shell, command: str) -> None:
    """Kill workers while there is work; they start when it comes."""
    wait_for(lambda: shell.run(command).exit_code == 0)
