"""Entry point of the transform stage, and how its answers are kept within what an invoke takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import simplejson
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline_core import exact_json
from pipeline_core.contract import (
    HEAD,
    MAX_ANSWER_BYTES,
    Result,
    StageRecord,
    StageResponse,
    each,
    ok,
    utc_now,
)
from pipeline_core.payloads import folder_of, put_json, text_of
from pipeline_core.sizes import (
    MAX_TRANSFORMED_BYTES,
    POINTED_BYTES,
    answer_size,
    checkpoint_size,
)
from pipeline_core.telemetry import answer_stage
from transform.processing_types import Document, processing_metadata, transform_document

logger = Logger(service="transform", use_rfc3339=True)  # or Lambda misjudges its level

_ENVELOPE_BYTES = 100
"""Of an answer, beside its results and the commas between them."""


def answer(record: StageRecord, document: dict[str, Any]) -> Result:
    """The result for ``record``: its ``document`` as JSON text, or the head of it and a pointer.

    Raises:
        Unavailable: S3 did not take the document.
    """
    text = simplejson.dumps(document, ensure_ascii=False, separators=(",", ":"))
    most = POINTED_BYTES if "pointer" in record else MAX_TRANSFORMED_BYTES
    if checkpoint_size(text) <= most:
        return ok(record["id"], text)
    return _put_aside(record, text)


def answers(
    records: Sequence[StageRecord], process: Callable[[StageRecord], Result]
) -> list[Result]:
    """The result of ``process`` for each of ``records``, all of which one answer has room for.

    If it has not, the largest documents go to S3, and the answer has their heads.
    """
    results = each(records, process)
    documents = {
        result["id"]: result["data"]
        for result in results
        if "data" in result and "pointer" not in result
    }

    def put_aside(record: StageRecord) -> Result:
        return _put_aside(record, documents[record["id"]])

    size = _ENVELOPE_BYTES + sum(map(_size, results))
    for index in sorted(range(len(records)), key=lambda index: -_size(results[index])):
        if size <= MAX_ANSWER_BYTES:
            break
        if records[index]["id"] in documents:
            size -= _size(results[index])
            (results[index],) = each([records[index]], put_aside)
            size += _size(results[index])
    return results


def _size(result: Result) -> int:
    return answer_size(result) + len(", ")


def _put_aside(record: StageRecord, text: str) -> Result:
    document = exact_json.loads(text)
    head = simplejson.dumps({name: document[name] for name in HEAD}, ensure_ascii=False)
    return ok(record["id"], head, put_json(f"{folder_of(record)}transformed.json", text))


def transform(record: StageRecord) -> Result:
    """The record's transformed document, with its source in upper case and processing metadata.

    Raises:
        InvalidRecord: its processing type has no function here, or the function refused it.
        InvalidRecord, Superseded, Unavailable: the content is not available (`text_of`).
    """
    document: Document = exact_json.loads(text_of(record))
    transformed = transform_document(document)
    transformed["processing_metadata"] = processing_metadata(transformed, utc_now())
    return answer(record, transformed)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> StageResponse:  # noqa: ARG001 - Lambda's signature
    """Transform ``event["records"]``; answers each one's transformed document."""
    return answer_stage(logger, event, lambda records: answers(records, transform))
