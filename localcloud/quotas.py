"""AWS's quotas that the local cloud holds, and what AWS says beyond them.

The one place of these figures; who enforces them where is in docs/limits.md. Requests are looked at
in the shape in which boto3 takes them. ministack's own interpreter imports this module, so it
imports nothing that is not in the standard library.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
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
MAX_OUTPUT_BYTES = {"RequestResponse": 6 * MIB, "Event": MIB}
"""Of the result of a durable execution, by the type of its invocation: API_GetDurableExecution."""
MAX_SYNCHRONOUS_SECONDS = 900
"""Of a function's ExecutionTimeout, for its synchronous invocations:
https://docs.aws.amazon.com/lambda/latest/dg/durable-invoking.html"""
MAX_ERROR_BYTES = MIB
"""Of all fields of an error together: API_StopDurableExecution."""
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
FIFO = ".fifo"
MAX_FIFO_BATCH = 10
"""https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-parameters.html"""
_GROUP_ID = re.compile(r"[!-~]{1,128}")
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""
_ATTRIBUTE_NAME = re.compile(r"(?!(?i:aws|amazon)\.)(?!\.)(?!.*\.\.)[a-zA-Z0-9_.-]{1,256}(?<!\.)")
_NO_CHARACTER_OF_SQS = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

# SNS: https://docs.aws.amazon.com/sns/latest/api/API_PublishBatch.html
MAX_NOTIFICATION_BYTES = 256 * KIB
"""Of a notification with its attributes, and of all of one request together."""

# S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
MAX_KEY_BYTES = 1024


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
        utf8_length(name) + sum(map(length, value.values())) for name, value in attributes
    )


def refused_message(parameters: Mapping[str, Any]) -> Refusal | None:
    """What SQS has against a message of SendMessage, or of SendMessageBatch."""
    attributes = parameters.get("MessageAttributes") or {}
    delay, group = parameters.get("DelaySeconds"), parameters.get("MessageGroupId")
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
    if group is not None and not _GROUP_ID.fullmatch(str(group)):
        why = "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128"
        return _invalid(
            f"Value {group} for parameter MessageGroupId is invalid. Reason: {why} in length."
        )
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


def refused_redrive_policy(name: str, policy: Any) -> Refusal | None:
    """What SQS has against where a queue of this name gives up to."""
    target = str(policy.get("deadLetterTargetArn") or "") if isinstance(policy, Mapping) else ""
    if not target or target.endswith(FIFO) is name.endswith(FIFO):
        return None
    return _invalid(
        f"Value {json.dumps(policy)} for parameter RedrivePolicy is invalid. Reason: Dead-letter "
        "queue must be same type of queue as the source."
    )


def refused_mapping(properties: Mapping[str, Any]) -> Refusal | None:
    """What Lambda has against an event source mapping with these properties."""
    if not str(properties.get("EventSourceArn") or "").endswith(FIFO):
        return None
    code = "InvalidParameterValueException"
    if int(properties.get("BatchSize") or 0) > MAX_FIFO_BATCH:
        return Refusal(
            code,
            f"Maximum batch size for FIFO queues is {MAX_FIFO_BATCH}: BatchSize is "
            f"{properties['BatchSize']}.",
        )
    if int(properties.get("MaximumBatchingWindowInSeconds") or 0):
        return Refusal(code, "Batching window is not supported for FIFO queues.")
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


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidParameterValue", message)


def length(value: str | bytes | Collection[Any]) -> int:
    """Bytes of a text or of bytes; elements of a collection."""
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
