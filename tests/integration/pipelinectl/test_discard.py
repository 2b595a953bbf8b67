from __future__ import annotations

from typing import Any

import pytest

from pipelinectl.aws import Connection
from pipelinectl.commands import dlq
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import give_up
from tests.integration.pipelinectl.test_redrive import Sqs, failing, visible

WHY = ("--note", "a test, never a sale")


def test_only_what_is_named_is_deleted_and_the_rest_is_visible_at_once(deployed: Deployed) -> None:
    ids = [give_up(deployed, message_id=f"m-{number}") for number in range(12)]

    done = deployed.run("dlq", "discard", ids[0][:13], "test-m-7", *WHY, "--yes")

    assert done.stdout == "deleted 2 of 2 dead letters\n"
    assert visible(deployed) == 10
    assert {line["original_message_id"] for line in deployed.lines} == {"m-0", "m-7"}
    assert {line["note"] for line in deployed.lines} == {WHY[1]}


def test_without_a_note_or_a_terminal_nothing_is_deleted(deployed: Deployed) -> None:
    letter = give_up(deployed)

    assert deployed.run("dlq", "discard", letter, "--yes").exit_code == 2
    assert "give --yes" in deployed.run("dlq", "discard", letter, *WHY).stderr
    assert deployed.run("dlq", "discard", "nobody", *WHY, "--yes").exit_code == 1
    assert visible(deployed) == 1
    assert deployed.lines == []


@pytest.mark.parametrize(("answer", "left"), [("y\n", 0), ("n\n", 1)])
def test_it_asks_and_shows_what_it_is_about(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, answer: str, left: int
) -> None:
    monkeypatch.setattr(dlq, "in_a_terminal", lambda: True)
    letter = give_up(deployed)

    done = deployed.run("dlq", "discard", letter, *WHY, stdin=answer)

    assert "ValidationError" in done.stdout
    assert "Delete 1 dead letter of AWS account 123456789012" in done.stderr
    assert visible(deployed) == left


def test_what_sqs_does_not_delete_is_told_and_repeated_without_harm(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def delete_none(**request: Any) -> Any:
        return {"Failed": [{"Id": entry["Id"]} for entry in request["Entries"]]}

    letter = give_up(deployed)
    monkeypatch.setattr(Connection, "sqs", Sqs(deployed.sqs, delete_message_batch=delete_none))
    first = deployed.run("dlq", "discard", letter, *WHY, "--yes", "--json")
    monkeypatch.setattr(Connection, "sqs", deployed.sqs)
    second = deployed.run("dlq", "discard", letter, *WHY, "--yes", "--json")
    third = deployed.run("dlq", "discard", letter, *WHY, "--yes")

    assert first.exit_code == 1
    assert "SQS did not delete 1 message" in first.stderr
    assert first.json == {"discarded": [], "not_deleted": [letter], "missing": 0}
    assert second.json == {"discarded": [letter], "not_deleted": [], "missing": 0}
    assert third.exit_code == 1
    assert visible(deployed) == 0


def test_a_delete_that_fails_as_a_whole_says_how_far_it_came(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing = Sqs(deployed.sqs, delete_message_batch=failing("DeleteMessageBatch"))
    monkeypatch.setattr(Connection, "sqs", refusing)
    letter = give_up(deployed)

    done = deployed.run("dlq", "discard", letter, *WHY, "--yes")

    assert done.exit_code == 1
    assert "deleted 0 of 1 dead letter; the others stay" in done.stderr
    assert visible(deployed) == 1
