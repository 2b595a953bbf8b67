"""Dead letters that Lambda sent, because no queue brought the event."""

import json

import pytest

from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import give_up, move
from tests.unit.pipelinectl.invocation_records import EVENT, record


def test_it_is_listed_with_the_functions_error(deployed: Deployed) -> None:
    body = json.dumps(record())
    move(deployed, body)

    (letter,) = deployed.run("dlq", "list", "--stage", "execution", "--json").json
    words = " ".join(deployed.run("dlq", "list").stdout.split())

    assert letter["error_type"] == "KeyError"
    assert letter["error_message"] == "'OUTPUT_BUCKET'"
    assert letter["attempts"] == 3
    assert letter["failed_at"] == "2026-03-01T12:00:00+00:00"
    assert letter["body"] == body
    assert "execution KeyError" in words


def test_show_names_the_function(deployed: Deployed) -> None:
    message_id = move(deployed, json.dumps(record()))

    words = " ".join(deployed.run("dlq", "show", message_id).stdout.split())

    assert "function arn:aws:lambda:us-east-1:1:function:s-durable-pipeline:live" in words
    assert "'OUTPUT_BUCKET'" in words


def test_redrive_sends_the_event_as_s3_sent_it(deployed: Deployed) -> None:
    move(deployed, json.dumps(record()))

    (sent,) = deployed.run("dlq", "redrive", "--reason", "KeyError", "--json").json["sent"]

    (message,) = deployed.queued()
    assert json.loads(message["Body"]) == EVENT
    assert "execution_id" not in message["MessageAttributes"]
    assert sent["execution_id"] is None
    assert deployed.run("dlq", "list", "--json").json == []


def test_the_event_is_what_is_edited(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/orders/repaired/")
    monkeypatch.delenv("VISUAL", raising=False)
    move(deployed, json.dumps(record()))

    deployed.run("dlq", "redrive", "--all", "--edit")

    (body,) = deployed.bodies()
    assert json.loads(body)["Records"][0]["s3"]["object"]["key"] == "direct/repaired.csv"


def test_a_record_that_only_looks_like_it_is_the_producers(deployed: Deployed) -> None:
    body = json.dumps(record())
    give_up(deployed, body)

    (letter,) = deployed.run("dlq", "list", "--json").json
    deployed.run("dlq", "redrive", "--all")

    assert letter["stage"] == "validate"
    assert deployed.bodies() == [body]
