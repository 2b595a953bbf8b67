"""Serves ranges of an object's versions, which ministack 1.5.33 gives out whole.

On AWS, a read of a part may name the version that it means. ministack's own interpreter imports
this module, so it imports nothing that is not in the standard library.
"""

from collections.abc import Callable, Mapping
from typing import Any

Response = tuple[int, dict[str, str], bytes]

_OK = 200
_PARTIAL = 206
_NOT_SATISFIABLE = 416
_INVALID_RANGE = (
    b"<?xml version='1.0' encoding='UTF-8'?>\n"
    b"<Error><Code>InvalidRange</Code>"
    b"<Message>The requested range is not satisfiable</Message></Error>"
)


def serving_ranges(
    get_object: Callable[..., Response],
    parse_range: Callable[[str, int], tuple[int, int] | None],
) -> Callable[..., Response]:
    """Return ministack's `get_object` so that it cuts what was asked for out of a whole answer.

    `parse_range` answers with the first and the last byte of a Range header for content of a
    size, or None for a range outside of it.
    """

    def get(bucket: str, key: str, headers: Mapping[str, str], *rest: Any) -> Response:
        status, answered, body = get_object(bucket, key, headers, *rest)
        wanted = headers.get("range")
        if status != _OK or not wanted:
            return status, answered, body
        return _cut(answered, body, parse_range(wanted, len(body)))

    return get


def _cut(headers: dict[str, str], body: bytes, found: tuple[int, int] | None) -> Response:
    if found is None:
        answered = {"Content-Type": "application/xml", "Content-Range": f"bytes */{len(body)}"}
        return _NOT_SATISFIABLE, answered, _INVALID_RANGE
    first, last = found
    part = body[first : last + 1]
    # A checksum is of the whole; clients compare it with what they get.
    kept = {k: v for k, v in headers.items() if not k.lower().startswith("x-amz-checksum-")}
    kept |= {
        "Content-Length": str(len(part)),
        "Content-Range": f"bytes {first}-{last}/{len(body)}",
    }
    return _PARTIAL, kept, part
