"""AWS's quotas that the local cloud and the in-process tests hold, and what AWS says beyond them.

The one place of these figures; who enforces them where is in docs/limits.md. Requests are looked at
in the shape in which boto3 takes them. ministack's own interpreter imports this module, so it
imports nothing that is not in the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KIB = 1024
MIB = 1024 * KIB

# Durable executions:
# https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html#durable-functions-quotas
# and "How durable operations are metered", which says what is an operation and what is stored,
# https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-sdk.html
MAX_OPERATIONS = 3_000
MAX_STORED_BYTES = 100_000_000
# Of what a step or a child context answers. The service's words for the step are in the tests of
# AWS's SDKs; https://docs.aws.amazon.com/lambda/latest/dg/durable-execution-sdk.html has the figure
# for contexts.
MAX_RESULT_BYTES = 256 * KIB
# https://docs.aws.amazon.com/lambda/latest/api/API_OperationUpdate.html
MAX_PAYLOAD_BYTES = 6 * MIB
_IDENTIFIER = r"[a-zA-Z0-9-_]+"
OPERATION_FIELDS = {"id": (64, _IDENTIFIER), "parentId": (64, _IDENTIFIER)} | {
    "name": (256, r"[\x20-\x7E]+"),
    "subType": (32, _IDENTIFIER),
}
"""Of each field of an operation the most characters, and the pattern that it has to match."""
EXECUTION_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")
"""https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html"""

# Lambda: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_INPUT_BYTES = {"RequestResponse": 6 * MIB, "Event": MIB}
"""Of the input of an invocation, by its type."""
MAX_RESPONSE_BYTES = 6_291_556
MAX_UNZIPPED_BYTES = 250 * MIB
"""Of a function's code and its layers together."""
MAX_ENVIRONMENT_BYTES = 4 * KIB
FUNCTION_NAME = re.compile(r"[a-zA-Z0-9-_]{1,64}")

# SQS: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
MAX_MESSAGE_BYTES = MIB
"""Of a message with its attributes, and of all messages of one request together."""
MAX_BATCH_ENTRIES = 10
MAX_MESSAGE_ATTRIBUTES = 10
MAX_DELAY_SECONDS = 900
_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[a-zA-Z0-9_.-]{1,256}(?<!\.)")
_NO_CHARACTER_OF_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# SNS: https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
MAX_NOTIFICATION_BYTES = 256 * KIB
"""Of a notification with its attributes, and of all of one request together."""

# S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024

# DynamoDB: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_ITEM_BYTES = 400 * KIB
MAX_NESTING = 32
MAX_DIGITS = 38
MIN_EXPONENT, MAX_EXPONENT = -130, 125
MAX_BATCH_WRITES = 25
MAX_BATCH_GETS = 100
MAX_TRANSACTION_WRITES = 100
MAX_TRANSACTION_BYTES = 4 * MIB


@dataclass(frozen=True)
class Refusal:
    """What a service answers to a request beyond a quota: the error's code and words."""

    code: str
    message: str
    status: int = 400


def utf8_length(text: str) -> int:
    """Bytes of ``text`` in UTF-8; nothing is copied where all of it is ASCII."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def message_bytes(parameters: Mapping[str, Any], body: str = "MessageBody") -> int:
    """Bytes of a message of SQS or SNS: its body and the names, types and values of attributes."""
    attributes = (parameters.get("MessageAttributes") or {}).items()
    return utf8_length(parameters.get(body) or "") + sum(
        utf8_length(name) + sum(map(_length, value.values())) for name, value in attributes
    )


def refused_message(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SQS has against a message of SendMessage, or of SendMessageBatch."""
    attributes = parameters.get("MessageAttributes") or {}
    delay = parameters.get("DelaySeconds")
    if message_bytes(parameters) > MAX_MESSAGE_BYTES:
        why = f"Message must be shorter than {MAX_MESSAGE_BYTES} bytes."
        return _invalid(f"One or more parameters are invalid. Reason: {why}")
    if _NO_CHARACTER_OF_SQS.search(parameters.get("MessageBody") or ""):
        why = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to "
        return Refusal("InvalidMessageContents", f"{why}#xD7FF | #xE000 to #xFFFD | #x10000 to ...")
    if len(attributes) > MAX_MESSAGE_ATTRIBUTES:
        return _invalid(
            f"Number of message attributes [{len(attributes)}] exceeds the allowed maximum "
            f"[{MAX_MESSAGE_ATTRIBUTES}]."
        )
    if delay is not None and not 0 <= int(delay) <= MAX_DELAY_SECONDS:
        why = f"DelaySeconds must be >= 0 and <= {MAX_DELAY_SECONDS}."
        return _invalid(f"Value {delay} for parameter DelaySeconds is invalid. Reason: {why}")
    return next(filter(None, map(_refused_attribute, attributes, attributes.values())), None)


def refused_messages(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SQS has against a SendMessageBatch as a whole."""
    entries = parameters.get("Entries") or []
    if len(entries) > MAX_BATCH_ENTRIES:
        return Refusal(
            "TooManyEntriesInBatchRequest",
            f"Maximum number of entries per request are {MAX_BATCH_ENTRIES}. You have sent "
            f"{len(entries)}.",
        )
    total = sum(map(message_bytes, entries))
    if total > MAX_MESSAGE_BYTES:
        return Refusal(
            "BatchRequestTooLong",
            f"Batch requests cannot be longer than {MAX_MESSAGE_BYTES} bytes. You have sent "
            f"{total} bytes.",
        )
    return None


def refused_notification(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SNS has against a Publish."""
    if message_bytes(parameters, "Message") > MAX_NOTIFICATION_BYTES:
        return Refusal("InvalidParameter", "Invalid parameter: Message too long")
    return None


def refused_notifications(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SNS has against a PublishBatch as a whole."""
    entries = parameters.get("PublishBatchRequestEntries") or []
    if len(entries) > MAX_BATCH_ENTRIES:
        return Refusal(
            "TooManyEntriesInBatchRequest",
            "The batch request contains more entries than permissible.",
        )
    if sum(message_bytes(entry, "Message") for entry in entries) > MAX_NOTIFICATION_BYTES:
        return Refusal(
            "BatchRequestTooLong",
            "The length of all the messages in the batch put together is more than the limit.",
        )
    return None


def refused_key(parameters: Mapping[str, Any]) -> Refusal | None:
    """What S3 has against an object's key."""
    if utf8_length(parameters.get("Key") or "") > MAX_KEY_BYTES:
        return Refusal("KeyTooLongError", "Your key is too long")
    return None


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


def refused_environment(variables: Mapping[str, Any]) -> Refusal | None:
    """What Lambda has against a function's environment variables."""
    size = sum(utf8_length(name) + utf8_length(str(value)) for name, value in variables.items())
    if size > MAX_ENVIRONMENT_BYTES:
        return Refusal(
            "InvalidParameterValueException",
            "Lambda was unable to configure your environment variables because the environment "
            f"variables you have provided exceeded the 4KB limit: {', '.join(sorted(variables))} "
            f"have {size} bytes, of at most {MAX_ENVIRONMENT_BYTES}.",
        )
    return None


def response_too_large() -> dict[str, str]:
    """The error that Lambda answers in the place of a response above MAX_RESPONSE_BYTES."""
    return {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size "
        f"({MAX_RESPONSE_BYTES} bytes).",
    }


_CHECKS: dict[str, Callable[[Mapping[str, Any]], Refusal | None]] = {
    "sqs.SendMessage": refused_message,
    "sqs.SendMessageBatch": refused_messages,
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


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


def _not_valid(message: str) -> Refusal:
    return Refusal("ValidationException", message)


def _length(value: str | bytes | Collection[Any]) -> int:
    return utf8_length(value) if isinstance(value, str) else len(value)


def _refused_attribute(name: str, attribute: Mapping[str, Any]) -> Refusal | None:
    kind = attribute.get("DataType") or ""
    value = attribute.get("BinaryValue" if kind.startswith("Binary") else "StringValue")
    if not _ATTRIBUTE_NAME.fullmatch(name):
        return _invalid(f"Message attribute name '{name}' is not a name that SQS takes.")
    if not value:
        return _invalid(
            f"The message attribute '{name}' must contain non-empty message attribute value for "
            f"message attribute type '{kind}'."
        )
    if isinstance(value, str) and _NO_CHARACTER_OF_SQS.search(value):
        return _invalid(f"Message attribute '{name}' contains invalid characters.")
    return None


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
            return _length(content)
        case "N":
            return _number_bytes(content)
        case "M":
            return 3 + len(content) + item_bytes(content)
        case "L":
            return 3 + len(content) + sum(map(_value_bytes, content))
        case "SS" | "BS":
            return sum(map(_length, content))
        case "NS":
            return sum(map(_number_bytes, content))
    return 1
