"""Holds ministack 1.5.33 to the quotas of AWS that it does not know.

Its functions are wrapped where it looks them up. It refuses by itself items, batches and numbers
that DynamoDB would not take, notifications above 256 KB and code above 250 MB. ministack's own
interpreter imports this module, so it imports nothing that is not in the standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from localcloud import quotas
from localcloud.quotas import Refusal

_FUNCTION = "AWS::Lambda::Function"
# What the overlay adds to templates (see `overlay`), which is not there on AWS.
_OVERLAID_VARIABLES = ("LOCALCLOUD_", "MINISTACK_")
_TWIN_SUFFIX = "--handler"

Action = Callable[..., Any]


def hold_messages(sqs: Any) -> None:
    """Have SQS count attributes in, and look at them and at the delay."""

    def refuse(refusal: Refusal) -> Any:
        raise sqs._Err(refusal.code, refusal.message)  # noqa: SLF001 - no other way in

    for action, name, check in (
        ("SendMessage", "_act_send_message", quotas.refused_message),
        ("SendMessageBatch", "_act_send_message_batch", quotas.refused_messages),
    ):
        held = _checking(getattr(sqs, name), check, refuse)
        setattr(sqs, name, held)
        sqs._HANDLERS[action] = held  # noqa: SLF001 - no other way in


def hold_notifications(sns: Any) -> None:
    """Have SNS look at a batch as a whole."""

    def check(parameters: Any) -> Refusal | None:
        entries = sns._parse_batch_entries(parameters)  # noqa: SLF001 - no other way in
        named = [
            {"Message": entry["message"], "MessageAttributes": entry["message_attributes"]}
            for entry in entries
        ]
        return quotas.refused_notifications({"PublishBatchRequestEntries": named})

    def refuse(refusal: Refusal) -> Any:
        return sns._error(refusal.code, refusal.message, refusal.status)  # noqa: SLF001 - likewise

    sns._publish_batch = _checking(sns._publish_batch, check, refuse)  # noqa: SLF001 - likewise


def hold_keys(s3: Any) -> None:
    """Have S3 look at the keys of what is written."""
    for name in ("_put_object", "_copy_object", "_create_multipart_upload"):
        setattr(s3, name, _with_short_key(getattr(s3, name), s3))


def hold_functions(lambda_service: Any, provisioners: Any) -> None:
    """Have Lambda look at what functions answer, at their names and environment variables."""

    def refuse(refusal: Refusal) -> Any:
        return lambda_service.error_response_json(refusal.code, refusal.message, refusal.status)

    for name, position in (("_create_function", 0), ("_update_config", 1)):
        action = getattr(lambda_service, name)
        setattr(lambda_service, name, _checking(action, refused_function, refuse, position))
    invoke = "_execute_function_dispatch"
    setattr(lambda_service, invoke, answering_what_fits(getattr(lambda_service, invoke)))
    # CloudFormation makes functions past Lambda's API.
    create = "_lambda_create"
    held = _checking(getattr(provisioners, create), refused_function, _fail, 1)
    setattr(provisioners, create, held)
    provisioners._RESOURCE_HANDLERS[_FUNCTION]["create"] = held  # noqa: SLF001 - no other way in


def refused_function(properties: Mapping[str, Any]) -> Refusal | None:
    """What Lambda has against a function with these properties, without the overlay's."""
    name = str(properties.get("FunctionName", "function")).removesuffix(_TWIN_SUFFIX)
    if not quotas.FUNCTION_NAME.fullmatch(name):
        return Refusal(
            "ValidationException",
            f"1 validation error detected: Value '{name}' at 'functionName' failed to satisfy "
            f"constraint: Member must satisfy regular expression pattern: "
            f"{quotas.FUNCTION_NAME.pattern}",
        )
    variables = (properties.get("Environment") or {}).get("Variables") or {}
    own = {
        variable: value
        for variable, value in variables.items()
        if not variable.startswith(_OVERLAID_VARIABLES)
    }
    return quotas.refused_environment(own)


def answering_what_fits(invoke: Action) -> Action:
    """Return ministack's invocation of a function, with Lambda's error for too large an answer."""

    def answer(*arguments: Any) -> Any:
        result = invoke(*arguments)
        if result.get("error") or _response_bytes(result.get("body")) <= quotas.MAX_RESPONSE_BYTES:
            return result
        kept = {"log": result["log"]} if "log" in result else {}
        return {"body": quotas.response_too_large(), "error": True, **kept}

    return answer


def _checking(
    action: Action,
    check: Callable[[Any], Refusal | None],
    refuse: Callable[[Refusal], Any],
    position: int = 0,
) -> Action:
    """Return an action that refuses what the check has against its argument at `position`."""

    def checked(*arguments: Any) -> Any:
        refusal = check(arguments[position])
        return refuse(refusal) if refusal else action(*arguments)

    return checked


def _with_short_key(action: Action, s3: Any) -> Action:
    def write(bucket: str, key: str, *rest: Any) -> Any:
        refusal = quotas.refused_key({"Key": key})
        if refusal:
            return s3._error(refusal.code, refusal.message, refusal.status, key)  # noqa: SLF001 - no other way in
        return action(bucket, key, *rest)

    return write


def _fail(refusal: Refusal) -> Any:
    """Fail a stack's resource."""
    raise ValueError(f"{refusal.code}: {refusal.message}")


def _response_bytes(body: Any) -> int:
    if isinstance(body, (bytes, bytearray)):
        return len(body)
    # As Lambda's runtime and ministack write it.
    return quotas.utf8_length(json.dumps(body, ensure_ascii=False, default=str))
