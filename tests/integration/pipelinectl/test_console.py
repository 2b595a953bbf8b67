"""Pages and changes of the console, on a stack in moto; what Lambda would say is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from pipelinectl.aws import Connection, Options
from pipelinectl.console import actions, pages
from pipelinectl.console.pages import PAGES, WAIT, Page
from pipelinectl.console.session import Job, Session, State
from pipelinectl.errors import (
    NotFoundError,
    OperationFailedError,
    PipelinectlError,
    UsageError,
)
from pipelinectl.exact_json import dumps
from pipelinectl.executions import Execution, ExecutionInput, Executions
from pipelinectl.objects import folder
from tests.integration.pipelinectl.catalog_entries import put_entry
from tests.integration.pipelinectl.conftest import STACK_NAME, Deployed
from tests.integration.pipelinectl.giving_up import ERRORS, give_up, known_of
from tests.unit.pipelinectl.console.browsing import OURS, browse

PATIENCE = 600.0
PRIVATE = "nobody's business"
BODY = json.dumps({"data_source": "x", "note": f"{PRIVATE} <script>alert(1)</script>"})
RUNNING = Execution("uuid/uuid", "running", "RUNNING", datetime(2026, 1, 1, tzinfo=UTC), None)


@pytest.fixture
def session(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """One that may do and show everything."""
    monkeypatch.setattr(Executions, "newest", lambda *_, **__: iter([RUNNING]))
    monkeypatch.setattr(Executions, "ended", lambda *_: [])
    monkeypatch.setattr(Executions, "history", lambda *_: iter(()))
    monkeypatch.setattr(
        Executions, "input_of", lambda _, arn: ExecutionInput(arn, "SUCCEEDED", None)
    )
    session = Session(
        Connection(), Options(stack_name=STACK_NAME), allow_changes=True, show_content=True
    )
    yield session
    session.stop()


@pytest.fixture
def hiding(session: Session) -> Iterator[Session]:
    """One that may do everything and shows no content."""
    hiding = replace(session, show_content=False)
    yield hiding
    hiding.stop()


def look(session: Session, path: str, **query: str) -> Page:
    """The page, when all of it is known."""
    return PAGES[path](session, {WAIT: str(PATIENCE), **query})


def done(session: Session, answer: Job | Page) -> Job:
    """The job, at its end."""
    assert isinstance(answer, Job)
    for thread in session.jobs._threads:
        thread.join(PATIENCE)
    return answer


def test_dead_letters_come_in_groups_and_by_filter(deployed: Deployed, session: Session) -> None:
    for number in range(3):
        give_up(deployed, BODY, message_id=f"m-{number}")
    give_up(deployed, BODY, message_id="m-4", stage="store", error_type="NotStorable")

    every = look(session, "/dead-letters")
    stored = look(session, "/dead-letters", stage="store")

    assert every.shown["groups"] == [
        ("validate", "ValidationError", 3),
        ("store", "NotStorable", 1),
    ]
    assert every.command == ("dlq", "list")
    assert stored.command == ("dlq", "list", "--stage", "store")
    assert [one["stage"] for one in stored.document["dead_letters"]] == ["store"]
    # They were given back: others see them.
    assert len(deployed.receive(deployed.dead_letter_queue_url)) == 4


def test_a_dead_letter_says_all_there_is_to_say(deployed: Deployed, session: Session) -> None:
    message_id = give_up(deployed, BODY)

    page = look(session, "/dead-letters/show", id=message_id[:8])

    assert page.document["errors"] == ERRORS
    assert page.document["body"] == BODY
    assert page.shown["again"].execution_id == "test-m-1"


ANY = {"data_source": PRIVATE}
SHOWN = ("/dead-letters", "/dead-letters/show", "/dead-letters/redrive", "/record")


@pytest.mark.parametrize("path", SHOWN)
def test_content_is_hidden_in_the_page_and_in_its_twin(
    path: str, deployed: Deployed, session: Session, hiding: Session
) -> None:
    body = json.dumps({"note": PRIVATE, "record_id": "r-1"})
    attributes = {"till": {"dataType": "String", "stringValue": PRIVATE}}
    message_id = give_up(deployed, body, producers=attributes)
    item = {"execution_id": "r-1", "original_data": ANY, "transformed_data": ANY}
    deployed.table.put_item(Item=item)
    reference = "r-1" if path == "/record" else message_id

    assert PRIVATE in dumps(look(session, path, id=reference).document)
    hidden = dumps(look(hiding, path, id=reference).document)
    assert PRIVATE not in hidden
    assert "r-1" in hidden
    for address in (path, f"{path}.json"):
        answer = browse(lambda b, a=address: b.ask(f"{a}?id={reference}&show_content=1"), hiding)  # type: ignore[misc]  # it is bound at once
        assert answer.status == 200
        assert PRIVATE not in answer.text


def test_hostile_content_stays_text_on_every_page(deployed: Deployed, session: Session) -> None:
    script = "<script>alert(1)</script>"
    body = json.dumps({"note": script, "record_id": f"r-{script}"})
    message_id = give_up(deployed, body, stage=script, error_type=f"<img onerror={script}>")
    path = f"test-input/input/{script}.csv"
    put_entry(deployed, path, state="failed", reason={"type": script, "message": script})
    look(session, "/dead-letters")

    for address in (
        "/dead-letters",
        f"/dead-letters?stage={script}",
        f"/dead-letters/show?id={message_id}",
        f"/dead-letters/edit?id={message_id}",
        f"/dead-letters/redrive?id={message_id}",
        f"/record?id=r-{script}",
        "/files",
        f"/files/show?object=input/{script}.csv",
    ):
        answer = browse(lambda b, a=address: b.ask(a), session)  # type: ignore[misc]  # it is bound at once
        assert answer.status == 200, address
        assert script not in answer.text, address
        assert "<img onerror" not in answer.text, address
        assert "&lt;script&gt;" in answer.text, address


@pytest.mark.parametrize("path", sorted(set(PAGES) - {"/done/show", "/executions/show"}))
def test_every_page_is_rendered_whole_and_in_part(
    path: str, deployed: Deployed, session: Session
) -> None:
    message_id = give_up(deployed, BODY)
    put_entry(deployed, "test-input/input/a.csv")
    look(session, "/dead-letters")
    query = f"?id={message_id}&object=input/a.csv"

    whole = browse(lambda b: b.ask(path + query), session)
    part = browse(lambda b: b.ask(path + query, headers={**OURS, "HX-Request": "true"}), session)

    assert whole.status == part.status == 200
    assert "<h1" in whole.text
    assert '<div id="live"' in part.text
    assert "<h1" not in part.text


def test_one_is_sent_again_as_it_is_once_it_was_confirmed(
    deployed: Deployed, session: Session
) -> None:
    message_id = give_up(deployed, BODY)
    give_up(deployed, BODY, message_id="m-2")
    plan = look(session, "/dead-letters/redrive", id=message_id)
    assert plan.command[-1] == "--dry-run"
    assert deployed.again() == []

    with pytest.raises(OperationFailedError, match="there were 2 when you looked"):
        actions.redrive_letters(session, {"id": message_id, "count": "2"})
    job = done(session, actions.redrive_letters(session, {"id": message_id, "count": "1"}))

    assert (job.state, job.done, job.records) == (State.DONE, 1, ["test-m-1"])
    (sent,) = deployed.again()
    assert sent["Body"] == BODY
    assert known_of(sent)["execution_id"] == "test-m-1"
    assert [line["action"] for line in deployed.lines] == ["redrive", "redrive"]
    left = look(session, "/dead-letters").document["dead_letters"]
    assert [one["execution_id"] for one in left] == ["test-m-2"]


def test_a_group_is_sent_again(deployed: Deployed, session: Session) -> None:
    for number in range(15):
        give_up(deployed, BODY, message_id=f"m-{number}")
    give_up(deployed, BODY, message_id="other", stage="store")
    look(session, "/dead-letters")

    answer = actions.redrive_letters(session, {"stage": "validate", "count": "15"})
    job = done(session, answer)

    assert job.said == ["sent 15 of 15 messages"]
    assert job.command == "pipelinectl --stack-name test-stack dlq redrive --stage validate"
    assert len(deployed.again()) == 15
    assert len(look(session, "/dead-letters").document["dead_letters"]) == 1


def test_an_edited_body_is_shown_before_it_is_sent(deployed: Deployed, session: Session) -> None:
    message_id = give_up(deployed, '{"quantity":0}')
    form = {"id": message_id, "body": '{\r\n  "quantity": 3\r\n}'}
    assert (
        look(session, "/dead-letters/edit", id=message_id).shown["text"] == '{\n  "quantity": 0\n}'
    )

    preview = actions.edit(session, form)

    assert isinstance(preview, Page)
    assert preview.shown["difference"][1:] == [" {", '-  "quantity": 0', '+  "quantity": 3', " }"]
    assert deployed.again() == []

    job = done(session, actions.edit(session, form | {"what": "send", "note": "a typo"}))

    assert job.state is State.DONE
    (sent,) = deployed.again()
    assert sent["Body"] == '{\n  "quantity": 3\n}'
    assert known_of(sent)["execution_id"] == "test-m-1"
    assert deployed.lines[0]["note"] == "a typo"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('{\n  "quantity": 0\n}', "nothing is changed"),
        ("\x01", "refuses control characters"),
        ("", "empty"),
        ("x" * 1_048_577, "1 MiB"),
    ],
)
def test_what_sqs_would_refuse_is_said_in_the_form(
    body: str, said: str, deployed: Deployed, session: Session
) -> None:
    message_id = give_up(deployed, '{"quantity":0}')
    look(session, "/dead-letters")

    answer = actions.edit(session, {"id": message_id, "body": body, "what": "send"})

    assert isinstance(answer, Page)
    assert said in answer.shown["problem"]
    assert answer.shown["text"] == body
    assert deployed.again() == []


def test_nothing_is_edited_unseen(deployed: Deployed, hiding: Session) -> None:
    form = {"id": give_up(deployed, BODY), "body": "{}", "what": "send"}
    for attempt in (lambda: pages.edit(hiding, form), lambda: actions.edit(hiding, form)):
        look(hiding, "/dead-letters")
        with pytest.raises(OperationFailedError, match="--show-content"):
            cast("Callable[[], Any]", attempt)()
    assert deployed.again() == []


def test_one_is_discarded_with_a_note_and_not_without(deployed: Deployed, session: Session) -> None:
    message_id = give_up(deployed, BODY)
    look(session, "/dead-letters")
    with pytest.raises(UsageError, match="say why"):
        actions.discard(session, {"id": message_id, "note": " "})

    job = done(session, actions.discard(session, {"id": message_id, "note": "a test"}))

    assert job.state is State.DONE
    assert [(one["action"], one["note"]) for one in deployed.lines] == [("discard", "a test")]
    assert look(session, "/dead-letters").document["dead_letters"] == []


def test_a_message_is_sent_and_its_record_followed(deployed: Deployed, session: Session) -> None:
    job = done(session, actions.send(session, {"body": BODY}))

    (sent,) = deployed.queued()
    assert sent["Body"] == BODY
    assert job.records == [f"test-{sent['MessageId']}"]
    assert look(session, "/done/show", number=str(job.number)).document["outcomes"] == {
        job.records[0]: "on its way"
    }
    deployed.table.put_item(Item={"execution_id": job.records[0]})
    page = look(session, "/done/show", number=str(job.number))
    assert page.document["outcomes"] == {job.records[0]: "stored"}
    assert page.every == 0


def test_a_large_message_goes_as_a_claim_check(deployed: Deployed, session: Session) -> None:
    body = json.dumps({"record_id": "large", "text": "x" * 200_000})

    job = done(session, actions.send(session, {"body": body}))

    assert (job.state, job.records) == (State.DONE, ["large"])
    (sent,) = deployed.queued()
    place = json.loads(sent["Body"])[1]
    stored = deployed.s3.get_object(Bucket=place["s3BucketName"], Key=place["s3Key"])
    assert stored["Body"].read().decode() == body


@pytest.mark.parametrize("body", ["", "\x00", "x" * 1_048_577])
def test_what_cannot_be_sent_is_refused_before(
    body: str, deployed: Deployed, session: Session
) -> None:
    if len(body) > 1:
        assert done(session, actions.send(session, {"body": body})).state is State.DONE
        return
    with pytest.raises(UsageError):
        actions.send(session, {"body": body})
    assert deployed.queued() == []


def test_a_job_that_fails_says_why(session: Session) -> None:
    job = done(session, actions.stop_execution(session, {"arn": "none"}))

    assert job.state is State.FAILED
    assert job.error


def test_a_redrive_that_is_stopped_leaves_the_rest(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        give_up(deployed, BODY, message_id=f"m-{number}")
    look(session, "/dead-letters")
    start = session.jobs.start

    def stopping(title: str, command: str, back: str, work: Callable[[Job], None]) -> Job:
        def stopped(job: Job) -> None:
            job.stopping.set()
            work(job)

        return start(title, command, back, stopped)

    monkeypatch.setattr(session.jobs, "start", stopping)

    job = done(session, actions.redrive_letters(session, {"count": "25"}))

    assert job.state is State.STOPPED
    sent = len(deployed.again())
    assert sent == 10
    assert job.said == [f"sent {sent} of 25 messages", "stopped: 15 messages stay dead letters"]
    assert len(look(session, "/dead-letters").document["dead_letters"]) == 15


def test_a_record_is_found_and_its_story_told(deployed: Deployed, session: Session) -> None:
    message_id = give_up(deployed, BODY)
    deployed.table.put_item(Item={"execution_id": "test-m-1", "data_source": "X"})

    page = look(session, "/record", id=message_id)

    assert page.document["execution_id"] == "test-m-1"
    assert page.document["state"] == "stored, and a dead letter"
    assert page.shown["chapters"][-1].letter.message_id == message_id


def test_a_record_that_nobody_knows_is_a_sentence(session: Session) -> None:
    with pytest.raises(NotFoundError, match="no record 'nobody'"):
        look(session, "/record", id="nobody")


def test_a_file_is_shown_range_by_range_with_its_rejects_by_reason(
    deployed: Deployed, session: Session, hiding: Session
) -> None:
    put_entry(deployed, "test-input/input/a.csv", state="processing", size=100)
    entry = deployed.catalog.get_item(Key={"object": "test-input/input/a.csv"})["Item"]
    results = folder(cast("Any", entry))
    for start, rejects in ((0, 0), (40, 2)):
        name = f"{start:015d}.jsonl"
        noted = {"start": start, "end": start + 20, "rows": 5, "rejects": rejects}
        deployed.s3.put_object(
            Bucket="test-output",
            Key=f"{results}results/{name}",
            Body=b"{}\n",
            Metadata={name: str(value) for name, value in noted.items()},
        )
        reject = {"row": 1, "line": 2, "reason": {"message": "no sku"}, "raw": PRIVATE}
        lines = (json.dumps(reject) + "\n") * rejects
        deployed.s3.put_object(Bucket="test-output", Key=f"{results}rejects/{name}", Body=lines)

    page = look(session, "/files/show", object="input/a.csv")

    assert [(one["start"], one["end"]) for one in page.document["ranges"]] == [(0, 20), (40, 60)]
    assert page.document["reasons"] == {"no sku": 2}
    assert PRIVATE not in dumps(look(hiding, "/files/show", object="input/a.csv").document)
    shown, hidden = (
        browse(lambda b, of=of: b.ask("/files/show?object=input/a.csv"), of)  # type: ignore[misc]  # it is bound at once
        for of in (session, hiding)
    )
    assert PRIVATE.split()[1] in shown.text
    assert PRIVATE.split()[1] not in hidden.text
    download = "/files/download?object=input/a.csv&kind=rejects"
    assert browse(lambda b: b.ask(download), session).text.count("no sku") == 2
    refused = browse(lambda b: b.ask(download), hiding)
    assert refused.status == 409
    assert "--show-content" in refused.text


@pytest.mark.parametrize(
    ("path", "query", "said"),
    [
        ("/executions", {"status": "TIRED"}, "no status of an execution"),
        ("/executions", {"since": "soon"}, "no time"),
        ("/files", {"state": "lost"}, "no state of an object"),
        ("/files/show", {"object": "nothing"}, "is no object"),
        ("/files/show", {"object": "input/none.csv"}, "knows no object"),
        ("/cost", {"records": "many"}, "whole number"),
        ("/cost", {"records": "1", "batch_size": "0"}, "whole number"),
        ("/cost", {"records": "9" * 5000}, "whole number"),
        ("/dead-letters/show", {"id": "none"}, "no dead letter 'none'"),
        ("/dead-letters/redrive", {"stage": "none"}, "no dead letter is meant"),
        ("/done/show", {"number": "x"}, "has done nothing with the number"),
    ],
)
def test_what_is_asked_for_wrongly_is_a_sentence(
    path: str, query: dict[str, str], said: str, session: Session
) -> None:
    with pytest.raises(PipelinectlError, match=said):
        look(session, path, **query)


def test_the_command_goes_where_this_console_went(session: Session) -> None:
    options = Options("prod", profile="p q", region="eu-west-1", aws=True)

    assert replace(session, options=options).command("dlq", "list") == (
        "pipelinectl --stack-name prod --profile 'p q' --region eu-west-1 --aws dlq list"
    )


def test_the_overview_counts_what_lies_where(deployed: Deployed, session: Session) -> None:
    deployed.sqs.send_message(QueueUrl=deployed.queue_url, MessageBody="{}")
    give_up(deployed, BODY)
    look(session, "/dead-letters")

    page = look(session, "/overview")

    depths = {one["name"]: one["waiting"] for one in page.document["status"]["queues"]}
    assert depths == {"in": 1, "internal": 0, "dead": 1}
    assert page.document["dead_letters"] == 1
    assert "1 waiting" in page.shown["pictures"][0]
    assert page.shown["status"].running == (RUNNING,)


def test_pages_are_asked_for_side_by_side(deployed: Deployed, session: Session) -> None:
    give_up(deployed, BODY)
    look(session, "/dead-letters")

    async def visit(browser: Any) -> list[int]:
        paths = ("/overview", "/dead-letters", "/executions", "/files", "/record", "/done") * 5
        answers = await asyncio.gather(*(browser.ask(path) for path in paths))
        return [answer.status for answer in answers]

    assert set(browse(visit, session)) == {200}


def test_executions_say_what_became_of_their_records_and_read_an_ended_one_once(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = replace(RUNNING, arn="a/ended", status="SUCCEEDED", ended_at=RUNNING.started_at)
    read: list[str] = []

    def history(_: Executions, arn: str) -> Iterator[Any]:
        read.append(arn)
        return iter(())

    monkeypatch.setattr(Executions, "newest", lambda *_, **__: iter([RUNNING, ended]))
    monkeypatch.setattr(Executions, "history", history)
    counts = {"stored": 2, "dead letter": 1}
    monkeypatch.setattr("pipelinectl.commands.executions.fates_in", lambda *_: counts)

    page = look(session, "/executions")
    shown = browse(lambda b: b.ask("/executions"), session).text
    session._count()

    assert [one["records"] for one in page.document] == [counts, counts]
    assert "2 stored" in shown
    assert "1 dead letter" in shown
    assert read.count(ended.arn) == 1
    assert read.count(RUNNING.arn) >= 2
