"""Dead letters that Lambda sent: events that no queue brought, of executions that failed."""

import json

import pytest

from tests.events import s3_event
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import give_up, give_up_event, known_of, move

EVENT = s3_event(
    {"bucket": "test-input", "key": "direct/orders.csv", "size": 8, "sequencer": "66" + "0" * 30}
)
BODY = json.dumps(EVENT)


def test_it_is_listed_with_what_lambda_says(deployed: Deployed) -> None:
    give_up_event(deployed, BODY, "no queue accepted it")

    (letter,) = deployed.run("dlq", "list", "--stage", "execution", "--json").json
    words = " ".join(deployed.run("dlq", "list").stdout.split())

    assert letter["error_type"] == "ErrorCode 200"
    assert letter["error_message"] == "no queue accepted it"
    assert letter["attempts"] is None
    assert letter["body"] == BODY
    assert "execution ErrorCode 200" in words


def test_show_names_the_request_and_no_attributes_of_a_producer(deployed: Deployed) -> None:
    message_id = give_up_event(deployed, BODY, "no queue accepted it")

    words = " ".join(deployed.run("dlq", "show", message_id).stdout.split())

    assert "request req-1" in words
    assert "no queue accepted it" in words
    assert "the producer's attributes" not in words


def test_redrive_sends_the_event_without_lambdas_attributes(deployed: Deployed) -> None:
    give_up_event(deployed, BODY, "no queue accepted it")

    (sent,) = deployed.run("dlq", "redrive", "--reason", "no queue", "--json").json["sent"]

    (message,) = deployed.again()
    assert message["Body"] == BODY
    assert known_of(message).keys() == {"sent_timestamp", "door"}
    assert known_of(message)["door"] == "objects"
    assert sent["execution_id"] is None
    assert deployed.run("dlq", "list", "--json").json == []


def test_the_event_is_what_is_edited(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDITOR", "sed -i s/orders/repaired/")
    monkeypatch.delenv("VISUAL", raising=False)
    give_up_event(deployed, BODY)

    deployed.run("dlq", "redrive", "--all", "--edit")

    (body,) = deployed.bodies_again()
    assert json.loads(body)["Records"][0]["s3"]["object"]["key"] == "direct/repaired.csv"


def test_a_producers_attribute_of_the_same_name_is_the_producers(deployed: Deployed) -> None:
    move(deployed, BODY, RequestID={"DataType": "String", "StringValue": "till-7"})
    give_up(deployed, BODY, producers={"ErrorCode": {"dataType": "Number", "stringValue": "5"}})

    stages = {one["stage"] for one in deployed.run("dlq", "list", "--json").json}
    deployed.run("dlq", "redrive", "--all")

    assert stages == {"unknown", "validate"}
    again = [known_of(message)["message_attributes"].keys() for message in deployed.again()]
    assert sorted(map(list, again)) == [["ErrorCode"], ["RequestID"]]
