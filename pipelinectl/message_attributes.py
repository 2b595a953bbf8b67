"""Message attributes: in the form that SQS takes, and in the form that Lambda writes them in."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageAttributeValueOutputTypeDef

Attributes: TypeAlias = Mapping[str, "MessageAttributeValueOutputTypeDef"]
"""Attributes by name, in the form that SQS takes and gives."""


def string(value: str) -> MessageAttributeValueOutputTypeDef:
    """An attribute of text."""
    return {"DataType": "String", "StringValue": value}


def number(value: int) -> MessageAttributeValueOutputTypeDef:
    """An attribute that is a number."""
    return {"DataType": "Number", "StringValue": str(value)}


def texts(attributes: Attributes) -> dict[str, str]:
    """Those attributes that are text or number, as text."""
    return {n: value["StringValue"] for n, value in attributes.items() if "StringValue" in value}


def size(attributes: Attributes) -> int:
    """Bytes as SQS counts them: names, types and values."""
    return sum(
        len(name.encode())
        + len(value["DataType"].encode())
        + len(value.get("StringValue", "").encode())
        + len(value.get("BinaryValue", b""))
        for name, value in attributes.items()
    )


def from_event(name_to_value: Mapping[str, Any]) -> dict[str, MessageAttributeValueOutputTypeDef]:
    """Attributes in the form of a Lambda event, without those that hold nothing SQS would take."""
    read = {name: _from_event(value) for name, value in name_to_value.items()}
    return {name: value for name, value in read.items() if value is not None}


def to_event(attributes: Attributes) -> dict[str, dict[str, str]]:
    """Attributes in the form of a Lambda event."""
    return {name: _to_event(value) for name, value in attributes.items()}


def _to_event(value: MessageAttributeValueOutputTypeDef) -> dict[str, str]:
    if "BinaryValue" in value:
        content = base64.b64encode(value["BinaryValue"]).decode()
        return {"dataType": value["DataType"], "binaryValue": content}
    return {"dataType": value["DataType"], "stringValue": value.get("StringValue", "")}


def _from_event(value: Any) -> MessageAttributeValueOutputTypeDef | None:
    match value:
        case {"stringValue": str(text)}:
            return {"DataType": value.get("dataType", "String"), "StringValue": text}
        case {"binaryValue": str(text)}:
            return _binary(value.get("dataType", "Binary"), text)
    return None


def _binary(data_type: str, text: str) -> MessageAttributeValueOutputTypeDef | None:
    try:
        return {"DataType": data_type, "BinaryValue": base64.b64decode(text, validate=True)}
    except binascii.Error:
        return None
