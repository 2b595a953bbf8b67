"""The promises of the docs that a run looks at, each with how it is seen to hold."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipelinectl.dead_letters import DeadLetterQueue
from pipelinectl.redrive import Redrive
from pipelinectl.sending import Pace, Sender
from pipelinectl.verify import alarms
from pipelinectl.verify.judging import Line, Seen, Verdict, awaited, differs, holds, unseen
from pipelinectl.verify.seen import is_denial, said
from pipelinectl.verify.sent import (
    BROKEN_JSON,
    CLAIM_CHECK,
    COUNTS,
    DIRECT,
    IN_ORDER,
    INPUT_DOCUMENT,
    INPUT_FILE,
    MESSAGE,
    MESSAGES_OBJECT,
    MISSING_FIELDS,
    REDRIVEN,
    REFUSED_EVENT,
    REJECTED,
    REMOVED,
    SAME_RECORD,
    UPLOADS_API,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pipeline_core.objects import ObjectId
    from pipelinectl.dead_letters import DeadLetter
    from pipelinectl.items import Item
    from pipelinectl.verify.judging import Look, Run
    from pipelinectl.verify.seen import Execution

_DOCTOR = "ask 'pipelinectl doctor', and 'pipelinectl executions list' for what failed"
_LETTERS = "see 'pipelinectl dlq list'"
_QUEUE = "look at the dead-letter queue's policy and at the durable function's role"
STAGES = ("validate", "transform", "store")


def _place(run: Run, name: str) -> ObjectId:
    """The object that was sent as `name`."""
    return run.names.uploads[0] if name == UPLOADS_API else run.names.objects[name]


def _key(run: Run, name: str) -> str:
    """The key of the item that what was sent as `name` becomes."""
    if name in run.names.objects or name == UPLOADS_API:
        return _place(run, name).execution_id(run.deployed.environment)
    return run.names.record_id(name)


def _own_text(run: Run, name: str) -> str:
    """What an execution's input, or a dead letter, says of it and of nothing else."""
    if name in run.names.objects or name == UPLOADS_API:
        return _place(run, name).key
    return run.names.claim_check.key if name == CLAIM_CHECK else run.names.record_id(name)


def _item(name: str) -> Look:
    """It becomes an item with what was sent."""

    def look(run: Run) -> Seen:
        item = run.observed.item(_key(run, name))
        return _missing_item(run, name) if item is None else _judged(item, run.names.prefix)

    return look


def _group(run: Run) -> Seen:
    """The item has the group of its message: AWS documents it in events of FIFO queues only."""
    item = run.observed.item(_key(run, MESSAGE))
    return _missing_item(run, MESSAGE) if item is None else _judged_group(item, run.names.prefix)


def _judged_group(item: Item, group: str) -> Seen:
    if found := item.text("message_group_id"):
        told = f"item {item.execution_id} is in group {found}"
        return holds(told) if found == group else differs(f"{told}, sent in {group}", _DOCTOR)
    return differs(
        f"item {item.execution_id} is in no group, sent in {group}",
        "look in the execution's input for MessageGroupId: without it Lambda did not pass it on",
    )


def _in_order(run: Run) -> Seen:
    """What came through the FIFO door in one group was stored one after the other."""
    times: list[str] = []
    for name in IN_ORDER:
        item = run.observed.item(_key(run, name))
        if item is None:
            return _missing_item(run, name)
        times.append(item.text("stored_at") or "")
    if times != sorted(set(times)):
        return differs(f"stored at {', '.join(times)}", "look at the mapping of the FIFO queue")
    return holds(f"{len(times)} items, one after the other")


def _judged(item: Item, prefix: str) -> Seen:
    found = item.attributes.get("transformed_data") or item.attributes.get(
        "transformed_data_pointer"
    )
    if item.text("data_source") != prefix.upper() or not found:
        return differs(f"item {item.execution_id} is another than what was sent", _DOCTOR)
    return holds(f"item {item.execution_id}")


def _missing_item(run: Run, name: str) -> Seen:
    """Why there is no item, if that is known, which it may be before the time is up."""
    text = _own_text(run, name)
    for letter in run.observed.letters.values():
        if text in letter.body and letter.message_id != run.redriven:
            return differs(f"a dead letter: {letter.stage}, {letter.error_type}", _LETTERS)
    for execution in run.observed.executions_of(text):
        if denied := list(execution.denied()):
            return differs(f"no item: {', '.join(denied)} was denied", "give the role this right")
    return awaited(f"no item {_key(run, name)}", _DOCTOR)


def _file(run: Run) -> Seen:
    """Each row of a file is a result or a reject, and its manifest counts them."""
    folder = _place(run, INPUT_FILE).results_prefix
    s3, bucket = run.deployed.connection.s3, run.deployed.stack.output_bucket
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=folder).get("Contents", [])
    manifests = [one["Key"] for one in listed if one["Key"].endswith("/manifest.json")]
    if not manifests:
        missing = _missing_item(run, INPUT_FILE)
        return replace(missing, text=f"no manifest below {folder}; {missing.text}")

    def read(key: str) -> bytes:
        content: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return content

    return judged_file(json.loads(read(manifests[0])), read)


def judged_file(manifest: Mapping[str, Any], read: Callable[[str], bytes]) -> Seen:
    """The lines of results and rejects, and the manifest's counts, against what was sent."""
    lines = {
        kind: sum(len(read(part[f"{kind}_key"]).splitlines()) for part in manifest["parts"])
        for kind in ("results", "rejects")
    }
    right = {kind: COUNTS[kind] for kind in lines}
    counts = {name: manifest.get("counts", {}).get(name) for name in COUNTS}
    if (lines, counts) != (right, COUNTS):
        text = f"lines {lines}, manifest {counts}; right is {COUNTS}"
        return differs(text, "look at the objects in the output bucket")
    return holds("3 rows = 2 results + 1 reject, in their objects and in the manifest")


def _row_items(run: Run) -> Seen:
    """Each row that is no reject is an item, since the file asks for it."""
    right = COUNTS["results"]
    found = len(_rows_there(run, INPUT_FILE))
    if found == right:
        return holds(f"{found} items of {COUNTS['rows']} rows, of which one is a reject")
    remedy = "look at the log of the file function, and whether its role may invoke store"
    return awaited(f"{found} items of rows; right is {right}", remedy)


def _rows_there(run: Run, name: str) -> set[str]:
    keys = run.names.row_ids(name, run.deployed.environment)
    return {key for key in keys if run.observed.item(key)}


def _dead_letter(name: str, error_type: str, told: tuple[str, ...]) -> Look:
    """It is a dead letter that says where, what, every reason, by which execution, of which."""

    def look(run: Run) -> Seen:
        letter = run.observed.letter_of(name)
        if letter is None:
            return _missing_letter(run, name)
        wrong = list(_wrong(run, name, letter, error_type, told))
        if wrong:
            return differs("; ".join(wrong), _LETTERS)
        return holds(f"{letter.stage}, {letter.error_type}, {len(letter.errors)} reasons")

    return look


def _missing_letter(run: Run, name: str) -> Seen:
    if denied := run.observed.unreadable.get("dead letters"):
        return unseen(f"you may not read dead letters: {denied}")
    if run.observed.item(run.names.record_id(name)):
        return differs("an item, although its content is wrong", _DOCTOR)
    for execution in run.observed.executions_of(run.names.record_id(name)):
        if denials := list(execution.denied()):
            return differs(f"no dead letter: {', '.join(denials)} was denied", _QUEUE)
    return awaited(f"no dead letter of '{run.names.record_id(name)}'", _QUEUE)


def _wrong(
    run: Run, name: str, letter: DeadLetter, error_type: str, told: tuple[str, ...]
) -> Iterator[str]:
    """What a dead letter says that is not so, or leaves out."""
    if (letter.stage, letter.error_type) != ("validate", error_type):
        yield f"{letter.stage}, {letter.error_type}; right is validate, {error_type}"
    if unsaid := [field for field in told if not any(field in e for e in letter.errors)]:
        yield f"no reason names {', '.join(unsaid)}"
    if letter.original_message_id not in run.sent.message_ids.get(name, []):
        yield "original_message_id is not the message's"
    if letter.body != run.names.body(name):
        yield "the body is not what was sent"
    if not letter.durable_execution_arn:
        yield "no durable_execution_arn"


def _same_record(run: Run) -> Seen:
    """Sent twice with one record_id: one item, and none by either message id."""
    ids = run.sent.message_ids.get(SAME_RECORD, [])
    worked_on = [i for i in ids if any(e.ended for e in run.observed.executions_of(i))]
    others = [f"{run.deployed.environment}-{i}" for i in ids]
    if beside := [key for key in others if run.observed.item(key)]:
        return differs(f"items {', '.join(beside)} beside that of the record_id", _DOCTOR)
    if run.observed.item(_key(run, SAME_RECORD)) is None:
        return _missing_item(run, SAME_RECORD)
    if "executions" in run.observed.unreadable:
        return unseen(f"whether both were worked on: {run.observed.unreadable['executions']}")
    if len(worked_on) < len(ids):
        return awaited(f"one item; {len(worked_on)} of 2 messages worked on", _DOCTOR)
    return holds("both messages worked on, one item")


def _redriven(run: Run) -> Seen:
    """A dead letter that is sent again with another body becomes an item, and is gone."""
    letter = run.observed.letter_of(REDRIVEN)
    if letter is None:
        otherwise = Verdict.UNSEEN
        return replace(_missing_letter(run, REDRIVEN), otherwise=otherwise)
    if not run.redriven:
        return _redrive(run, letter)
    if run.observed.item(_key(run, REDRIVEN)) is None:
        return _missing_item(run, REDRIVEN)
    if letter.message_id not in run.observed.gone:
        return awaited("an item, and the dead letter is still there", _LETTERS)
    return holds(f"item {_key(run, REDRIVEN)}, and the dead letter is gone")


def _redrive(run: Run, letter: DeadLetter) -> Seen:
    stack, sqs = run.deployed.stack, run.deployed.connection.sqs
    redrive = Redrive(
        DeadLetterQueue.of(run.deployed.connection, stack),
        Sender(sqs, stack.internal_queue_url),
        run.deployed.audit,
        stack.environment,
        Pace(),
        lambda _: run.names.mended,
    )
    for _ in redrive.run([letter.message_id]):
        pass
    if refused := redrive.redriven.refused:
        return differs(f"SQS refused it: {refused[0].reason}", _QUEUE)
    if redrive.redriven.sent:
        run.redriven = letter.message_id
    return awaited("sent again", _DOCTOR)


def _removed(run: Run) -> Seen:
    """With an object go its item and its results, and the catalog says that it is deleted."""
    for name in REMOVED:
        if name not in run.removed and run.observed.item(_key(run, name)):
            place = _place(run, name)
            run.deployed.connection.s3.delete_object(Bucket=place.bucket, Key=place.key)
            run.removed.add(name)
    if len(run.removed) < len(REMOVED):
        text = f"of {len(run.removed)} of {len(REMOVED)} objects was anything made to be removed"
        return awaited(text, otherwise=Verdict.UNSEEN)
    if left := [text for name in REMOVED for text in _left_of(run, name)]:
        return awaited("; ".join(left), "look at the log of the cleanup function, and its queue")
    return holds("items and results of 3 removed objects are gone, the catalog says deleted")


def _left_of(run: Run, name: str) -> Iterator[str]:
    place, s3 = _place(run, name), run.deployed.connection.s3
    if run.observed.item(_key(run, name)):
        yield f"{place.key} is removed, and its item is there"
    if _rows_there(run, name):
        yield f"{place.key} is removed, and items of its rows are there"
    listed = s3.list_objects_v2(
        Bucket=run.deployed.stack.output_bucket, Prefix=place.results_prefix, MaxKeys=1
    )
    if listed.get("Contents"):
        yield f"{place.key} is removed, and its results are there"
    state = run.observed.entry(place).get("state", "unknown to it")
    if state != "deleted":
        yield f"the catalog says that {place.key} is {state}"


def _in_log(role: str, message: str, name: str, subscription: str) -> Look:
    """A function that a topic tells has heard of it: its log says so."""

    def look(run: Run) -> Seen:
        key = _place(run, name).key
        try:
            lines = run.observed.log_lines(role, key)
        except run.deployed.connection.logs.exceptions.ResourceNotFoundException:
            lines = []
        if any(line.get("message") == message for line in lines):
            return holds(f"the log of {role} says '{message}' of {key}")
        return awaited(f"the log of {role} does not name {key}", f"look at {subscription}")

    return look


def _notified(run: Run) -> Seen:
    """Only notify enters `done`, which it hears of from the topic of processing events."""
    states = {name: run.observed.entry(_place(run, name)) for name in (INPUT_DOCUMENT, INPUT_FILE)}
    said_of = {name: str(entry.get("state", "no entry")) for name, entry in states.items()}
    counted = states[INPUT_FILE].get("counts", {})
    counts = {name: counted.get(name) for name in COUNTS}
    if set(said_of.values()) != {"done"}:
        text = ", ".join(f"{name}: {state}" for name, state in said_of.items())
        remedy = "look at the subscription of the notify queue, and at the notify function's log"
        return awaited(f"the catalog says {text}", remedy)
    if counts != COUNTS:
        return differs(f"the catalog counts {counts}; right is {COUNTS}", _DOCTOR)
    return holds("the catalog says done of document and file, with the file's counts")


def _refused_event(run: Run) -> Seen:
    """An event that no queue brought and that failed as a whole is sent to the dead letters."""
    letter = run.observed.letter_of(REFUSED_EVENT)
    if letter is None:
        return _missing_letter(run, REFUSED_EVENT)
    if letter.request_id is None:
        return differs(f"its attributes are {sorted(letter.attributes)}", "send us the report")
    if json.loads(letter.body) != json.loads(run.names.refused_event):
        return differs("the body is not the event that was sent", "send us the report")
    return holds("the event as it was sent, with Lambda's own attributes")


def _timeline(run: Run) -> Seen:
    """The history of a rejected record's execution shows its stage, of a good one's all three."""
    if denied := run.observed.unreadable.get("executions"):
        return unseen(f"you may not read executions: {denied}")
    for name, stages in ((REJECTED, STAGES[:1]), (MESSAGE, STAGES)):
        if not _ended(run, name):
            return awaited(f"no execution of the {name} record has ended", _DOCTOR)
        # A record that failed at first has an execution for each of its deliveries.
        shown = _shown(run, name)
        if missing := [stage for stage in stages if stage not in shown]:
            text = f"no history of the {name} record's executions shows {', '.join(missing)}"
            return awaited(text, _DOCTOR)
    return holds("validate of the rejected record; three chained invokes of the good one")


def _shown(run: Run, name: str) -> set[str]:
    """The stages that went well, in any execution of what was sent as `name`."""
    found = run.observed.executions_of(run.names.record_id(name))
    stack_name = run.deployed.stack.name
    return {stage for one in found if one.ended for stage in succeeded(one, stack_name)}


def _ended(run: Run, name: str) -> bool:
    found = run.observed.executions_of(run.names.record_id(name))
    return any(one.ended for one in found)


def succeeded(execution: Execution, stack_name: str) -> set[str]:
    """The functions of the stack whose chained invokes went well."""
    operations = [operation for _, operation in execution.timeline.walk()]
    return {
        str(one.function_name)
        .rpartition(":function:")[2]
        .partition(":")[0]
        .removeprefix(f"{stack_name}-")
        for one in operations
        if one.kind == "ChainedInvoke" and one.status == "SUCCEEDED"
    }


def _code(run: Run) -> Seen:
    """The alias names the newest version, and that has the code that was deployed last."""
    functions = run.deployed.connection.lambda_
    name, _, alias = run.deployed.stack.durable_function_arn.partition(":function:")[2].partition(
        ":"
    )
    pages = functions.get_paginator("list_versions_by_function").paginate(FunctionName=name)
    hashes = {v["Version"]: v["CodeSha256"] for page in pages for v in page["Versions"]}
    found = functions.get_alias(FunctionName=name, Name=alias)
    weights = found.get("RoutingConfig", {}).get("AdditionalVersionWeights") or {}
    return judged_code(found["FunctionVersion"], sorted(weights), hashes)


def judged_code(live: str, beside: list[str], hashes: Mapping[str, str]) -> Seen:
    """`live` is the alias's version, `beside` get a share, `hashes` are of all versions."""
    newest = max((v for v in hashes if v.isdecimal()), key=int, default="none")
    remedy = "deploy again ('sam deploy' or 'pipelinectl local up')"
    if live != newest or beside:
        also = f" and {', '.join(beside)}" if beside else ""
        return differs(f"the alias is version {live}{also}, the newest is {newest}", remedy)
    if hashes[live] != hashes.get("$LATEST"):
        return differs(f"version {live} has other code than $LATEST", remedy)
    return holds(f"version {live}, the newest, with the code of $LATEST")


_AT_WORK = ("durable-pipeline", *STAGES, "csv-file", "catalog", "notify", "cleanup", "uploads")


def _permissions(run: Run) -> Seen:
    """No function was denied what it has to do: in its log, or in what the others heard of it."""
    if "executions" not in run.observed.unreadable and not _ended(run, MESSAGE):
        return awaited("no execution of the message record has ended", _DOCTOR)
    found = {d for one in run.observed.executions.values() for d in one.denied()}
    unread: list[str] = []
    for role in _AT_WORK:
        try:
            lines = run.observed.log_lines(role, "AccessDenied")
        except run.deployed.connection.logs.exceptions.ResourceNotFoundException:
            continue
        except run.deployed.connection.logs.exceptions.ClientError as error:
            if not is_denial(error):
                raise
            unread.append(said(error))
            continue
        if lines and not any(role in one for one in found):
            found.add(f"{role}: see its log")
    if found:
        return differs(f"denied: {', '.join(sorted(found))}", "give the role this right back")
    if unread:
        return unseen(f"nothing was denied in executions; you may not read logs: {unread[0]}")
    return holds(f"nothing was denied, in {len(run.observed.executions)} executions and 9 logs")


_DOOR = "docs/guides/choose-a-door.md"
_REDRIVE = "docs/guides/redrive-dead-letters.md"
_FAILURES = "docs/failure-modes.md"
_FILES = "docs/guides/files-and-results.md"
_OBSERVE = "docs/guides/observe.md"

LINES = (
    Line(MESSAGE, "a message becomes an item", _DOOR, (MESSAGE,), _item(MESSAGE)),
    Line(
        CLAIM_CHECK,
        "a message that points to its body in S3 becomes an item",
        "docs/guides/claim-checks.md",
        (CLAIM_CHECK,),
        _item(CLAIM_CHECK),
    ),
    Line(
        "message-group",
        "the item of a message has the group that it was sent in",
        "docs/guides/tenants.md",
        (MESSAGE,),
        _group,
        after=(MESSAGE,),
    ),
    Line(
        "in-order",
        "messages in one group of the FIFO door become items in the order sent",
        "docs/guides/keep-order.md",
        IN_ORDER,
        _in_order,
    ),
    Line(
        INPUT_DOCUMENT,
        "a document below input/ becomes an item",
        _DOOR,
        (INPUT_DOCUMENT,),
        _item(INPUT_DOCUMENT),
    ),
    Line(
        INPUT_FILE,
        "each row of a file below input/ is a result or a reject, and counted",
        _FILES,
        (INPUT_FILE,),
        _file,
    ),
    Line(
        "row-items",
        "a row of a file whose metadata ask for it is an item",
        _FILES,
        (INPUT_FILE,),
        _row_items,
        after=(INPUT_FILE,),
    ),
    Line(DIRECT, "a document below direct/ becomes an item", _DOOR, (DIRECT,), _item(DIRECT)),
    Line(
        MESSAGES_OBJECT,
        "a document below messages/ becomes an item",
        _DOOR,
        (MESSAGES_OBJECT,),
        _item(MESSAGES_OBJECT),
    ),
    Line(
        UPLOADS_API,
        "what is uploaded through the uploads API becomes an item",
        "docs/guides/uploads-api.md",
        (UPLOADS_API,),
        _item(UPLOADS_API),
    ),
    Line(
        REJECTED,
        "a wrong record is a dead letter with stage, error, every reason, execution and body",
        _FAILURES,
        (REJECTED,),
        _dead_letter(REJECTED, "ValidationError", MISSING_FIELDS),
    ),
    Line(
        BROKEN_JSON,
        "so is a body that is not JSON",
        _FAILURES,
        (BROKEN_JSON,),
        _dead_letter(BROKEN_JSON, "InvalidJson", ()),
    ),
    Line(
        SAME_RECORD,
        "a record that is sent twice is one item",
        _FAILURES,
        (SAME_RECORD,),
        _same_record,
    ),
    Line(
        REDRIVEN,
        "a dead letter that is corrected and redriven becomes an item, and is gone",
        _REDRIVE,
        (REDRIVEN,),
        _redriven,
    ),
    Line(
        "removed",
        "with a removed object go its item and results, and the catalog says deleted",
        _DOOR,
        REMOVED,
        _removed,
    ),
    Line(
        "catalogued",
        "the catalog hears of what is put below input/",
        _FAILURES,
        (INPUT_DOCUMENT,),
        _in_log("catalog", "entered", INPUT_DOCUMENT, "the subscription of the catalog queue"),
    ),
    Line(
        "notified",
        "what became of an object is told by the topic of processing events",
        _FAILURES,
        (INPUT_DOCUMENT, INPUT_FILE),
        _notified,
    ),
    Line(
        "cleanup-told",
        "cleanup hears of each object that is done, in case it was removed meanwhile",
        _FAILURES,
        (INPUT_DOCUMENT,),
        _in_log("cleanup", "cleaned up", INPUT_DOCUMENT, "the subscription of the cleanup queue"),
    ),
    Line(
        REFUSED_EVENT,
        "an event without a queue that fails as a whole is a dead letter of Lambda's",
        _FAILURES,
        (REFUSED_EVENT,),
        _refused_event,
    ),
    Line(
        "timeline",
        "an execution's history shows each stage",
        "docs/guides/send-and-inspect.md",
        (MESSAGE, REJECTED),
        _timeline,
    ),
    Line("code", "the alias has the version that was deployed last", _FAILURES, (), _code),
    Line(
        "permissions",
        "every function may do what it has to",
        _FAILURES,
        (MESSAGE,),
        _permissions,
        after=(
            *(MESSAGE, CLAIM_CHECK, INPUT_DOCUMENT, INPUT_FILE, DIRECT, MESSAGES_OBJECT),
            *(UPLOADS_API, REJECTED, BROKEN_JSON, SAME_RECORD, REDRIVEN, "removed"),
            *("catalogued", "notified", "cleanup-told", REFUSED_EVENT),
        ),
    ),
    Line(
        "own-metrics",
        "the functions write each metric of ours that an alarm looks at",
        _OBSERVE,
        (MESSAGE,),
        alarms.own,
    ),
    Line(
        "aws-metrics",
        "every other alarm looks at a metric that AWS documents, of a resource of the stack",
        _OBSERVE,
        (),
        alarms.documented,
    ),
    Line(
        "metrics-seen",
        "CloudWatch has the metric of each alarm",
        _OBSERVE,
        (),
        alarms.seen,
        after=(MESSAGE, REJECTED, REFUSED_EVENT),
    ),
)
"""All of them, in the order in which they are told."""
