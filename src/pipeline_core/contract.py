"""The contract between the durable function and its stages.

A stage takes ``{"durable_execution_arn": ..., "records": [StageRecord, ...]}`` and answers
``{"results": [Result, ...], "completed_at": ISO-8601}`` with exactly one result per record,
matched by record id. What a stage answers is checkpointed and paid for by the byte, so a stage
answers with data only where a later stage needs it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NotRequired, TypedDict, get_args

from aws_lambda_powertools import Logger

from pipeline_core.files import FileRow
from pipeline_core.objects import ObjectState, Pointer
from pipeline_core.sizes import answer_size

logger = Logger(child=True)

Outcome = Literal["ok", "rejected", "failed", "superseded"]

OUTCOMES: frozenset[str] = frozenset(get_args(Outcome))

MAX_ANSWER_BYTES = 900_000
"""Of a stage's answer by `answer_size`. A chained invoke takes 1 MiB; the rest is room for the
envelope."""

HEAD = ("data_source", "processing_type")
"""What the store stage needs of a transformed document that lies in S3, as text."""

MAX_ERRORS = 50
MAX_ERROR_CHARACTERS = 500
MAX_ERRORS_BYTES = 4_000
"""Of one record's errors by `answer_size`: 100 records of an answer have room for them twice, each
on its own and all in the message. A document with thousands of errors has one fault, not thousands.
"""

MAX_MESSAGE_CHARACTERS = 1_000
"""Of the message of a failure."""


class Reason(TypedDict):
    """Why a record was not stored: a type to group by, a sentence, and every single error."""

    type: str
    message: str
    errors: NotRequired[list[str]]


class StageRecord(TypedDict):
    """One record as a stage receives it: its JSON text, unparsed, or where that lies in S3.

    JSON travels as text because numbers must keep every digit: a JSON parser that makes floats
    of them, as Lambda's own does on the way in and out, would not give them back.

    ``body`` is the producer's text; a record has it, or a ``pointer`` to it, which a stage follows
    itself: what is large never travels through a checkpoint. A pointer with a ``sequencer`` is one
    of an S3 event; its object may have been replaced or removed since.

    The own stage (`pipeline_core.own_stage`) is also sent the ``execution_id`` and what transform
    made, as the store stage is.

    The store stage is also sent whose record it is: ``execution_id`` (the item's key),
    ``message_id``, ``sent_timestamp`` (milliseconds since 1970), ``by_producer`` (the producer
    chose the execution_id, so another message may have the same), ``replaces`` (``stored_at`` of
    the one item that a record processed again may replace), ``message_group_id`` (the group that
    its message is in, where it is in one), the transformed document as JSON text,
    and ``transformed_pointer`` where all of it lies in S3 and the text is only its head. It finds
    out itself where the ``original`` of a pointer stays. A ``row`` is sent as the ``body`` that it
    was, and says of which state of which object it is.
    """

    id: str
    body: NotRequired[str]
    pointer: NotRequired[Pointer | ObjectState]
    execution_id: NotRequired[str]
    message_id: NotRequired[str]
    sent_timestamp: NotRequired[int]
    by_producer: NotRequired[bool]
    replaces: NotRequired[str]
    message_group_id: NotRequired[str]
    row: NotRequired[FileRow]
    transformed: NotRequired[str]
    transformed_pointer: NotRequired[Pointer]
    original: NotRequired[Pointer]
    processed_at: NotRequired[str]


class StageRequest(TypedDict):
    """What a stage is invoked with. The execution's ARN is for logs, and for the item."""

    durable_execution_arn: NotRequired[str]
    records: Sequence[StageRecord]


class Result(TypedDict):
    """A stage's answer for one record: ok (with data or without), rejected, failed or superseded.

    ``data`` is JSON text for the stages that follow; with a rejection, of a record that is only a
    pointer, it is the identity that validate read. Where transform, or the own stage, answers only
    the head of a document too large to travel, ``pointer`` says where all of it lies. Where
    validate answers a ``pointer``, it is that of the record, pinned to the state that was read: it
    takes the place of the record's in what the later stages are sent, so that none of them reads
    another state.
    """

    id: str
    outcome: Outcome
    data: NotRequired[str]
    pointer: NotRequired[Pointer]
    reason: NotRequired[Reason]


class StageResponse(TypedDict):
    """A stage's answer for all records it was given."""

    results: list[Result]
    completed_at: str


class ContractViolation(ValueError):
    """A stage answered something else than one well-formed result per record."""


class InvalidRecord(ValueError):
    """A record is wrong and stays wrong: reject it, do not retry.

    Of very many errors the first are told, and how many there are more. ``data`` is JSON text of
    what is known of the record all the same, for the durable function.
    """

    def __init__(self, reason_type: str, errors: Sequence[str]) -> None:
        told = _bounded(errors)
        super().__init__("; ".join(told))
        self.reason: Reason = {"type": reason_type, "message": "; ".join(told), "errors": told}
        self.data: str | None = None


class Unavailable(Exception):
    """Something the record needs is not available this time; another attempt may succeed."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.type = error_type


class Superseded(Exception):
    """The object of the record was replaced or removed since; its newer event says what is now."""


def _bounded(errors: Sequence[str]) -> list[str]:
    told: list[str] = []
    room = MAX_ERRORS_BYTES
    for error in errors[:MAX_ERRORS]:
        text = shortened(error, MAX_ERROR_CHARACTERS)
        room -= answer_size(text)
        if room < 0:
            break
        told.append(text)
    if more := len(errors) - len(told):
        told.append(f"and {more} more")
    return told


def shortened(text: str, characters: int) -> str:
    """``text``, or as much of its beginning as fits with three dots."""
    return text if len(text) <= characters else f"{text[: characters - 3]}..."


def ok(record_id: str, data: str | None = None, pointer: Pointer | None = None) -> Result:
    """The record passed this stage; ``data`` is JSON text for the stages that follow."""
    result: Result = {"id": record_id, "outcome": "ok"}
    if data is not None:
        result["data"] = data
    if pointer is not None:
        result["pointer"] = pointer
    return result


def rejected(record_id: str, reason: Reason, data: str | None = None) -> Result:
    """The record is wrong and stays wrong; ``data`` is JSON text of what is known of it."""
    result: Result = {"id": record_id, "outcome": "rejected", "reason": reason}
    if data is not None:
        result["data"] = data
    return result


def failed(record_id: str, error_type: str, message: str) -> Result:
    """The record could not be processed this time; another attempt may succeed."""
    return {
        "id": record_id,
        "outcome": "failed",
        "reason": {"type": error_type, "message": shortened(message, MAX_MESSAGE_CHARACTERS)},
    }


def superseded(record_id: str) -> Result:
    """There is nothing to do for the record: its object is no longer as it was."""
    return {"id": record_id, "outcome": "superseded"}


def utc_now() -> str:
    """The time, ISO-8601 in UTC with microseconds. For stages only, never between checkpoints."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def respond(results: Iterable[Result]) -> StageResponse:
    """The answer of a stage. Its time is checkpointed: a clock that costs nothing."""
    return {"results": list(results), "completed_at": utc_now()}


def each(records: Iterable[StageRecord], process: Callable[[StageRecord], Result]) -> list[Result]:
    """Apply ``process`` to each record; what it raises is that record's result, and no other's.

    What is none of the above is a fault of the code that one record brought to light: that record
    fails, with the exception's type, and its neighbours go on.
    """
    return [_guarded(record, process) for record in records]


def _guarded(record: StageRecord, process: Callable[[StageRecord], Result]) -> Result:
    try:
        return process(record)
    except InvalidRecord as invalid:
        return rejected(record["id"], invalid.reason, invalid.data)
    except Unavailable as error:
        return failed(record["id"], error.type, str(error))
    except Superseded:
        return superseded(record["id"])
    except Exception as error:  # whatever its content raises is its own result, and no other's
        return _unexpected(record, error)


def _unexpected(record: StageRecord, error: Exception) -> Result:
    """The failure of ``record``, and where it happened in the log.

    Neither has the exception's message, which may quote the record.
    """
    error_type = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__, limit=-20)
    logger.error(
        "record failed",
        extra={
            "message_id": record["id"],
            "error_type": error_type,
            "traceback": "".join(frames.format()),
        },
    )
    place = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
    return failed(record["id"], error_type, f"{error_type} in {place}; the log has the traceback")


def check_response(response: object, ids: Collection[str]) -> dict[str, Result]:
    """The results by record id, if ``response`` honours the contract for the records ``ids``.

    Raises:
        ContractViolation: names the first thing that is wrong.
    """
    results = _results_of(response)
    by_id = {result["id"]: result for result in results}
    if len(by_id) != len(results):
        raise ContractViolation("more than one result for a record")
    if missing := set(ids) - by_id.keys():
        raise ContractViolation(f"no result for {len(missing)} records, such as {min(missing)}")
    if foreign := by_id.keys() - set(ids):
        raise ContractViolation(f"results for records it was not given, such as {min(foreign)}")
    return by_id


def _results_of(response: object) -> list[Result]:
    match response:
        case {"results": list(results), "completed_at": str()}:
            return [_checked(result) for result in results]
    raise ContractViolation("the answer is not an object with 'results' and 'completed_at'")


def _checked(result: Any) -> Result:
    match result:
        case {"id": str(), "outcome": "ok"} if _is_data(result):
            return _as_result(result)
        case {"id": str(), "outcome": "superseded"}:
            return _as_result(result)
        case {
            "id": str(),
            "outcome": "rejected" | "failed",
            "reason": {"type": str(), "message": str(), **rest},
        } if _are_errors(rest.get("errors", [])) and _is_data(result):
            return _as_result(result)
    raise ContractViolation(f"a result is malformed: {str(result)[:200]}")


def _is_data(result: Mapping[str, Any]) -> bool:
    if not isinstance(result.get("data", ""), str):
        return False
    match result.get("pointer", {"bucket": "", "key": ""}):
        case {"bucket": str(), "key": str()}:
            return True
    return False


def _are_errors(errors: object) -> bool:
    return isinstance(errors, list) and all(isinstance(error, str) for error in errors)


def _as_result(result: Mapping[str, Any]) -> Result:
    return {key: result[key] for key in Result.__annotations__ if key in result}  # type: ignore[return-value]  # its shape was just matched
