"""What a producer asks for when it wants to upload something. Every request may be hostile."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from shared import exact_json
from uploads.errors import RequestRefused, TooLarge, UnsupportedContentType

SUFFIXES = {
    "application/json": ".json",
    "application/x-ndjson": ".jsonl",
    "text/csv": ".csv",
}
"""The suffix of the key, by content type: it says how the object is read."""

METADATA = ("processing-type", "data-source", "delimiter", "empty-cells")

EMPTY_CELLS = ("absent", "empty")

MAX_REQUEST_BYTES = 16 * 1024
MAX_METADATA_LENGTH = 256
MAX_QUOTED = 100

_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""Printable ASCII without blanks at its ends: all that arrives in a header as it was sent."""

_DELIMITER = re.compile(r"[!#-~]|tab")


@dataclass(frozen=True)
class UploadRequest:
    """An upload of ``size`` bytes; ``metadata`` becomes the object's, by name."""

    size: int
    content_type: str
    metadata: Mapping[str, str]

    @property
    def suffix(self) -> str:
        """The suffix of the object's key."""
        return SUFFIXES[self.content_type]


def parse(body: str, maximum_size: int) -> UploadRequest:
    """The request in the JSON text ``body``.

    Raises:
        RequestRefused: it breaks a rule; of `TooLarge` and `UnsupportedContentType` where that is
            the rule.
    """
    document = _document(body)
    return UploadRequest(
        size=_size(document.get("size"), maximum_size),
        content_type=_content_type(document.get("content_type")),
        metadata=_metadata(document.get("metadata", {})),
    )


def _document(body: str) -> Mapping[str, Any]:
    if len(body) > MAX_REQUEST_BYTES:
        raise TooLarge(
            f"the request has {len(body):,} characters and may have {MAX_REQUEST_BYTES:,}: "
            "send what is to be uploaded to the URL of the answer, not here"
        )
    try:
        document = exact_json.loads(body)
    except exact_json.JsonError as error:
        raise RequestRefused(
            f"the request's body: {error}: send an object with size and content_type"
        ) from None
    if not isinstance(document, dict):
        raise RequestRefused(
            "the request's body is no JSON object: send one with size and content_type"
        )
    _refuse_unknown(document, ("size", "content_type", "metadata"), "field")
    return document


def _size(size: Any, maximum: int) -> int:
    # A bool is an int to Python.
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise RequestRefused(
            f"size must be a whole number from 1 to {maximum}: "
            "give the exact number of bytes of the upload"
        )
    if size > maximum:
        raise TooLarge(
            f"size is more than {maximum} bytes, the most an upload may have: split the content, "
            "or put it into the input bucket"
        )
    return size


def _content_type(content_type: Any) -> str:
    if isinstance(content_type, str) and content_type in SUFFIXES:
        return content_type
    allowed = ", ".join(SUFFIXES)
    if not isinstance(content_type, str):
        raise RequestRefused(f"content_type must be text: give one of {allowed}")
    raise UnsupportedContentType(
        f"content_type {_quoted(content_type)} is none the pipeline processes: "
        f"give one of {allowed}, without parameters"
    )


def _metadata(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict):
        raise RequestRefused(f"metadata must be an object: give any of {', '.join(METADATA)}")
    _refuse_unknown(metadata, METADATA, "metadata")
    values = {name: _header_value(name, value) for name, value in metadata.items()}
    if "delimiter" in values and not _DELIMITER.fullmatch(values["delimiter"]):
        raise RequestRefused(
            "metadata.delimiter must be one character, no quote, or the word tab: give what "
            "separates the columns"
        )
    if values.get("empty-cells", EMPTY_CELLS[0]) not in EMPTY_CELLS:
        raise RequestRefused(f"metadata.empty-cells must be one of: {', '.join(EMPTY_CELLS)}")
    return values


def _header_value(name: str, value: Any) -> str:
    if (
        isinstance(value, str)
        and len(value) <= MAX_METADATA_LENGTH
        and _HEADER_VALUE.fullmatch(value)
    ):
        return value
    raise RequestRefused(
        f"metadata.{name} must be 1 to {MAX_METADATA_LENGTH} printable ASCII characters without "
        "blanks at its ends, as it travels in a header: shorten it, or encode it by RFC 2047"
    )


def _refuse_unknown(found: Collection[str], known: Collection[str], what: str) -> None:
    if unknown := sorted(set(found) - set(known)):
        raise RequestRefused(
            f"{what} {_quoted(unknown[0])} is unknown: leave it out, or give any of "
            f"{', '.join(known)}"
        )


def _quoted(text: str) -> str:
    return ascii(text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}...")
