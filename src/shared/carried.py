"""What a message in one of the pipeline's own queues carries along with its body.

The queue that anybody may send to takes documents, and believes nothing that is said about them.
Whose record a message is, and how old, is only read in the queues that the pipeline and its
operators send to: it stands in one attribute, so that the ten that SQS allows stay the producer's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

ATTRIBUTE = "durable_pipeline.record"
"""The name of the message attribute, of type String; its value is a `Carried` as JSON."""

Door = Literal["messages", "objects"]
"""Where a record came in: the queue that anybody may send to, or S3."""


class Cursor(TypedDict):
    """Where the next row of a file starts: its byte, its number, and its physical line."""

    offset: int
    row: int
    line: int


class Carried(TypedDict):
    """What is known of a record that is sent again, or handed over; all of it is optional.

    ``execution_id`` is the key of its item, ``sent_timestamp`` when its producer sent it, in
    milliseconds since 1970. ``door`` is where it came in: its body is read by that door's rules, so
    that nothing is believed of it now that was not then; without one by those of either.
    ``handed_over`` counts how often the pipeline itself has sent it on because of its neighbours.
    ``offloaded`` says that the body is a pointer that the pipeline has put in the body's place.
    ``continue_from`` is where a follow-up execution goes on in a file. ``message_attributes`` are
    the producer's, as Lambda has them in an event.
    """

    execution_id: NotRequired[str]
    sent_timestamp: NotRequired[int]
    door: NotRequired[Door]
    handed_over: NotRequired[int]
    offloaded: NotRequired[Literal[True]]
    continue_from: NotRequired[Cursor]
    message_attributes: NotRequired[Mapping[str, Any]]


def attributes(carried: Carried) -> dict[str, Any]:
    """The message attributes of a message that carries ``carried``, as SendMessage takes them."""
    text = json.dumps(carried, ensure_ascii=False, separators=(",", ":"))
    return {ATTRIBUTE: {"DataType": "String", "StringValue": text}}
