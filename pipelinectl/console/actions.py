"""What the console changes, as the commands do; without --allow-changes none can be reached."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Literal, TypeAlias
from urllib.parse import urlencode

from pipeline_core.messages import record_id_in
from pipelinectl import executions, local, redrive, sending
from pipelinectl.commands import dlq
from pipelinectl.commands.output import counted
from pipelinectl.commands.send import following, refusal, untold
from pipelinectl.console import pages
from pipelinectl.discard import Discard
from pipelinectl.doors import Doors, queues_of
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.executions import Executions
from pipelinectl.following import Followed, followed
from pipelinectl.reprocess import Kept, Reprocess, Waiting
from pipelinectl.sending import Body, Pace

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipelinectl.audit import Subject
    from pipelinectl.commands.context import Pipeline
    from pipelinectl.console.pages import Page
    from pipelinectl.console.session import Job, Session
    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.doors import DoorName
    from pipelinectl.doors import Mapping as DoorMapping
    from pipelinectl.redrive import Redelivery
    from pipelinectl.reprocess import Change

Form: TypeAlias = Mapping[str, str]
Answer: TypeAlias = "Job | Page"
"""Something that was begun, or a page that asks for more."""


def send(session: Session, form: Form) -> Answer:
    """Send one message, as a claim check where it is large."""
    text = _typed(form, "body")
    body = Body(text, "the message")
    sending.check([body], claim_checks_above=sending.DEFAULT_THRESHOLD)
    command = session.command("send", text if len(text) < _LONGEST_SHOWN else "-")

    def work(job: Job) -> None:
        pipeline = session.pipeline
        message: sending.Message = body
        if body.size > sending.DEFAULT_THRESHOLD:
            (message,) = pipeline.payloads.put_all([body])
        chosen = record_id_in(text)
        job.following = following(pipeline, [chosen] if chosen else [])
        outcome = pipeline.sender.send_batch([message])
        if outcome.refused:
            raise refusal(outcome.refused, "send it again")
        message_id = outcome.sent[0].message_id
        job.said.append(f"sent as message {message_id}")
        if (execution_id := _execution_id(session, message_id, text)) is not None:
            job.followed = [Followed(message_id, execution_id)]

    return session.jobs.start("Send a message", command, "/overview", work)


_LONGEST_SHOWN = 200


def _execution_id(session: Session, message_id: str, body: str) -> str | None:
    """Whose record a message is that was sent just now, by the rules for one that comes back."""
    stack = session.pipeline.stack
    event = {
        "Records": [{"messageId": message_id, "body": body, "eventSourceARN": stack.queue_url}]
    }
    (again,) = redrive.of_event(dumps(event), stack.environment)
    return again.execution_id


def redrive_letters(session: Session, form: Form) -> Answer:
    """Send dead letters again: one, or those of a filter, as many as were confirmed."""
    chosen = pages.chosen_letters(session, form)
    if str(len(chosen)) != form.get("count"):
        msg = (
            f"there were {form.get('count') or 'none'} when you looked and now there are "
            f"{len(chosen):,}: look again at what would be sent"
        )
        raise OperationFailedError(msg)
    plan = pages.redrive_plan(session, form)
    command = session.command(*(part for part in plan.command if part != "--dry-run"))
    title = f"Send {counted(len(chosen), 'dead letter')} again"
    return session.jobs.start(
        title, command, "/dead-letters", partial(_redrive, session, chosen, None, _note(form))
    )


def edit(session: Session, form: Form) -> Answer:
    """Show how an edited body differs; send it once that was seen."""
    letter = pages.find_letter(session, form)
    if not session.show_content:
        raise OperationFailedError(f"a body cannot be edited unseen, and it is {pages.HIDDEN}")
    text = _typed(form, "body")
    shown = dlq.readable(letter.body)
    if text in (shown, letter.body):
        return pages.edit_page(letter, text, problem="nothing is changed: change it, or go back")
    try:
        sending.check([Body(text, "the body")])
    except UsageError as error:
        return pages.edit_page(letter, text, problem=str(error))
    if form.get("what") != "send":
        return pages.edit_page(letter, text, difference=_difference(shown, text))
    command = session.command("dlq", "redrive", "--id", letter.message_id, "--edit")
    title = f"Send dead letter {letter.message_id[:8]} again, edited"
    return session.jobs.start(
        title, command, "/dead-letters", partial(_redrive, session, [letter], text, _note(form))
    )


def _difference(before: str, after: str) -> list[str]:
    """The lines that differ, with three around them, in the form of `diff -u`."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=3, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++"))]


def _redrive(
    session: Session, letters: Sequence[DeadLetter], body: str | None, note: str | None, job: Job
) -> None:
    """As `pipelinectl dlq redrive` does, while nobody else here reads the queue."""
    pipeline = session.pipeline
    job.total = len(letters)
    plan = redrive.Redrive(
        pipeline.dead_letters,
        pipeline.resender,
        pipeline.audit,
        pipeline.stack.environment,
        Pace(),
        None if body is None else lambda _: body,
        pipeline.read_payload,
        note,
        pipeline.resender_in_order,
    )
    redriven = plan.redriven
    job.following = following(pipeline, dlq.identities(pipeline, letters))
    try:
        wanted = [letter.message_id for letter in letters]
        with session.receiving, closing(plan.run(wanted)) as steps:
            for count in steps:
                job.done += count
                job.followed = followed(redriven.sent)
                if job.stopping.is_set():
                    break
    finally:
        _account(session, job, redriven)
    if redriven.refused:
        raise refusal(redriven.refused, "which stay dead letters")


def _tell_of_sent(job: Job, sent: Sequence[sending.Sent[Redelivery]]) -> None:
    job.followed = followed(sent)
    job.said.append(f"sent {len(sent):,} of {counted(job.total, 'message')}")
    if of_objects := len(sent) - len(job.followed):
        job.said.append(f"{counted(of_objects, 'message')} of objects: see Files")


def _account(session: Session, job: Job, redriven: redrive.Redriven) -> None:
    _tell_of_sent(job, redriven.sent)
    kept = set(redriven.not_deleted)
    gone = [s.message.origin for s in redriven.sent if s.message.origin not in kept]
    session.letters.correct(lambda known: known.without(gone))
    missing = job.total - len(redriven.sent) - len(redriven.refused) - len(redriven.left)
    if kept:
        count = counted(len(kept), "message")
        job.said.append(f"sent, but not deleted: {count}, which does no harm: the same record")
    if redriven.untold:
        job.said.append(untold(counted(len(redriven.untold), "message")))
    if missing and not job.stopping.is_set():
        job.said.append(f"{counted(missing, 'message')} gone, or held by another reader")
    if missing and job.stopping.is_set():
        job.said.append(f"stopped: {counted(missing, 'message')} stay dead letters")


def stop_execution(session: Session, form: Form) -> Answer:
    """Stop an execution that runs, for good."""
    arn = form.get("arn", "")

    def work(job: Job) -> None:
        pipeline = session.pipeline
        subject: Subject = {"durable_execution_arn": arn}
        stopped_at = pipeline.executions.stop(
            arn, lambda: pipeline.audit.before("stop", [subject], _note(form))
        )
        job.said.append(f"stopped at {stopped_at:%H:%M:%S}")
        job.said.append("its messages come back when their visibility timeout ends")

    command = session.command("executions", "stop", arn)
    return session.jobs.start("Stop an execution", command, _show_execution(arn), work)


def retry_execution(session: Session, form: Form) -> Answer:
    """Send all records of an execution that failed as a whole again."""
    arn = form.get("arn", "")

    def work(job: Job) -> None:
        pipeline = session.pipeline
        again = executions.messages(
            pipeline.executions.input_of(arn),
            pipeline.stack.environment,
            read=pipeline.read_payload,
        )
        job.total = len(again)
        job.following = following(pipeline, [one.execution_id for one in again if one.execution_id])
        pipeline.audit.before("retry", executions.subjects(again, arn), _note(form))
        _retry(pipeline, again, job)

    command = session.command("executions", "retry", arn)
    title = "Send the records of an execution again"
    return session.jobs.start(title, command, _show_execution(arn), work)


def _retry(pipeline: Pipeline, again: Sequence[Redelivery], job: Job) -> None:
    """Send them; when it is to stop, no more than are on their way already."""
    sent: list[sending.Sent[Redelivery]] = []
    refused: list[sending.Refused[Redelivery]] = []
    unnoted = 0
    wanted = itertools.takewhile(lambda _: not job.stopping.is_set(), again)
    try:
        for outcome in pipeline.resender_of(again).send(wanted):
            sent += outcome.sent
            refused += outcome.refused
            job.done = len(sent) + len(refused)
            if not pipeline.audit.after("retry", redrive.results_of(outcome)):
                unnoted += len(outcome.sent) + len(outcome.refused)
    finally:
        _tell_of_sent(job, sent)
        if unnoted:
            job.said.append(untold(counted(unnoted, "message")))
    if left := job.total - job.done:
        what = counted(left, "message")
        job.said.append(
            f"stopped: {what} not sent; retry it again to send all, as the same records"
        )
    if refused:
        raise refusal(refused, "retry the execution again")


def pause_execution(session: Session, form: Form) -> Answer:
    """Pause an execution at its next checkpoint."""
    return _switch_execution(session, form, "pause", Executions.pause)


def resume_execution(session: Session, form: Form) -> Answer:
    """Let a paused execution go on."""
    return _switch_execution(session, form, "resume", Executions.resume)


def _switch_execution(
    session: Session,
    form: Form,
    verb: Literal["pause", "resume"],
    switch: Callable[[Executions, str, str | None, Callable[[], None]], str],
) -> Answer:
    arn, note = form.get("arn", ""), _note(form)

    def work(job: Job) -> None:
        pipeline = session.pipeline
        noted = partial(pipeline.audit.before, verb, [{"durable_execution_arn": arn}], note)
        job.said.append(f"it is {switch(pipeline.executions, arn, note, noted)} now")

    command = session.command("executions", verb, arn)
    title = f"{verb.capitalize()} an execution"
    return session.jobs.start(title, command, _show_execution(arn), work)


def discard(session: Session, form: Form) -> Answer:
    """Delete one dead letter for good, with a note of why."""
    letter = pages.find_letter(session, form)
    note = _note(form)
    if note is None:
        raise UsageError("say why it is discarded: the note stands in the audit line")

    def work(job: Job) -> None:
        pipeline = session.pipeline
        plan = Discard(pipeline.dead_letters, pipeline.audit, pipeline.stack.environment, note)
        job.total = 1
        with session.receiving, closing(plan.run([letter.message_id])) as steps:
            for count in steps:
                job.done += count
        session.letters.correct(lambda known: known.without(plan.discarded.deleted))
        if not plan.discarded.deleted:
            msg = "it was gone, or held by another reader: look again in a moment"
            raise OperationFailedError(msg)
        job.said.append("deleted, with its audit line")

    short = letter.message_id[:8]
    command = session.command("dlq", "discard", short, "--note", note)
    return session.jobs.start(f"Discard dead letter {short}", command, "/dead-letters", work)


def reprocess(session: Session, form: Form) -> Answer:
    """Take one stored record through the pipeline again."""
    execution_id = form.get("id", "")

    def work(job: Job) -> None:
        with Kept() as kept:
            go(job, kept)

    def go(job: Job, kept: Kept) -> None:
        pipeline = session.pipeline
        plan = Reprocess(
            pipeline.items,
            pipeline.sources,
            pipeline.resender,
            pipeline.audit,
            Pace(),
            note=_note(form),
            kept=kept,
        )
        job.total = 1
        for count in plan.run([execution_id]):
            job.done += count
        for skipped in plan.done.skipped:
            raise OperationFailedError(f"it does not go again: {skipped.why}")
        if plan.done.untold:
            job.said.append(untold(counted(len(plan.done.untold), "record")))
        if plan.done.refused:
            raise refusal(plan.done.refused, "reprocess it again")
        if plan.done.gone:
            raise NotFoundError(f"no item '{execution_id}': it may have expired")
        job.said.append("sent; its item stays as it is until it is replaced")
        waiting = Waiting(
            pipeline.items,
            pipeline.sources,
            pipeline.dead_letters,
            clock=job.clock,
            held=session.receiving,
        )
        for change in waiting.changes(plan.done.sent, _PATIENCE_SECONDS):
            job.said.append(_told(change))

    command = session.command("reprocess", execution_id, "--wait")
    back = f"/record?{urlencode({'id': execution_id})}"
    return session.jobs.start(f"Reprocess {execution_id}", command, back, work)


_PATIENCE_SECONDS = 600


def _told(change: Change) -> str:
    """What became of a record, without its values, which may be hidden."""
    said = f"{change.what}: {', '.join(change.fields)}" if change.fields else change.what
    return f"{said} {change.reason}".rstrip()


def pause(session: Session, form: Form) -> Answer:
    """Pause the intake by a door, or all of it."""
    return _switch_doors(session, form, "pause", Doors.pause)


def resume(session: Session, form: Form) -> Answer:
    """Resume the intake by a door, or all of it."""
    return _switch_doors(session, form, "resume", Doors.resume)


def _switch_doors(
    session: Session,
    form: Form,
    verb: str,
    switch: Callable[[Doors, Sequence[DoorName]], list[DoorMapping]],
) -> Answer:
    door = form.get("door") or None
    names = queues_of(session.pipeline.stack)
    chosen = tuple(name for name in names if door in (None, name))
    if not chosen:
        raise UsageError(f"'{door}' is no door: choose one of {', '.join(names)}")

    def work(job: Job) -> None:
        pipeline = session.pipeline
        doors = Doors(pipeline.connection.lambda_, pipeline.stack, clock=job.clock)
        found = switch(doors, chosen)
        job.said += [f"{one.door}: {one.state}" for one in found]
        session.status.refresh()

    command = session.command(verb, *(["--door", door] if door else []))
    what = door or "the intake"
    return session.jobs.start(f"{verb.capitalize()} {what}", command, "/overview", work)


def _note(form: Form) -> str | None:
    return _typed(form, "note").strip() or None


def _show_execution(arn: str) -> str:
    return f"/executions/show?{urlencode({'arn': arn})}"


def kill(session: Session, form: Form) -> Answer:
    """Kill the workers of a function of the local cloud, or one of its processes."""
    target = form.get("target", "")
    machine = session.machine
    if machine is None:
        raise OperationFailedError("this console looks at AWS: only the local cloud is killed")

    def work(job: Job) -> None:
        killed = local.kill(machine, session.options.stack_name, target)
        if not killed:
            msg = f"nothing of '{target}' runs now: workers start when messages come"
            raise NotFoundError(msg)
        job.said.append(f"killed {', '.join(map(str, killed))}")

    command = session.command("local", "kill", target)
    return session.jobs.start(f"Kill {target}", command, "/local", work)


def stop_job(session: Session, form: Form) -> Answer:
    """Stop what the console does, where nothing is lost by it."""
    job = session.jobs.find(form.get("number", ""))
    job.stopping.set()
    return job


def _typed(form: Form, name: str) -> str:
    """Text from a field: browsers send each line's end as two characters."""
    return form.get(name, "").replace("\r\n", "\n")


ACTIONS: Mapping[str, Callable[[Session, Form], Answer]] = {
    "/send": send,
    "/dead-letters/redrive": redrive_letters,
    "/dead-letters/edit": edit,
    "/executions/stop": stop_execution,
    "/dead-letters/discard": discard,
    "/executions/retry": retry_execution,
    "/executions/pause": pause_execution,
    "/executions/resume": resume_execution,
    "/record/reprocess": reprocess,
    "/intake/pause": pause,
    "/intake/resume": resume,
    "/local/kill": kill,
    "/done/stop": stop_job,
}
"""Each change by the address that it is posted to."""
