from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from pipelinectl.cli import app
from pipelinectl.commands.context import Pipeline
from pipelinectl.commands.verify import document, markdown, render, summary
from pipelinectl.verify import Report
from pipelinectl.verify.facts import Fact
from pipelinectl.verify.judging import differs, holds, unseen
from tests.unit.pipelinectl.verify.runs import PREFIX, STACK

ACCOUNT = "123456789012"


class Somewhere:
    """A connection to AWS that nobody uses."""

    at = None


def pipeline() -> Pipeline:
    connection: Any = Somewhere()
    return Pipeline(connection, STACK)


def report() -> Report:
    results = {
        "message": holds("item x"),
        "rejected": differs(f"no | dead letter in arn:aws:sqs:eu-west-1:{ACCOUNT}:q", "look there"),
        "metrics-seen": unseen("nothing"),
    }
    facts = [Fact("a", "what", {"arn": f"arn:{ACCOUNT}"}), Fact("b", "how", {}, "not asked")]
    return Report(PREFIX, results, facts, ["items: DeleteItem: AccessDenied"], 12.3)


def test_below_what_differs_stand_what_is_right_and_where_to_look() -> None:
    lines = [line.plain for line in render(report())]

    at = next(n for n, line in enumerate(lines) if line.startswith("differs"))
    assert lines[at + 1].strip().startswith("right is: a wrong record is a dead letter")
    assert lines[at + 2].strip() == "→ look there"
    assert [line for line in lines if line.startswith("left")]


def test_the_summary_counts_verdicts() -> None:
    assert summary(report()).startswith("3 promises, 1 holds, 1 differs, 1 cannot be seen")


def test_the_report_names_no_account() -> None:
    told = document(report(), pipeline())

    assert ACCOUNT not in markdown(told)
    assert "arn:aws:sqs:eu-west-1:<account>:q" in markdown(told)
    assert told["cloud"] == "AWS"
    assert told["region"] == "eu-west-1"


def test_the_report_is_readable_and_has_the_same_for_programs() -> None:
    text = markdown(document(report(), pipeline()))

    assert "| holds | message | item x |" in text
    assert "no \\| dead letter" in text
    assert json.loads(text.partition("```json\n")[2].partition("```")[0])["prefix"] == PREFIX


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "nothing"], "there is no such line"),
        (["--clean", "input"], "not what a run of verify is called"),
    ],
)
def test_wrong_usage_is_told_before_anything_is_sent(arguments: list[str], said: str) -> None:
    result = CliRunner().invoke(app, ["verify", *arguments])

    assert result.exit_code == 2
    assert said in result.stderr


def test_nothing_is_sent_to_aws_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelinectl.commands.verify.open_pipeline", lambda *_, **__: pipeline())

    result = CliRunner().invoke(app, ["verify"])

    assert result.exit_code == 2
    assert "say --yes if that is meant" in result.stderr
