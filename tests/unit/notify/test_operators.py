from __future__ import annotations

import shlex
import subprocess
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notify.operators import Operators, printable, subject_of, text_of
from pipeline_core.events import ProcessingEvent
from tests.unit.notify.events import DONE, FAILED, REJECTED

keys = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=300)


def of_key(event: ProcessingEvent, key: str) -> ProcessingEvent:
    return {**event, "object": {**event["object"], "key": key}}


def test_operators_are_told_what_became_of_a_file() -> None:
    assert text_of(DONE, "dev").splitlines() == [
        "done: s3://in/input/my orders.csv",
        "",
        "environment: dev",
        "at: 2026-03-01T00:00:00.000000Z",
        "size: 7 bytes",
        "version: v1",
        "rows: 3, results: 2, rejects: 1",
        "results: s3://out/results/x/manifest.json",
        "item: pipelinectl items --id dev-1",
        "execution: arn:of:execution",
        "",
        "Look further:",
        "  pipelinectl objects show 'input/my orders.csv'",
    ]


def test_operators_are_told_every_reason() -> None:
    lines = text_of(REJECTED, "dev").splitlines()

    assert lines[0] == "rejected: s3://in/input/my orders.csv"
    assert "stage: validate" in lines
    start = lines.index("reason: ValidationError: a; b")
    assert lines[start + 1 : start + 3] == ["  - a", "  - b"]


def test_of_many_reasons_only_the_first_are_told() -> None:
    errors = [f"error {number}" for number in range(25)]
    event: ProcessingEvent = {**REJECTED, "reason": {"type": "T", "message": "m", "errors": errors}}

    text = text_of(event, "dev")

    assert "  - error 9\n  and 15 more\n" in text


def test_an_object_behind_no_door_is_named_with_its_bucket() -> None:
    text = text_of(of_key(FAILED, "elsewhere/a.csv"), "dev")

    assert "  pipelinectl objects show s3://in/elsewhere/a.csv\n" in text


@pytest.mark.parametrize(
    ("event", "subject"),
    [
        (DONE, "dev: done: input/my orders.csv"),
        (of_key(FAILED, "input/größe\n.csv"), "dev: failed: input/gr??e?.csv"),
        (of_key(DONE, f"input/{'x' * 100}/a.csv"), f"dev: done: ...{'x' * 79}/a.csv"),
    ],
)
def test_the_subject_is_one_line_of_ascii_with_the_end_of_the_key(
    event: ProcessingEvent, subject: str
) -> None:
    assert subject_of(event, "dev") == subject


@given(keys)
def test_whatever_the_key_sns_takes_the_subject(key: str) -> None:
    subject = subject_of(of_key(REJECTED, key), "environment-of-20-chr")

    assert len(subject) < 100
    assert subject.isascii()
    assert subject.isprintable()


@given(keys)
def test_no_key_can_fake_a_line_or_steer_a_terminal(key: str) -> None:
    lines = text_of(of_key(DONE, key), "dev").split("\n")

    assert len(lines) == len(text_of(DONE, "dev").split("\n"))
    assert all(line.isprintable() for line in lines)


def test_what_does_not_show_is_escaped() -> None:
    assert printable("a\nb\x1b[31m\u202e\U000e0001 ü") == (
        "a\\u000ab\\u001b[31m\\u202e\\U000e0001 ü"
    )


@pytest.mark.parametrize("key", ["input/a b.csv", "input/$(x) 'y'.csv", "input/-rf", "input/ü"])
def test_the_command_names_a_printable_key_in_one_word(key: str) -> None:
    command = text_of(of_key(DONE, key), "dev").splitlines()[-1]

    assert shlex.split(command) == ["pipelinectl", "objects", "show", key]


@pytest.mark.parametrize("key", ["input/a\nb", "input/\\n\t'$(x)'", "input/\u202e\x1b[0m"])
def test_the_command_names_any_key_in_one_word_of_bash(key: str) -> None:
    command = text_of(of_key(DONE, key), "dev").splitlines()[-1]

    shown = command.replace("pipelinectl objects show", "printf %s")
    found = subprocess.run(
        ["bash", "-c", shown], capture_output=True, check=True, env={"LC_ALL": "C.UTF-8"}
    )
    assert found.stdout.decode() == key


def test_what_is_published_can_be_filtered() -> None:
    published: list[dict[str, Any]] = []

    class Topic:
        def publish(self, **message: Any) -> None:
            published.append(message)

    Operators(Topic(), "arn", "dev").tell(DONE)  # type: ignore[arg-type]  # as far as it is used

    (message,) = published
    assert message["TopicArn"] == "arn"
    assert message["MessageAttributes"]["event"]["StringValue"] == "done"
    assert message["MessageAttributes"]["door"]["StringValue"] == "input"
