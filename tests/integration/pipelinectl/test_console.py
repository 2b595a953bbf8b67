"""Pages and changes of the console, on a stack in moto; what Lambda would say is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError

from pipelinectl.audit import Audit
from pipelinectl.aws import Connection, Options
from pipelinectl.console import actions, pages
from pipelinectl.console.pages import PAGES, WAIT, Page
from pipelinectl.console.session import Job, Session, State
from pipelinectl.console.snapshots import Seen
from pipelinectl.dead_letters import DeadLetterQueue, Held
from pipelinectl.deliveries import Delivery, Fate
from pipelinectl.errors import (
    NotFoundError,
    OperationFailedError,
    PipelinectlError,
    UnreachableError,
    UsageError,
)
from pipelinectl.exact_json import dumps
from pipelinectl.executions import Execution, ExecutionInput, Executions
from pipelinectl.items import Item
from pipelinectl.objects import folder
from pipelinectl.record import Life, Records, Searched
from pipelinectl.sending import Sender
from tests.events import s3_event, sqs_event, sqs_message
from tests.integration.pipelinectl.catalog_entries import put_entry
from tests.integration.pipelinectl.conftest import STACK_NAME, Deployed
from tests.integration.pipelinectl.giving_up import (
    ARN,
    ERRORS,
    FIRST_SENT,
    give_up,
    give_up_event,
    known_of,
)
from tests.unit.pipelinectl.console.browsing import OURS, asking, browse

PATIENCE = 600.0
NOW = datetime.now(UTC)
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
        answer = browse(asking(f"{address}?id={reference}&show_content=1"), hiding)
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
        answer = browse(asking(address), session)
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


def failed_with(monkeypatch: pytest.MonkeyPatch, *messages: Any) -> None:
    """The one execution that there is failed, and had these."""
    payload = json.dumps(sqs_event(*messages))
    monkeypatch.setattr(
        Executions, "input_of", lambda _, arn: ExecutionInput(arn, "FAILED", payload)
    )


# An act that sends one record of this id again, by what is called its action.
ACTS: dict[str, Callable[[Session], Job | Page]] = {
    "redrive": lambda session: actions.redrive_letters(session, {"count": "1"}),
    "retry": lambda session: actions.retry_execution(session, {"arn": ARN}),
    "reprocess": lambda session: actions.reprocess(session, {"id": "mine"}),
}
STORED: dict[str, Any] = {
    "execution_id": "mine",
    "message_id": "m-0",
    "sent_timestamp": FIRST_SENT - 1,
    "stored_at": "2026-01-01",
    "original_data": {},
    "transformed_data": {},
}


@pytest.fixture(params=ACTS)
def act(
    request: pytest.FixtureRequest,
    deployed: Deployed,
    session: Session,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Each act, of a record that has an item already."""
    deployed.table.put_item(Item=STORED)
    body = json.dumps({"record_id": "mine"})
    if request.param == "redrive":
        give_up(deployed, body, message_id="m-1")
    failed_with(monkeypatch, sqs_message(body, "m-1"))
    look(session, "/dead-letters")
    # It looks for dead letters at once, and only once.
    monkeypatch.setattr("pipelinectl.reprocess._LETTERS_SECONDS", 0)
    monkeypatch.setattr("pipelinectl.console.actions._PATIENCE_SECONDS", 0)
    return str(request.param)


@pytest.mark.parametrize("act", ["redrive", "retry"], indirect=True)
def test_what_was_stored_before_is_on_its_way_until_it_is_stored_anew(
    deployed: Deployed, session: Session, act: str
) -> None:
    job = done(session, ACTS[act](session))
    (again,) = deployed.again()

    before = look(session, "/done/show", number=str(job.number))
    deployed.table.put_item(Item=STORED | {"message_id": again["MessageId"], "stored_at": "now"})
    after = look(session, "/done/show", number=str(job.number))

    assert (before.document["outcomes"], before.every) == ({"mine": "on its way"}, 1)
    assert (after.document["outcomes"], after.every) == ({"mine": "stored"}, 0)


def test_a_message_whose_record_has_an_item_is_on_its_way_too(
    deployed: Deployed, session: Session
) -> None:
    deployed.table.put_item(Item=STORED)

    job = done(session, actions.send(session, {"body": '{"record_id": "mine"}'}))

    page = look(session, "/done/show", number=str(job.number))
    assert page.document["outcomes"] == {"mine": "on its way"}


@pytest.mark.parametrize("act", ["redrive", "retry"])
def test_what_tells_of_objects_is_no_record_to_be_waited_for(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    state: Any = {"bucket": "test-input", "key": "input/a.json", "sequencer": "0A"}
    event = json.dumps(s3_event(state))
    if act == "redrive":
        give_up_event(deployed, event)
    failed_with(monkeypatch, sqs_message(event, queue="stack-objects"))
    look(session, "/dead-letters")

    job = done(session, ACTS[act](session))
    page = look(session, "/done/show", number=str(job.number))

    assert (page.document["records"], page.document["outcomes"], page.every) == ([], {}, 0)
    assert job.said == ["sent 1 of 1 message", "1 message of objects: see Files"]
    assert len(deployed.again()) == 1


def test_a_page_is_not_asked_for_again_for_ever(deployed: Deployed, session: Session) -> None:
    job = done(session, actions.send(session, {"body": BODY}))
    assert look(session, "/done/show", number=str(job.number)).every == 1

    job.ended_at = datetime.now(UTC) - timedelta(hours=1)

    assert look(session, "/done/show", number=str(job.number)).every == 0


@pytest.mark.parametrize("act", ["redrive", "reprocess"], indirect=True)
def test_dead_letters_are_read_by_one_reader_at_a_time(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    reads: list[bool] = []
    receives = Held.receives

    def noting(held: Held, *count: int) -> Any:
        reads.append(session.receiving.locked())
        return receives(held, *count)

    monkeypatch.setattr(Held, "receives", noting)

    done(session, ACTS[act](session))

    assert reads
    assert all(reads)


def test_what_no_line_says_the_end_of_is_told(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch, act: str
) -> None:
    monkeypatch.setattr(Audit, "after", lambda *_: False)

    job = done(session, ACTS[act](session))

    what = "record" if act == "reprocess" else "message"
    assert f"of 1 {what} no audit line says how it ended: the log group took none" in job.said


def test_a_retry_that_is_stopped_accounts_for_what_it_sent(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed_with(monkeypatch, *(sqs_message("{}", f"m-{number}") for number in range(500)))
    send_batch = Sender.send_batch
    stopping: list[Job] = []

    def then_stop(sender: Sender, batch: Any) -> Any:
        stopping[0].stopping.set()
        return send_batch(sender, batch)

    monkeypatch.setattr(Sender, "send_batch", then_stop)
    start_all(session, monkeypatch, stopping.append)

    job = done(session, actions.retry_execution(session, {"arn": ARN}))

    assert job.state is State.STOPPED
    sent = sum(line.get("result") == "sent" for line in deployed.lines)
    assert 0 < sent < 500
    assert (job.done, len(job.records)) == (sent, sent)
    assert job.said == [
        f"sent {sent} of 500 messages",
        f"stopped: {500 - sent} messages not sent; retry it again to send all, as the same records",
    ]


def start_all(
    session: Session, monkeypatch: pytest.MonkeyPatch, before: Callable[[Job], object]
) -> None:
    """Do something to each job before it begins."""
    start = session.jobs.start

    def starting(title: str, command: str, back: str, work: Callable[[Job], None]) -> Job:
        def started(job: Job) -> None:
            before(job)
            work(job)

        return start(title, command, back, started)

    monkeypatch.setattr(session.jobs, "start", starting)


def test_a_redrive_that_is_stopped_leaves_the_rest(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(25):
        give_up(deployed, BODY, message_id=f"m-{number}")
    look(session, "/dead-letters")
    start_all(session, monkeypatch, lambda job: job.stopping.set())

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


@pytest.mark.parametrize("path", ["/record", "/dead-letters/show"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnreachableError("nobody answers: start it"), 503),
        (OperationFailedError("it does not work"), 409),
        (NotFoundError("nobody knows it"), 404),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": ""}}, "Scan"),
            502,
        ),
        (ZeroDivisionError("a defect"), 500),
    ],
)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_why_it_cannot_be_shown_is_told_as_it_is(
    session: Session, monkeypatch: pytest.MonkeyPatch, path: str, error: Exception, status: int
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(Records, "life", fail)
    monkeypatch.setattr(DeadLetterQueue, "read", fail)
    with pytest.raises(type(error)):
        look(session, path, id="mine")

    assert browse(lambda b: b.ask(f"{path}?id=mine"), session).status == status


def delivered(fate: Fate, at: datetime) -> Delivery:
    return Delivery("a/1", "input", started_at=at, fate=fate)


@pytest.mark.parametrize(
    ("life", "every"),
    [
        ({"item": Item({"execution_id": "mine"})}, 0),
        ({"deliveries": (delivered("dead letter", NOW),)}, 0),
        ({"deliveries": (delivered("running", NOW),)}, 5),
        ({"deliveries": (delivered("back", NOW - timedelta(hours=1)),)}, 180),
        ({"deliveries": (delivered("back", NOW - timedelta(days=9)),)}, 600),
        ({"item": Item({"execution_id": "m"}), "deliveries": (delivered("running", NOW),)}, 5),
    ],
)
def test_a_record_is_looked_for_again_only_while_it_goes_on_and_ever_more_seldom(
    life: dict[str, Any], every: int
) -> None:
    assert pages.soon(life_with(**life), NOW) == every


def life_with(**known: Any) -> Life:
    """A record of which there is just this."""
    nothing: dict[str, Any] = {
        "execution_id": "mine",
        "message_ids": (),
        "item": None,
        "dead_letters": (),
        "deliveries": (),
        "acts": (),
        "entry": None,
        "searched": Searched(),
    }
    return Life(**nothing | known)


def test_what_has_ended_is_looked_for_again_while_something_is_or_was_just_done(
    deployed: Deployed, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Seen(life_with(item=Item({"execution_id": "mine"})), NOW)

    def every(seen: Seen[Life]) -> int:
        monkeypatch.setattr(session, "life", lambda *_: seen)
        return look(session, "/record", id="mine").every

    assert every(known) == 0
    assert every(replace(known, asking=True)) == 1
    job = done(session, actions.send(session, {"body": BODY}))
    assert every(known) == 5
    job.ended_at = NOW - timedelta(hours=1)
    assert every(known) == 0


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
        browse(asking("/files/show?object=input/a.csv"), of) for of in (session, hiding)
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
