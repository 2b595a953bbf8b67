"""One record's life, on the local cloud: what happened to it, and what an operator did."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.e2e.conftest import OPERATOR, STACK, Stack
from tests.e2e.localcloud.support import wait_for
from tests.e2e.objects import Objects, csv_of
from tests.e2e.operator import Operator
from tests.e2e.policies import document, session_with, without_role
from tests.events import extended_client_pointer, order, sqs_event_of, standard

TRANSFORM = f"{STACK}-transform"
UUID = "7f3c1d1e-58cf-4f8b-a9d2-0d4b36a1d0a1"


@pytest.fixture
def operator(stack: Stack) -> Operator:
    stack.take_dead_letters()
    return Operator.of(stack)


def letter_of(operator: Operator, message_id: str) -> Any:
    """The dead letter of one message, once it is there."""
    (letter,) = wait_for(lambda: [one for one in letters(operator) if _came_as(one) == message_id])
    return letter


def _came_as(letter: Any) -> str | None:
    original: str | None = letter["attributes"].get("original_message_id")
    return original


def letters(operator: Operator) -> list[Any]:
    """The dead letters but those that come late of what was sent to verify a broken stack."""
    found = operator.json("dlq", "list")
    return [one for one in found if not str(one["execution_id"]).startswith("verify-")]


@contextlib.contextmanager
def dying_transform(stack: Stack) -> Iterator[None]:
    """The transform function dies whenever it is invoked, and then no more."""
    client = stack.client("lambda")
    handler = client.get_function_configuration(FunctionName=TRANSFORM)["Handler"]
    try:
        client.update_function_configuration(FunctionName=TRANSFORM, Handler="nowhere.handler")
        yield
    finally:
        client.update_function_configuration(FunctionName=TRANSFORM, Handler=handler)


def test_the_whole_story_of_a_record_that_died_twice_and_was_corrected(
    stack: Stack, operator: Operator
) -> None:
    (message_id,) = stack.send([order(quantity=1, unit_price="10.00")])
    with dying_transform(stack):
        letter = letter_of(operator, message_id)
    done = operator.json(
        "dlq",
        "redrive",
        "--id",
        letter["message_id"][:8],
        "--note",
        "two, not one",
        "--body",
        order(quantity=2, unit_price="10.00"),
    )
    again = done["sent"][0]["new_message_id"]
    item = stack.wait_for_items([again])[again]

    lives = [
        operator.json("record", reference)
        for reference in (message_id, f"test-{message_id}", letter["message_id"], again[:13])
    ]
    shown = " ".join(operator.run("record", message_id).stdout.split())

    life = lives[0]
    assert {one["execution_id"] for one in lives} == {f"test-{message_id}"}
    assert life["state"] == "stored"
    assert life["message_ids"] == sorted([message_id, again])
    *failed, given_up, stored = life["deliveries"]
    assert [one["receive_count"] for one in [*failed, given_up]] == [1, 2, 3, 4, 5]
    assert {one["fate"] for one in failed} == {"back"}
    assert (given_up["fate"], stored["fate"]) == ("dead letter", "stored")
    for one in [*failed, given_up]:
        outcomes = [(stage["stage"], stage["outcome"]) for stage in one["stages"]]
        assert outcomes[0] == ("validate", "ok")
        assert set(outcomes[1:]) == {("transform", "crashed")}
    assert [one["outcome"] for one in stored["stages"]] == ["ok", "ok", "ok"]
    assert stored["arn"] == item["durable_execution_arn"]["S"]
    (act,) = life["acts"]
    assert (act["action"], act["edited"], act["note"]) == ("redrive", True, "two, not one")
    assert (act["result"], act["new_message_id"]) == ("sent", again)
    assert act["who"].startswith("arn:aws:iam::")
    told = (
        "received once: back",
        "received 5 times: dead letter",
        "redrive, edited, sent",
        ": stored",
    )
    assert [shown.index(words) for words in told] == sorted(shown.index(words) for words in told)


def test_a_rejected_claim_check_is_its_producers_record_and_becomes_its_one_item(
    stack: Stack, operator: Operator
) -> None:
    objects = Objects(stack)
    objects.put(UUID, order(record_id="pointed-1", quantity=0), objects.payloads)
    (message_id,) = stack.send([extended_client_pointer(objects.payloads, UUID)])
    letter = letter_of(operator, message_id)
    objects.put(UUID, order(record_id="pointed-1", quantity=3), objects.payloads)

    operator.run("dlq", "redrive", "--id", "pointed-1")
    wait_for(lambda: stack.items().get("pointed-1"))
    (repeated,) = stack.send([extended_client_pointer(objects.payloads, UUID)])
    wait_for(lambda: repeated in {i["message_id"]["S"] for i in stack.items().values()})

    assert letter["execution_id"] == "pointed-1"
    assert [key for key in stack.items() if "pointed-1" in key or message_id in key] == [
        "pointed-1"
    ]
    life = operator.json("record", "pointed-1")
    assert [one["fate"] for one in life["deliveries"]] == ["dead letter", "stored", "stored"]


def test_a_dead_letter_is_discarded_with_a_note_that_stays(
    stack: Stack, operator: Operator
) -> None:
    (message_id,) = stack.send(["no JSON"])
    letter = letter_of(operator, message_id)

    operator.run("dlq", "discard", letter["message_id"], "--note", "a test", "--yes")

    assert letters(operator) == []
    life = operator.json("record", message_id)
    assert life["state"] == "discarded"
    assert [act["note"] for act in life["acts"]] == ["a test"]
    assert [one["fate"] for one in life["deliveries"]] == ["dead letter"]


def test_stored_records_of_every_kind_are_processed_again(stack: Stack, operator: Operator) -> None:
    objects = Objects(stack)
    stack.send([standard(record_id="again-1", data_source="again")])
    objects.put(UUID, standard(record_id="again-2", data_source="again"), objects.payloads)
    stack.send([extended_client_pointer(objects.payloads, UUID)])
    objects.put("input/again.json", standard(data_source="again"))
    objects.put("input/again.csv", csv_of([["id"], ["1"], ["2"]]))
    before = {key: _item(stack, key) for key in ("again-1", "again-2")}
    document = objects.wait_for_state("input/again.json", "done")
    file = objects.wait_for_state("input/again.csv", "done")
    keys = [*before, document["execution_id"], file["execution_id"]]

    done = operator.json("reprocess", *keys, "--wait", "--note", "a test")

    assert {change["what"] for change in done["changes"]} == {"unchanged"}
    assert len(done["changes"]) == 4
    items = stack.items()
    assert all(items[key]["stored_at"]["S"] > before[key]["stored_at"]["S"] for key in before)
    newer = objects.wait_for_later("input/again.csv", file["sequencer"])
    assert newer["counts"] == file["counts"]
    assert [row["row"] for row in objects.rows("input/again.csv")] == [1, 2]
    assert letters(operator) == []


def _item(stack: Stack, key: str) -> Any:
    return wait_for(lambda: stack.items().get(key))


def test_what_is_sent_while_the_intake_is_paused_waits_until_it_is_resumed(
    stack: Stack, operator: Operator
) -> None:
    paused = operator.json("pause", "--wait")
    try:
        (message_id,) = stack.send([standard()])
        states = _mapping_states(stack)
        operator.run("resume", "--door", "objects")
        unmoved = stack.in_flight(), stack.stored([message_id])
    finally:
        resumed = operator.json("resume")

    assert paused["running"] == 0
    assert states == set(paused["doors"].values()) == {"Disabled"}
    assert unmoved == (1, {})
    assert set(resumed["doors"].values()) == {"Enabled"} == _mapping_states(stack)
    stack.wait_for_items([message_id])


def _mapping_states(stack: Stack) -> set[str]:
    mappings: Any = stack.client("lambda").list_event_source_mappings(
        FunctionName=stack.outputs["DurableFunctionArn"]
    )["EventSourceMappings"]
    return {mapping["State"] for mapping in mappings}


@contextlib.contextmanager
def in_the_role_of_an_operator(stack: Stack) -> Iterator[Operator]:
    """An operator with the rights of policies/operator.json, and no others."""
    policy = document("operator", stack.cloud.settings.region)
    session = session_with(stack, OPERATOR, policy)
    try:
        yield Operator({**Operator.of(stack).environment, **session})
    finally:
        without_role(stack, OPERATOR)


def test_operators_may_append_to_the_audit_lines_and_not_take_them_away(
    stack: Stack, operator: Operator
) -> None:
    (stored, wrong) = stack.send([standard(), order(quantity=0)])
    stack.wait_for_items([stored])
    letter_of(operator, wrong)
    group = stack.outputs["AuditLogGroupName"]
    with in_the_role_of_an_operator(stack) as ada:
        redriven = ada.json("dlq", "redrive", "--id", f"test-{wrong}")["sent"]
        reprocessed = ada.json("reprocess", stored, "--wait")
        life = wait_for(lambda: _with_two_letters(ada, wrong))
        ada.run("dlq", "discard", f"test-{wrong}", "--note", "enough", "--yes")
        ada.run("pause", "--door", "files")
        ada.run("resume", "--door", "files")
        logs = _client(stack, ada, "logs")
        stream = logs.filter_log_events(logGroupName=group)["events"][-1]["logStreamName"]
        for take_away, more in (
            ("delete_log_stream", {"logStreamName": stream}),
            ("delete_log_group", {}),
            ("put_retention_policy", {"retentionInDays": 1}),
        ):
            with pytest.raises(ClientError, match="AccessDenied"):
                getattr(logs, take_away)(logGroupName=group, **more)

    assert len(redriven) == 1
    assert [change["what"] for change in reprocessed["changes"]] == ["unchanged"]
    assert life["acts"][0]["who"].endswith(f"assumed-role/{OPERATOR}/somebody")
    assert operator.json("record", wrong)["state"] == "discarded"


def _with_two_letters(operator: Operator, message_id: str) -> Any:
    """Its life, once it has failed again."""
    life = operator.json("record", message_id)
    return life if [one["fate"] for one in life["deliveries"]] == ["dead letter"] * 2 else None


def _client(stack: Stack, operator: Operator, service: str) -> Any:
    names = {"AccessKeyId": "ACCESS_KEY_ID", "SecretAccessKey": "SECRET_ACCESS_KEY"}
    names["SessionToken"] = "SESSION_TOKEN"
    session = {name: operator.environment[f"AWS_{variable}"] for name, variable in names.items()}
    return stack.client(service, session)


def test_an_execution_is_paused_and_goes_on_when_it_is_resumed(
    stack: Stack, operator: Operator
) -> None:
    # More each time, until one still runs when the command line has started.
    for count in (300, 600, 1200, 1200, 1200):
        event = sqs_event_of(standard(record_id=f"paused-{number}") for number in range(count))
        arn = stack.client("lambda").invoke(
            FunctionName=stack.outputs["DurableFunctionArn"],
            Payload=json.dumps(event),
            InvocationType="Event",
        )["DurableExecutionArn"]
        paused = operator.attempt("executions", "pause", arn, "--note", "a look", "--json")
        if paused.returncode == 0 and json.loads(paused.stdout)["status"] == "PAUSED":
            break
    shown = operator.json("executions", "list", "--status", "PAUSED")

    resumed = operator.json("executions", "resume", arn)

    assert arn in [one["durable_execution_arn"] for one in shown]
    assert resumed["status"] in ("RUNNING", "SUCCEEDED")
    stack.cloud.wait_for_end(arn)
    assert operator.json("executions", "show", arn)["status"] == "SUCCEEDED"
    assert f"paused-{count - 1}" in stack.items()
