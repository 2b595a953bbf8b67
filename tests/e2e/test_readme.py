"""The commands in the README do what is said of them, on the local cloud."""

from __future__ import annotations

import pytest

from tests.documents import README
from tests.e2e.conftest import Stack
from tests.e2e.walkthrough import (
    ANYTHING,
    ITEM,
    KILL,
    SENT,
    TIMELINE,
    Shell,
    Walkthrough,
    reader_of,
    walk,
)

WALKTHROUGH = Walkthrough(
    README,
    shows={
        ". .venv/bin/activate": ANYTHING,
        "pipelinectl send": SENT,
        "pipelinectl items": ITEM,
        "pipelinectl executions show last": TIMELINE,
        "pipelinectl dlq list": "ValidationError",
        "pipelinectl dlq redrive --id ID --edit": SENT,
        KILL: ANYTHING,
        "pipelinectl doctor": r"checks, 0 problems",
        "pipelinectl cost": "durable operations",
    },
    left_out={
        "pipelinectl record ID": "test_record.py asks by every kind of id",
        "pipelinectl verify": "test_verify.py runs it",
        "make demo": "test_demo.py runs it",
        "make test": "is what runs this",
        "make down": "would stop the cloud that the other tests share; test_life.py stops its own",
    },
)


def test_each_command_is_run_or_left_out_for_a_reason() -> None:
    assert WALKTHROUGH.unknown() == []
    assert WALKTHROUGH.stale() == set()


@pytest.mark.timeout(300)
def test_the_commands_do_what_is_said(stack: Stack) -> None:
    with Shell(reader_of(stack)) as shell:
        walk(WALKTHROUGH, stack, shell)
