"""What operators change has a line that says who did it, written before it is done."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from pipeline_core.objects import ObjectId
from pipelinectl.audit import Audit, Subject
from pipelinectl.aws import Connection
from pipelinectl.commands.context import Pipeline
from tests.events import s3_event, sqs_message, standard
from tests.integration.pipelinectl.conftest import Deployed
from tests.integration.pipelinectl.giving_up import ARN, give_up, move
from tests.integration.pipelinectl.test_redrive import Sqs, failing, visible
from tests.unit.pipelinectl.stories import Story, Told

WHO = "arn:aws:sts::123456789012:user/moto"


@pytest.fixture
def failed_execution(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two executions: one that failed and one that runs, which can be stopped."""
    failed = Story("a/1", [sqs_message(standard(record_id="r-1"), "m-1")]).fail()
    told = Told([failed])
    monkeypatch.setattr(Told, "resolve", lambda _, reference: reference, raising=False)
    for verb in ("pause", "resume"):
        monkeypatch.setattr(
            Told, verb, lambda _, arn, why, before: before() or "PAUSED", raising=False
        )
    monkeypatch.setattr(Pipeline, "executions", told)


def test_a_redrive_says_who_sent_what_and_how_it_ended(deployed: Deployed) -> None:
    letter = give_up(deployed, message_id="m-1")

    deployed.run("dlq", "redrive", "--all", "--body", standard(), "--note", "corrected")

    before, after = deployed.lines
    at = before.pop("at")
    assert before == {
        "who": WHO,
        "action": "redrive",
        "execution_id": "test-m-1",
        "message_id": letter,
        "original_message_id": "m-1",
        "stage": "validate",
        "error_type": "ValidationError",
        "durable_execution_arn": ARN,
        "edited": True,
        "note": "corrected",
    }
    (message,) = deployed.again()
    assert (after["result"], after["new_message_id"]) == ("sent", message["MessageId"])
    assert abs(datetime.now(UTC) - datetime.fromisoformat(at)) < timedelta(hours=1)


def test_no_line_quotes_a_record(deployed: Deployed) -> None:
    give_up(deployed, '{"secret": "s3cr3t"}')

    deployed.run("dlq", "redrive", "--all", "--body", '{"secret": "0th3r"}')

    assert "s3cr3t" not in json.dumps(deployed.lines)
    assert "0th3r" not in json.dumps(deployed.lines)


def test_a_record_that_sqs_moved_has_its_identity_in_the_line(deployed: Deployed) -> None:
    letter = move(deployed, "{}")

    deployed.run("dlq", "redrive", "--all")

    assert {line["execution_id"] for line in deployed.lines} == {f"test-{letter}"}


def test_a_redrive_that_sqs_refuses_says_so(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    move(deployed, "x" * 1_048_576)

    deployed.run("dlq", "redrive", "--all")

    assert [line.get("result") for line in deployed.lines] == [None, "refused: MessageTooLong"]


ACTS = {
    "redrive": ("dlq", "redrive", "--all"),
    "discard": ("dlq", "discard", "test-m-1", "--note", "why", "--yes"),
    "purge": ("dlq", "purge", "--yes"),
    "reprocess": ("reprocess", "mine"),
    "retry": ("executions", "retry", "a/1"),
    "pause": ("executions", "pause", "a/1", "--note", "why"),
    "resume": ("executions", "resume", "a/1", "--note", "why"),
}


def prepare(deployed: Deployed) -> None:
    give_up(deployed, message_id="m-1")
    item = {"sent_timestamp": 1, "message_id": "m", "stored_at": "2026-01-01", "original_data": {}}
    deployed.table.put_item(Item={"execution_id": "mine", **item})


@pytest.mark.parametrize("act", ACTS)
def test_every_act_has_its_line(deployed: Deployed, failed_execution: None, act: str) -> None:
    prepare(deployed)

    done = deployed.run(*ACTS[act])

    assert done.exit_code == 0, done.stderr
    line = deployed.lines[0]
    assert (line["action"], line["who"]) == (act, WHO)
    assert line.get("note") == ("why" if "--note" in ACTS[act] else None)


@pytest.mark.parametrize("through_sqs", [True, False])
def test_a_retry_of_an_event_of_s3_is_an_act_on_the_object_s_record(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch, *, through_sqs: bool
) -> None:
    state: Any = {"bucket": "test-input", "key": "direct/a.json", "sequencer": "0A"}
    event = s3_event(state)
    message = sqs_message(json.dumps(event), "m-1", queue="stack-objects")
    told = Told([Story("a/1", [message] if through_sqs else event["Records"]).fail()])
    monkeypatch.setattr(Told, "resolve", lambda _, reference: reference, raising=False)
    monkeypatch.setattr(Pipeline, "executions", told)

    assert deployed.run("executions", "retry", "a/1", "--note", "mended").exit_code == 0

    before, after = deployed.lines
    (again,) = deployed.again()
    key = ObjectId("test-input", "direct/a.json").execution_id("test")
    assert before["execution_id"] == after["execution_id"] == key
    ids = {before.get("message_id"), before.get("original_message_id"), after.get("message_id")}
    assert ids == ({"m-1"} if through_sqs else {None})
    (act,) = deployed.run("record", key, "--json").json["acts"]
    assert (act["note"], act["new_message_id"]) == ("mended", again["MessageId"])


@pytest.mark.parametrize("act", ACTS)
def test_nothing_is_done_of_which_no_line_can_be_written(
    deployed: Deployed, failed_execution: None, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    prepare(deployed)
    monkeypatch.setattr(
        Connection, "logs", Sqs(boto3.client("logs"), put_log_events=failing("PutLogEvents"))
    )

    done = deployed.run(*ACTS[act])

    assert done.exit_code == 1
    assert "the audit line was not written to log group '/test/audit'" in done.stderr
    assert "AccessDenied" in done.stderr
    assert "without it nothing is done" in done.stderr
    assert visible(deployed) == 1
    assert deployed.again() == []


def test_a_line_that_logs_rejects_counts_as_not_written(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rejecting(**_: Any) -> Any:
        return {"rejectedLogEventsInfo": {"tooNewLogEventStartIndex": 0}}

    logs = Sqs(boto3.client("logs"), put_log_events=rejecting)
    monkeypatch.setattr(Connection, "logs", logs)
    give_up(deployed)

    done = deployed.run("dlq", "redrive", "--all")

    assert "set your clock" in done.stderr
    assert visible(deployed) == 1


def test_what_was_sent_stays_sent_where_the_second_line_fails_and_that_is_said(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = boto3.client("logs")

    def only_before(**request: Any) -> Any:
        if "result" in request["logEvents"][0]["message"]:
            raise ClientError({"Error": {"Code": "Throttling", "Message": ""}}, "PutLogEvents")
        return client.put_log_events(**request)

    monkeypatch.setattr(Connection, "logs", Sqs(client, put_log_events=only_before))
    give_up(deployed)

    done = deployed.run("dlq", "redrive", "--all")

    assert done.exit_code == 0
    assert "of 1 message no audit line says how it ended" in done.stderr
    assert len(deployed.again()) == 1
    assert visible(deployed) == 0


def test_lines_are_found_by_each_of_their_ids_and_by_no_other(deployed: Deployed) -> None:
    subjects: list[Subject] = [
        {"execution_id": "x-1", "message_id": "d-1", "original_message_id": "m-1"},
        {"execution_id": "x-2", "durable_execution_arn": "a/2"},
    ]
    deployed.audit.write("redrive", subjects)

    for reference in ("x-1", "d-1", "m-1"):
        found = deployed.audit.find({reference})
        assert [line["execution_id"] for line in found.lines] == ["x-1"]
        assert found.complete
    assert len(deployed.audit.find({"a/2", "x-1"}).lines) == 2
    assert deployed.audit.find({"x"}).lines == []
    assert deployed.audit.find({"x-1"}, since=datetime.now(UTC) + timedelta(days=1)).lines == []
    assert len(deployed.audit.find_beginning("x-").lines) == 2


def test_what_others_write_there_is_no_line(deployed: Deployed) -> None:
    logs: Any = boto3.client("logs")
    logs.create_log_stream(logGroupName="/test/audit", logStreamName="s")
    now = int(datetime.now(UTC).timestamp() * 1000)
    for text in ("no JSON", "[]", '{"at": 1}', '{"execution_id": "x"}'):
        event = {"timestamp": now, "message": text}
        logs.put_log_events(logGroupName="/test/audit", logStreamName="s", logEvents=[event])

    assert deployed.audit.find({"x"}).lines == []


def test_as_many_lines_as_there_are_go_in_as_few_requests_as_logs_takes(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def counted(**request: Any) -> Any:
        events = request["logEvents"]
        sizes.append(len(events))
        assert sum(len(event["message"].encode()) + 26 for event in events) <= 1_048_576
        return {}

    logs: Any = Sqs(boto3.client("logs"), put_log_events=counted)
    audit = Audit(logs, lambda: boto3.client("sts"), "/test/audit")
    many: list[Subject] = [{"execution_id": f"{n:0900}"} for n in range(3000)]

    audit.write("purge", many)
    audit.write("purge", [{}] * 10_001)

    assert sum(sizes) == 13_001
    assert max(sizes) <= 10_000


@pytest.mark.parametrize("reference", ['a"b', "a\\b", "a*b", "ä b", "x" * 2000])
def test_an_id_of_any_characters_is_found(deployed: Deployed, reference: str) -> None:
    deployed.audit.write("purge", [{"execution_id": reference}])

    assert len(deployed.audit.find({reference}).lines) == 1
