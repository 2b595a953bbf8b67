"""The own stage: a function of whoever runs the pipeline, between transform and store.

It honours the contract of the stages. What it makes of a document takes the document's place, so
it is held here to the rules that transform keeps by itself.
"""

from __future__ import annotations

from typing import Literal, TypedDict

from pipeline_core import exact_json
from pipeline_core.contract import HEAD, Reason, Result, StageRecord, failed, rejected
from pipeline_core.sizes import MAX_TRANSFORMED_BYTES, POINTED_BYTES, checkpoint_size
from pipeline_core.values import value_at

NAME: Literal["enrich"] = "enrich"
"""In an execution's history, in outcomes, dead letters and metrics."""

VIOLATION = "ContractViolation"


class CalledStage(TypedDict):
    """A stage that rows of a file are sent to: the own stage, or store where they become items.

    ``seconds`` is how long one of its invocations may take.
    """

    function_arn: str
    seconds: int


class Took(TypedDict):
    """Invocations of such a stage for one range of a file, and their seconds, one after another.

    ``function_arn`` is whose.
    """

    function_arn: str
    invokes: int
    seconds: float


def checked(result: Result, record: StageRecord | None = None) -> Result:
    """``result``, if the pipeline may go by it; else what becomes of the record instead.

    A document that is too large for a ``record`` of its kind is rejected, since it stays so; a row
    of a file, which is in no checkpoint, is given as None. What breaks the contract is failed: the
    function may be mended before the record comes again.
    """
    match result["outcome"]:
        case "ok":
            return _checked_document(result, record)
        case "superseded" if record is None or "sequencer" not in record.get("pointer", {}):
            # It would be acknowledged, as if a later event told of it.
            return _wrong(result, "superseded of what is no object in S3")
    return result


def _checked_document(result: Result, record: StageRecord | None) -> Result:
    if "data" not in result:
        return _wrong(result, "a pointer without data") if "pointer" in result else result
    try:
        document = exact_json.loads(result["data"])
    except exact_json.JsonError as error:
        return _wrong(result, f"data that is no exact JSON: {error}")
    if not isinstance(document, dict):
        return _wrong(result, "data that is no JSON object")
    try:
        for name in HEAD:
            value_at(document, name, str)
    except ValueError as error:
        return _wrong(result, f"data whose {error}")
    most = _most_bytes(record)
    if most is not None and (size := checkpoint_size(result["data"])) > most:
        return _too_large(result["id"], size, most)
    return result


def _most_bytes(record: StageRecord | None) -> int | None:
    if record is None:
        return None
    return POINTED_BYTES if "pointer" in record else MAX_TRANSFORMED_BYTES


def _wrong(result: Result, what: str) -> Result:
    remedy = "docs/guides/add-a-stage.md says what it may answer"
    return failed(result["id"], VIOLATION, f"{NAME} answered {what}; {remedy}")


def _too_large(record_id: str, size: int, most: int) -> Result:
    message = (
        f"{NAME} answered {size} bytes of data; a record of its kind may have {most}. Have it put "
        "the document into S3 and answer with its head and a pointer"
    )
    reason: Reason = {"type": "RecordTooLarge", "message": message, "errors": [message]}
    return rejected(record_id, reason)
