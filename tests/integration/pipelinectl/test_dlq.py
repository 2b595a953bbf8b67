from typing import Any

from pipelinectl.dead_letters import DeadLetterQueue, grouped
from tests.integration.pipelinectl.conftest import Deployed

REASON = {
    "stage": "validate",
    "error_type": "SchemaViolation",
    "error_message": "quantity: -1 is less than 1; sku is missing",
    "errors": '["quantity: -1 is less than 1", "sku is missing"]',
    "execution_id": "run-1",
    "receive_count": "1",
    "original_message_id": "m-1",
    "failed_at": "2026-01-01T00:00:00Z",
}


def give_up(deployed: Deployed, body: str = "{}", **attributes: str) -> None:
    deployed.sqs.send_message(
        QueueUrl=deployed.dead_letter_queue_url,
        MessageBody=body,
        MessageAttributes={
            name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()
        },
    )


def listed(deployed: Deployed, *arguments: str) -> list[Any]:
    documents: list[Any] = deployed.run("dlq", "list", "--json", *arguments).json
    return documents


def test_reasons_are_listed_and_counted(deployed: Deployed) -> None:
    give_up(deployed, **REASON)
    give_up(deployed, **REASON | {"execution_id": "run-2"})

    result = deployed.run("dlq", "list")

    assert result.exit_code == 0
    words = " ".join(result.stdout.split())
    assert "2 validate SchemaViolation" in words
    assert "run-1 validate SchemaViolation" in words
    assert "quantity: -1 is less than 1" in words
    assert "2 dead letters" in result.stderr


def test_json_has_everything_and_the_body_untouched(deployed: Deployed) -> None:
    give_up(deployed, body='{"price": 1.10}', **REASON)

    (letter,) = listed(deployed)

    assert letter["body"] == '{"price": 1.10}'
    assert letter["errors"] == ["quantity: -1 is less than 1", "sku is missing"]
    assert letter["attempts"] == 1
    assert letter["failed_at"] == "2026-01-01T00:00:00+00:00"
    assert letter["attributes"] == REASON


def test_reading_leaves_every_message_visible(deployed: Deployed) -> None:
    for number in range(23):
        give_up(deployed, **REASON | {"execution_id": f"run-{number}"})

    assert len({letter["message_id"] for letter in listed(deployed)}) == 23
    assert len({letter["message_id"] for letter in listed(deployed)}) == 23


def test_messages_are_visible_again_when_reading_stops_early(deployed: Deployed) -> None:
    for _ in range(15):
        give_up(deployed, **REASON)

    assert len(listed(deployed, "--limit", "3")) == 3
    assert len(listed(deployed)) == 15


def test_stage_and_reason_choose(deployed: Deployed) -> None:
    give_up(deployed, **REASON)
    give_up(deployed, **REASON | {"stage": "store", "error_type": "Throttled", "execution_id": "s"})

    assert [letter["execution_id"] for letter in listed(deployed, "--stage", "store")] == ["s"]
    assert [letter["execution_id"] for letter in listed(deployed, "--reason", "throttled")] == ["s"]
    assert len(listed(deployed, "--reason", "SKU is missing")) == 2
    assert listed(deployed, "--reason", "nothing like it") == []


def test_a_message_that_sqs_moved_has_no_reason_and_is_listed(deployed: Deployed) -> None:
    give_up(deployed, body="anonymous")

    (letter,) = listed(deployed)

    assert (letter["stage"], letter["error_type"], letter["execution_id"]) == (
        "unknown",
        "unknown",
        None,
    )
    assert letter["attempts"] is None
    assert deployed.run("dlq", "list").exit_code == 0


def test_an_empty_queue_is_no_error(deployed: Deployed) -> None:
    assert listed(deployed) == []
    assert deployed.run("dlq", "list").stdout == ""


def test_groups_are_sorted_by_how_many(deployed: Deployed) -> None:
    give_up(deployed, **REASON)
    for _ in range(2):
        give_up(deployed, stage="store", error_type="Throttled")

    queue = DeadLetterQueue(deployed.sqs, deployed.dead_letter_queue_url)

    assert grouped(queue.peek()) == [("store", "Throttled", 2), ("validate", "SchemaViolation", 1)]
