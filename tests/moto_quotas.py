"""Clients that are held to AWS's quotas where moto is laxer.

Of SQS, SNS and S3 the rules are the local cloud's; ministack knows DynamoDB's by itself. Requests
are looked at in the shape in which boto3 takes them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from localcloud.quotas import (
    KIB,
    MAX_NOTIFICATION_BYTES,
    MIB,
    Refusal,
    length,
    message_bytes,
    refused_key,
    refused_message,
    refused_messages,
    refused_notifications,
    utf8_length,
)

# DynamoDB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_ITEM_BYTES = 400 * KIB
MAX_NESTING = 32
MAX_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
MAX_BATCH_WRITES = 25
MAX_BATCH_GETS = 100
MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * MIB


def refused_notification(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SNS has against a Publish."""
    if message_bytes(parameters, "Message") > MAX_NOTIFICATION_BYTES:
        return Refusal("InvalidParameter", "Invalid parameter: Message too long")
    return None


def refused_batch(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SQS has against a SendMessageBatch, or against one of its messages.

    SQS refuses that message alone; here the request fails, so that nothing passes unseen.
    """
    entries = parameters.get("Entries") or []
    return refused_messages(parameters) or next(filter(None, map(refused_message, entries)), None)


def refused_item(item: Mapping[str, Any]) -> Refusal | None:
    """What DynamoDB has against an item, in wire form, that is to be put into a table."""
    for kind, content in _values(item):
        why = _refused_number(content) if kind == "N" else None
        if why:
            return _not_valid(why)
    if max(map(_levels, item.values()), default=0) > MAX_NESTING:
        return _not_valid(
            "Nesting Levels have exceeded supported limits: Attributes in the item have nested "
            "levels beyond supported limit"
        )
    if item_bytes(item) > MAX_ITEM_BYTES:
        return _not_valid("Item size has exceeded the maximum allowed size")
    return None


def refused_batch_write(parameters: Mapping[str, Any]) -> Refusal | None:
    """What DynamoDB has against a BatchWriteItem."""
    writes = [write for some in parameters["RequestItems"].values() for write in some]
    items = [write["PutRequest"]["Item"] for write in writes if "PutRequest" in write]
    # 25 items cannot come to the 16 MB that a request may have.
    return _too_many("requestItems", len(writes), MAX_BATCH_WRITES) or next(
        filter(None, map(refused_item, items)), None
    )


def refused_batch_get(parameters: Mapping[str, Any]) -> Refusal | None:
    """What DynamoDB has against a BatchGetItem."""
    keys = [key for some in parameters["RequestItems"].values() for key in some["Keys"]]
    return _too_many("requestItems", len(keys), MAX_BATCH_GETS)


def refused_transaction(parameters: Mapping[str, Any]) -> Refusal | None:
    """What DynamoDB has against a TransactWriteItems."""
    parts = parameters["TransactItems"]
    items = [part["Put"]["Item"] for part in parts if "Put" in part]
    refusal = _too_many("transactItems", len(parts), MAX_TRANSACTION_WRITES) or next(
        filter(None, map(refused_item, items)), None
    )
    if refusal is None and sum(map(item_bytes, items)) > MAX_TRANSACTION_BYTES:
        return _not_valid("Transaction request exceeds the 4MB transaction size limit")
    return refusal


def item_bytes(item: Mapping[str, Any]) -> int:
    """Bytes of an item in wire form.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html;
    a number has about half a byte a digit, and one more.
    """
    return sum(utf8_length(name) + _value_bytes(value) for name, value in item.items())


_CHECKS: dict[str, Callable[[Mapping[str, Any]], Refusal | None]] = {
    "sqs.SendMessage": refused_message,
    "sqs.SendMessageBatch": refused_batch,
    "sns.Publish": refused_notification,
    "sns.PublishBatch": refused_notifications,
    "s3.PutObject": refused_key,
    "s3.CopyObject": refused_key,
    "s3.CreateMultipartUpload": refused_key,
    "dynamodb.PutItem": lambda parameters: refused_item(parameters["Item"]),
    "dynamodb.BatchWriteItem": refused_batch_write,
    "dynamodb.BatchGetItem": refused_batch_get,
    "dynamodb.TransactWriteItems": refused_transaction,
}
_CONTEXT_KEY = "localcloud_parameters"
_SQS_ERRORS = ("BatchRequestTooLong", "TooManyEntriesInBatchRequest")


def enforce_on_clients(events: Any) -> None:
    """Have clients refuse what AWS would: for a fake of AWS that is laxer, such as moto.

    `events` is the hook system of a boto3 session whose clients are not made yet. An error is
    raised as if AWS had answered with it.
    """
    for operation, check in _CHECKS.items():
        events.register(f"before-parameter-build.{operation}", _remember)
        events.register(f"before-call.{operation}", _answering(check))


@dataclass(frozen=True)
class _Response:
    """As much of a response as botocore looks at."""

    status_code: int


def _remember(params: Mapping[str, Any], context: dict[str, Any], **_: Any) -> None:
    # Python's values in it are yet to become DynamoDB's.
    context[_CONTEXT_KEY] = params


def _answering(check: Callable[[Mapping[str, Any]], Refusal | None]) -> Callable[..., Any]:
    def answer(model: Any, context: dict[str, Any], **_: Any) -> tuple[_Response, Any] | None:
        refusal = check(context.pop(_CONTEXT_KEY))
        return _answer(refusal, model.service_model.service_name) if refusal else None

    return answer


def _answer(refusal: Refusal, service: str) -> tuple[_Response, Any]:
    error = {"Code": refusal.code, "Message": refusal.message}
    if refusal.code in _SQS_ERRORS and service == "sqs":
        error |= {"Code": f"AWS.SimpleQueueService.{refusal.code}", "QueryErrorCode": refusal.code}
    return _Response(refusal.status), {
        "Error": error,
        "ResponseMetadata": {"HTTPStatusCode": refusal.status},
    }


def _not_valid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def _too_many(where: str, count: int, maximum: int) -> Refusal | None:
    if count <= maximum:
        return None
    return _not_valid(
        f"1 validation error detected: Value at '{where}' failed to satisfy constraint: Member "
        f"must have length less than or equal to {maximum}"
    )


def _values(item: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every value below an item, with its kind; of a set of numbers each."""
    for value in item.values():
        yield from _values_of(value)


def _values_of(value: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    ((kind, content),) = value.items()
    match kind:
        case "M":
            yield from _values(content)
        case "L":
            for element in content:
                yield from _values_of(element)
        case "NS":
            yield from (("N", number) for number in content)
        case _:
            yield kind, content


def _levels(value: Mapping[str, Any]) -> int:
    """Levels of an attribute: 1 for a scalar, 2 for a flat map or list."""
    ((kind, content),) = value.items()
    if kind == "M":
        return 1 + max(map(_levels, content.values()), default=0)
    if kind == "L":
        return 1 + max(map(_levels, content), default=0)
    return 1


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(?:[eE]([+-]?\d+))?")
_STORING = "Attempting to store a number with magnitude"


def _refused_number(text: str) -> str | None:
    match = _NUMBER.fullmatch(text)
    if match is None:
        return f"The parameter cannot be converted to a numeric value: {text}"
    whole, _, fraction = match[1].partition(".")
    digits = (whole + fraction).lstrip("0")
    leading = max(len(digits), 1) - 1 - len(fraction) + int(match[2] or 0)
    if len(digits.rstrip("0")) > MAX_DIGITS:
        return f"Attempting to store more than {MAX_DIGITS} significant digits in a Number"
    if digits and leading > MAX_EXPONENT:
        return f"Number overflow. {_STORING} larger than supported range"
    if digits and leading < MIN_EXPONENT:
        return f"Number underflow. {_STORING} smaller than supported range"
    return None


def _number_bytes(text: str) -> int:
    match = _NUMBER.fullmatch(text)
    digits = match[1].replace(".", "").strip("0") if match else text
    return (len(digits) + 1) // 2 + 1 + text.startswith("-")


def _value_bytes(value: Mapping[str, Any]) -> int:
    ((kind, content),) = value.items()
    match kind:
        case "S" | "B":
            return length(content)
        case "N":
            return _number_bytes(content)
        case "M":
            return 3 + len(content) + item_bytes(content)
        case "L":
            return 3 + len(content) + sum(map(_value_bytes, content))
        case "SS" | "BS":
            return sum(map(length, content))
        case "NS":
            return sum(map(_number_bytes, content))
    return 1
