"""The life of a record: found by whatever id, told from what is left of it anywhere."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from pipelinectl import dead_letters
from tests.events import sqs_message, standard
from tests.integration.pipelinectl.conftest import Deployed, Result
from tests.integration.pipelinectl.giving_up import ARN, ERRORS, FIRST_SENT, give_up
from tests.unit.pipelinectl.stories import Story, Told, results

UUID = "7f3c1d1e-58cf-4f8b-a9d2-0d4b36a1d0a1"
SENT = datetime.fromtimestamp(FIRST_SENT / 1000, UTC)


def happen(told: Told, *stories: Story) -> None:
    told.stories.extend(stories)


def store(deployed: Deployed, execution_id: str, message_id: str, **more: Any) -> None:
    item = {
        "execution_id": execution_id,
        "message_id": message_id,
        "sent_timestamp": FIRST_SENT,
        "data_source": "TEST.CSV",
        "processing_type": "standard",
        "stored_at": "2026-03-01T08:00:01.000000Z",
    }
    deployed.table.put_item(Item=item | more)


def delivered(message_id: str, arn: str, seconds: int = 0, **how: Any) -> Story:
    return Story(
        arn, [sqs_message(standard(), message_id, **how)], SENT + timedelta(seconds=seconds)
    )


def stored(story: Story, message_id: str) -> Story:
    for stage in ("validate", "transform", "store"):
        story.invoke(stage, [message_id], results("ok", message_id))
    return story.end()


def record(deployed: Deployed, *arguments: str) -> Any:
    return deployed.run("record", *arguments, "--json").json


@pytest.mark.parametrize("reference", ["mine", UUID, UUID[:8], "min"])
def test_an_item_is_found_by_its_key_its_message_or_the_beginning_of_either(
    deployed: Deployed, told: Told, reference: str
) -> None:
    store(deployed, "mine", UUID, durable_execution_arn="a/1")
    store(deployed, "other", "9" + UUID[1:])
    happen(told, stored(delivered(UUID, "a/1"), UUID))

    life = record(deployed, reference)

    assert (life["execution_id"], life["state"]) == ("mine", "stored")
    assert life["message_ids"] == [UUID]
    (delivery,) = life["deliveries"]
    assert (delivery["arn"], delivery["known_by"], delivery["fate"]) == ("a/1", "item", "stored")
    assert told.read == []  # one delivery that was the first: there is nothing to look for


def test_the_id_of_a_message_leads_to_the_item_that_the_pipeline_named_after_it(
    deployed: Deployed, told: Told
) -> None:
    store(deployed, f"test-{UUID}", UUID)

    assert record(deployed, UUID)["execution_id"] == f"test-{UUID}"


@pytest.mark.parametrize("by", ["message_id", "original", "execution_id", "beginning"])
def test_a_dead_letter_is_found_by_each_of_its_ids(deployed: Deployed, told: Told, by: str) -> None:
    letter = give_up(deployed, message_id=UUID)
    give_up(deployed, message_id="8" + UUID[1:])
    happen(
        told,
        delivered(UUID, ARN)
        .invoke("validate", [UUID], results("rejected", UUID, reason={"type": "T", "message": "m"}))
        .step("dead-letters")
        .end(),
    )
    ids = {"original": UUID, "execution_id": f"test-{UUID}", "beginning": UUID[:9]}

    life = record(deployed, ids.get(by, letter))

    assert (life["execution_id"], life["state"]) == (f"test-{UUID}", "dead letter")
    assert [one["errors"] for one in life["dead_letters"]] == [list(ERRORS)]
    assert [one["fate"] for one in life["deliveries"]] == ["dead letter"]


def test_deliveries_that_left_no_trace_are_found_in_the_inputs(
    deployed: Deployed, told: Told
) -> None:
    store(deployed, f"test-{UUID}", UUID, durable_execution_arn="a/3")
    happen(
        told,
        delivered("somebody-else", "a/0"),
        delivered(UUID, "a/1", 5).crash("validate", [UUID]).end(UUID),
        delivered(UUID, "a/2", 20, receive_count=2).crash("validate", [UUID]).end(UUID),
        stored(delivered(UUID, "a/3", 40, receive_count=3), UUID),
        delivered(UUID, "of another time", -3600),
    )

    life = record(deployed, UUID)

    assert [(one["arn"], one["known_by"], one["fate"]) for one in life["deliveries"]] == [
        ("a/1", "input", "back"),
        ("a/2", "input", "back"),
        ("a/3", "item", "stored"),
    ]
    assert sorted(told.read) == ["a/0", "a/1", "a/2"]
    assert life["searched"] == {"listed": 4, "inputs": 3, "bounds": []}


def test_a_search_that_ends_at_its_bound_says_so(deployed: Deployed, told: Told) -> None:
    store(deployed, f"test-{UUID}", UUID, durable_execution_arn="a/9")
    happen(told, stored(delivered(UUID, "a/9", 90, receive_count=2), UUID))
    happen(told, *(delivered("others", f"a/{n}", n) for n in range(9)))

    bounded = deployed.run("record", UUID, "--executions", "4")
    none = record(deployed, UUID, "--executions", "0")

    assert "of 10 executions from" in bounded.stderr
    assert "the inputs of the first 4 were read" in bounded.stderr
    assert len(told.read) == 4
    assert [one["arn"] for one in none["deliveries"]] == ["a/9"]


def test_no_more_inputs_are_read_than_was_allowed_and_none_twice(
    deployed: Deployed, told: Told
) -> None:
    happen(told, *(delivered("others", f"a/{n}", n) for n in range(9)))
    happen(told, delivered(UUID, "a/9", 9, receive_count=3).crash("validate", [UUID]).end(UUID))

    life = record(deployed, UUID[:8], "--executions", "4")

    assert sorted(told.read) == ["a/6", "a/7", "a/8", "a/9"]
    assert life["searched"]["inputs"] == 4
    assert [one["arn"] for one in life["deliveries"]] == ["a/9"]


def test_of_a_queue_that_is_too_long_it_says_how_much_of_it_was_read(
    deployed: Deployed, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dead_letters, "MOST_LETTERS", 2)
    store(deployed, "mine", UUID)
    for number in range(2):
        give_up(deployed, message_id=f"m-{number}")
    assert record(deployed, "mine")["searched"]["bounds"] == []

    give_up(deployed, message_id="m-2")

    assert record(deployed, "mine")["searched"]["bounds"] == [
        "only 2 dead letters were looked through"
    ]
    monkeypatch.setattr(dead_letters, "MOST_LETTERS", 5_000)
    monkeypatch.setattr(dead_letters, "MOST_BYTES", 3)
    assert "only 2 dead letters" in deployed.run("record", "mine").stderr


def test_the_whole_story_is_told_of_a_record_that_was_corrected_and_sent_again(
    deployed: Deployed, told: Told
) -> None:
    give_up(deployed, "{", message_id=UUID)
    happen(told, delivered(UUID, ARN, 1).step("dead-letters").end())
    done = deployed.run(
        "dlq", "redrive", "--all", "--body", standard(), "--note", "it was cut", "--json"
    ).json
    again = done["sent"][0]["new_message_id"]
    store(deployed, f"test-{UUID}", again, durable_execution_arn="a/2")
    now = (datetime.now(UTC) - SENT).total_seconds()
    happen(told, stored(delivered(again, "a/2", int(now) + 1, queue="x-internal"), again))

    life = record(deployed, UUID)
    shown = " ".join(deployed.run("record", UUID).stdout.split())

    assert life["state"] == "stored"
    assert [one["fate"] for one in life["deliveries"]] == ["dead letter", "stored"]
    (act,) = life["acts"]
    assert (act["action"], act["edited"], act["note"]) == ("redrive", True, "it was cut")
    assert (act["result"], act["new_message_id"]) == ("sent", again)
    assert life["message_ids"] == sorted([UUID, again])
    told_in_order = (": dead letter", "redrive, edited, sent", "it was cut", f"as message {again}")
    places = [shown.index(words) for words in told_in_order]
    assert places == sorted(places)
    assert shown.count("redrive") == 1


def test_a_record_that_was_discarded_is_still_known(deployed: Deployed, told: Told) -> None:
    letter = give_up(deployed, message_id=UUID)
    deployed.run("dlq", "discard", letter, "--note", "a test", "--yes")

    for reference in (letter, UUID, f"test-{UUID}"):
        life = record(deployed, reference)
        assert life["state"] == "discarded"
        assert life["acts"][0]["note"] == "a test"


def test_an_object_is_found_by_its_place_with_what_the_catalog_knows(
    deployed: Deployed, told: Told
) -> None:
    entry = {
        "object": "test-input/input/a.json",
        "bucket": "test-input",
        "key": "input/a.json",
        "state": "failed",
        "sequencer": "1",
        "state_rank": 2,
        "updated_at": "2026-03-01T08:00:00Z",
        "reason": {"type": "InvalidJson", "message": "no JSON"},
    }
    deployed.catalog.put_item(Item=entry)

    lives = [record(deployed, one) for one in ("input/a.json", "s3://test-input/input/a.json")]

    assert lives[0] == lives[1]
    assert lives[0]["object"]["state"] == lives[0]["state"] == "failed"
    assert deployed.run("record", "input/nothing.json").exit_code == 1
    assert "InvalidJson: no JSON" in deployed.run("record", "input/a.json").stdout


def test_a_message_on_its_way_is_found_in_the_execution_that_has_it(
    deployed: Deployed, told: Told
) -> None:
    happen(told, delivered(UUID, "a/1").invoke("validate", [UUID]))

    life = record(deployed, UUID)

    assert (life["execution_id"], life["state"]) == (f"test-{UUID}", "on its way")
    assert [(one["arn"], one["fate"]) for one in life["deliveries"]] == [("a/1", "running")]


def test_the_beginning_of_several_ids_is_none(deployed: Deployed, told: Told) -> None:
    for key in ("order-1", "order-2"):
        store(deployed, key, UUID)

    done = deployed.run("record", "order")

    assert done.exit_code == 2
    assert "2 records begin with 'order': order-1, order-2: give more of" in done.stderr


def test_what_nobody_knows_is_not_found_and_it_says_where_was_looked(
    deployed: Deployed, told: Told
) -> None:
    happen(told, delivered("others", "a/1"))

    done = deployed.run("record", "nobody")

    assert done.exit_code == 1
    assert "inputs of the newest executions (1)" in done.stderr
    assert "it may still wait in a queue" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_the_right_to_read_audit_lines_the_rest_is_told(
    deployed: Deployed, told: Told
) -> None:
    store(deployed, "mine", UUID)
    boto3.client("logs").delete_log_group(logGroupName="/test/audit")

    done: Result = deployed.run("record", "mine", "--json")

    assert done.json["state"] == "stored"
    assert done.json["searched"]["bounds"] == [
        "the audit lines were not read: ResourceNotFoundException"
    ]


def test_what_others_wrote_is_shown_and_not_obeyed(deployed: Deployed, told: Told) -> None:
    store(deployed, "mine\x1b[2J", UUID, data_source="\x1b]0;owned\x07[red]x[/red]")

    shown = deployed.run("record", "mine\x1b[2J").stdout

    assert "\x1b" not in shown
    assert "[red]x[/red]" in shown


def test_the_page_of_a_record_is_json_with_exact_numbers(deployed: Deployed, told: Told) -> None:
    from decimal import Decimal

    store(deployed, "mine", UUID, original_data={"n": Decimal("1.10")})

    text = deployed.run("record", "mine", "--json").stdout

    assert '"n": 1.1' in text
    assert json.loads(text)["item"]["sent_timestamp"] == FIRST_SENT
