"""What one durable execution did with one record, as its history tells."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pipeline_core import exact_json, objects
from pipeline_core.objects import ObjectId
from pipelinectl.dead_letters import identity_of
from pipelinectl.errors import OperationFailedError
from pipelinectl.redrive import as_letter, system_number
from pipelinectl.timeline import NoHistoryError, build_timeline, failure_of

if TYPE_CHECKING:
    from datetime import datetime

    from pipelinectl.timeline import Failure, Timeline

Fate = Literal["stored", "dead letter", "back", "sent on", "superseded", "running", "ended"]
"""What became of a record at the end of one delivery: an item, a dead letter, back to its queue,
sent on in a message of its own, superseded by what is newer; `running` where that is not decided
yet, and `ended` where the execution did without saying."""

KnownBy = Literal["item", "dead letter", "audit line", "input"]

CRASHED = "crashed"
RUNNING = "running"


@dataclass(frozen=True)
class StageOutcome:
    """What one invocation of a stage said of the record.

    `operation` is its name in the execution's timeline. `outcome` is the stage's word for it (ok,
    rejected, failed, superseded), `crashed` where the invocation ended without an answer, `running`
    where it has not ended. `reasons` are every single one.
    """

    stage: str
    operation: str
    outcome: str
    started_at: datetime
    ended_at: datetime | None = None
    error_type: str | None = None
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Delivery:
    """One execution that the record was delivered to, and how it fared there.

    `status` is the execution's, None where its history is not kept any more. `message_id` is that
    of the message that brought the record, `receive_count` how often that had been received by
    then, `queue` where it came from; S3's own invocations have neither. `known_by` says what led
    here. `failure` is the execution's.
    """

    arn: str
    known_by: KnownBy
    name: str | None = None
    status: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    message_id: str | None = None
    receive_count: int | None = None
    queue: str | None = None
    fate: Fate = "ended"
    stages: tuple[StageOutcome, ...] = ()
    failure: Failure | None = None


@dataclass(frozen=True)
class Delivered:
    """One record in the input of an execution, by the identity that can be told from there."""

    message_id: str
    execution_id: str
    receive_count: int | None = None
    queue: str | None = None


def delivered_in(payload: str, environment: str | None) -> list[Delivered]:
    """The records in an execution's input; none in what is no event of SQS's or S3's."""
    try:
        event = exact_json.loads(payload)
    except exact_json.JsonError:
        return []
    match event:
        case {"Records": [*entries]}:
            return [one for entry in entries if (one := _delivered(entry, environment))]
    return []


def _delivered(entry: Any, environment: str | None) -> Delivered | None:
    match entry:
        case {"messageId": str(), "body": str()}:
            return _of_sqs(entry, environment)
        case {"eventSource": objects.SOURCE}:
            return _of_s3(entry, environment)
    return None


def _of_sqs(entry: Mapping[str, Any], environment: str | None) -> Delivered | None:
    try:
        letter = as_letter(entry)
    except OperationFailedError:
        return None
    count = system_number(entry, "ApproximateReceiveCount")
    return Delivered(letter.message_id, identity_of(letter, environment), count, letter.source)


def _of_s3(entry: Any, environment: str | None) -> Delivered | None:
    """The record of an event that S3 sent without a queue between; its id is the pipeline's."""
    try:
        (event,) = objects.read_events({"Records": [entry]})
    except ValueError:
        return None
    object_id = ObjectId.of(event.state)
    identity = object_id.execution_id(environment or "")
    return Delivered(f"{event.state['sequencer']}-{object_id.name}", identity)


@dataclass(frozen=True)
class Wanted:
    """The record that is looked for: its key, and the ids of its messages as far as known."""

    execution_id: str
    message_ids: frozenset[str]

    def among(self, delivered: Iterable[Delivered]) -> list[Delivered]:
        """Those that are it."""
        return [
            one
            for one in delivered
            if one.execution_id == self.execution_id or one.message_id in self.message_ids
        ]


def deliveries_in(
    events: Sequence[Mapping[str, Any]],
    arn: str,
    known_by: KnownBy,
    wanted: Wanted,
    environment: str | None,
) -> list[Delivery]:
    """The deliveries of a record that a history tells of: most often one.

    Where the history does not have the record's message, or is not kept, there is one without.
    """
    try:
        timeline = build_timeline(events)
    except NoHistoryError:
        return [Delivery(arn, known_by)]
    found = wanted.among(delivered_in(_input(events), environment))
    base = Delivery(
        arn,
        known_by,
        name=timeline.name,
        status=timeline.status,
        started_at=timeline.started_at,
        ended_at=timeline.ended_at,
        failure=timeline.failure,
    )
    if not found:
        return [replace(base, fate="ended" if timeline.ended_at else "running")]
    return [_delivery(base, one, events, timeline) for one in found]


MOST_COUNTED = 100
"""So many records of one execution are told apart, at most, only to count them."""


def fates_in(events: Sequence[Mapping[str, Any]], environment: str | None) -> Counter[Fate] | None:
    """How many records of an execution became what; None where that is not to be had cheaply."""
    try:
        timeline = build_timeline(events)
    except NoHistoryError:
        return None
    delivered = delivered_in(_input(events), environment)
    if not 0 < len(delivered) <= MOST_COUNTED:
        return None
    ids = [one.message_id for one in delivered]
    return Counter(_fate(one, tuple(_stages(events, one)), events, timeline) for one in ids)


def _delivery(
    base: Delivery, one: Delivered, events: Sequence[Mapping[str, Any]], timeline: Timeline
) -> Delivery:
    stages = tuple(_stages(events, one.message_id))
    return replace(
        base,
        message_id=one.message_id,
        receive_count=one.receive_count,
        queue=one.queue,
        stages=stages,
        fate=_fate(one.message_id, stages, events, timeline),
    )


def _fate(
    message_id: str,
    stages: Sequence[StageOutcome],
    events: Sequence[Mapping[str, Any]],
    timeline: Timeline,
) -> Fate:
    last = stages[-1] if stages else None
    if last and (last.stage, last.outcome) == ("store", "ok"):
        return "stored"
    if timeline.ended_at is None:
        return "running"
    if last and last.outcome == "superseded":
        return "superseded"
    if message_id in _given_back(events):
        return "back"
    steps = {operation.name for _, operation in timeline.walk() if operation.kind == "Step"}
    went_wrong = last is not None and last.outcome != "ok"
    if "onwards" in steps and went_wrong and "dead-letters" not in steps:
        return "sent on"
    if steps & {"hand-over", "queue"} and not went_wrong:
        return "sent on"
    return "dead letter" if "dead-letters" in steps else "ended"


def _given_back(events: Sequence[Mapping[str, Any]]) -> set[str]:
    """The messages that the execution's answer has returned to their queue."""
    answer = _parsed(_payload(_last(events, "ExecutionSucceeded"), "Result"))
    match answer:
        case {"batchItemFailures": [*failures]}:
            return {one["itemIdentifier"] for one in failures if _has(one, "itemIdentifier")}
    return set()


def _has(value: Any, name: str, text: str | None = None) -> bool:
    """Whether `value` is an object with a text of this name: this text, if one is given."""
    found = value.get(name) if isinstance(value, dict) else None
    return isinstance(found, str) and text in (None, found)


def _input(events: Sequence[Mapping[str, Any]]) -> str:
    return _payload(_last(events, "ExecutionStarted"), "Input")


def _last(events: Sequence[Mapping[str, Any]], kind: str) -> Mapping[str, Any]:
    return next((event for event in reversed(events) if event["EventType"] == kind), {})


_CHAINED = "ChainedInvoke"
_CHUNK = re.compile(r"chunk-\d+ ")
_RANGES = "process"


def _stages(events: Sequence[Mapping[str, Any]], message_id: str) -> Iterator[StageOutcome]:
    """What each invocation of a stage said of the message's record, in order.

    Of a file's ranges, which may be hundreds, only those that were not processed.
    """
    ends = {
        event["Id"]: event
        for event in events
        if event["EventType"].startswith(_CHAINED) and not event["EventType"].endswith("Started")
    }
    for event in events:
        if event["EventType"] != f"{_CHAINED}Started":
            continue
        request = _request(event, message_id)
        if request is None:
            continue
        stage = _stage(event.get("Name", ""), request)
        outcome = _outcome(stage, event, ends.get(event["Id"]), message_id)
        if request.get("action") != _RANGES or outcome.outcome != "ok":
            yield outcome


def _request(event: Mapping[str, Any], message_id: str) -> Mapping[str, Any] | None:
    """What a stage was sent, if the message's record was there."""
    text = _payload(event, "Input")
    request = _parsed(text) if message_id in text else None
    match request:
        case {"records": [*records]} if any(_has(one, "id", message_id) for one in records):
            return request
        case {"message_id": str(own)} if own == message_id:
            return request
    return None


def _stage(operation: str, request: Mapping[str, Any]) -> str:
    if "action" in request:
        return f"csv_file {request['action']}"
    return _CHUNK.sub("", operation).partition(" ")[0]


def _outcome(
    stage: str, start: Mapping[str, Any], end: Mapping[str, Any] | None, message_id: str
) -> StageOutcome:
    began = StageOutcome(stage, start.get("Name", ""), RUNNING, start["EventTimestamp"])
    if end is None:
        return began
    began = replace(began, ended_at=end["EventTimestamp"])
    if failure := failure_of(end):
        told = tuple(filter(None, [failure.message]))
        return replace(began, outcome=CRASHED, error_type=failure.error_type, reasons=told)
    match _result(_parsed(_payload(end, "Result")), message_id):
        case {
            "outcome": str(outcome),
            "reason": {"type": str(kind), "message": str(message)} as why,
        }:
            errors = why.get("errors")
            reasons = tuple(map(str, errors if errors and isinstance(errors, list) else [message]))
            return replace(began, outcome=outcome, error_type=kind, reasons=reasons)
        case {"outcome": str(outcome)}:
            return replace(began, outcome=outcome)
    return replace(began, outcome=CRASHED)


def _result(answer: Any, message_id: str) -> Any:
    """What a stage's answer says of the record; the file function's is of one record only."""
    match answer:
        case {"results": [*results]}:
            return next((one for one in results if _has(one, "id", message_id)), None)
    return answer


def _payload(event: Mapping[str, Any], part: str) -> str:
    details = event.get(f"{event.get('EventType')}Details") or {}
    return str((details.get(part) or {}).get("Payload") or "")


def _parsed(text: str) -> Any:
    try:
        return exact_json.loads(text)
    except exact_json.JsonError:
        return None
