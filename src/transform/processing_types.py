"""The processing types: one function each, from a valid document to what is stored.

A new type is one JSON Schema in ``validate/schemas`` and one function here, in `PROCESSING_TYPES`.
The function gets the document with exact numbers (int and Decimal, never float) and returns a new
one; it may raise `InvalidRecord` with every reason why the record cannot be transformed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from shared import exact_json
from shared.contracts import InvalidRecord, Result, StageRecord, utc_now
from shared.payloads import text_of
from transform.answers import answer
from transform.order import transform_order

Document = dict[str, Any]


def transform_standard(document: Document) -> Document:
    """Any fields, kept as they are."""
    return document


PROCESSING_TYPES: Mapping[str, Callable[[Document], Document]] = {
    "order": transform_order,
    "standard": transform_standard,
}


def transform(record: StageRecord) -> Result:
    """The record's transformed document, with its source in upper case and processing metadata.

    Raises:
        InvalidRecord: its processing type has no function here, or the function refused it.
        InvalidRecord, Superseded, Unavailable: the content is not to be had (`text_of`).
    """
    document: Document = exact_json.loads(text_of(record))
    transformed = transform_document(document)
    transformed["processing_metadata"] = {
        "processing_type": transformed["processing_type"],
        "processed_at": utc_now(),
    }
    return answer(record, transformed)


def transform_document(document: Document) -> Document:
    """The transformed ``document``, with its source in upper case; the same for the same input.

    Raises:
        InvalidRecord: its processing type has no function here, or the function refused it.
    """
    processing_type = document["processing_type"]
    if processing_type not in PROCESSING_TYPES:
        known = ", ".join(PROCESSING_TYPES)
        raise InvalidRecord(
            "UnknownProcessingType",
            [f"processing_type {processing_type!r} cannot be transformed; known are: {known}"],
        )
    transformed = PROCESSING_TYPES[processing_type](document)
    return transformed | {"data_source": document["data_source"].upper()}
