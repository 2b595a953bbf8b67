"""The answers for transformed records: with their documents, or with where those lie."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import simplejson

from shared import exact_json
from shared.contracts import (
    MAX_ANSWER_BYTES,
    Result,
    StageRecord,
    answer_size,
    checkpoint_size,
    each,
    ok,
)
from shared.payloads import folder_of, put_json

MAX_POINTED_BYTES = 32 * 1024
"""Of the transformed document of a record that is a pointer, in a checkpoint; a larger one goes to
S3 as well."""

MAX_INLINE_BYTES = 350_000
"""Of that of a record that came with its message: with what it was, one invoke of the store stage
has room for it."""

HEAD = ("data_source", "processing_type")
"""What the store stage needs of a document that lies in S3."""

_ENVELOPE_BYTES = 100
"""Of an answer, beside its results and the commas between them."""


def answer(record: StageRecord, document: dict[str, Any]) -> Result:
    """The result for ``record``: its ``document`` as JSON text, or the head of it and a pointer.

    Raises:
        Unavailable: S3 did not take the document.
    """
    text = simplejson.dumps(document, ensure_ascii=False, separators=(",", ":"))
    most = MAX_POINTED_BYTES if "pointer" in record else MAX_INLINE_BYTES
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
