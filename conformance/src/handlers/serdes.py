"""Serializers of our own, for values that are text: what each writes, it reads back."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from aws_durable_execution_sdk_python import BatchResult
from aws_durable_execution_sdk_python.concurrency.models import BatchItem, CompletionReason
from aws_durable_execution_sdk_python.config import BatchItemStatus
from aws_durable_execution_sdk_python.serdes import SerDes, SerDesContext


class Uppercase(SerDes[str]):
    """Writes text in capitals, and reads whatever text there is in capitals."""

    def serialize(self, value: str, _: SerDesContext) -> str:
        return value.upper()

    def deserialize(self, data: str, _: SerDesContext) -> str:
        return data.upper()


class UppercaseJson(SerDes[Any]):
    """Writes a document in capitals."""

    def serialize(self, value: Any, _: SerDesContext) -> str:
        return json.dumps(value).upper()

    def deserialize(self, data: str, _: SerDesContext) -> Any:
        return json.loads(data)


class Hexadecimal(SerDes[str]):
    """Writes the bytes of text as digits."""

    def serialize(self, value: str, _: SerDesContext) -> str:
        return value.encode().hex()

    def deserialize(self, data: str, _: SerDesContext) -> str:
        return bytes.fromhex(data).decode()


class Prefixed(SerDes[str]):
    """Writes ``wrapped:`` before text."""

    def serialize(self, value: str, _: SerDesContext) -> str:
        return f"wrapped:{value}"

    def deserialize(self, data: str, _: SerDesContext) -> str:
        return data.removeprefix("wrapped:")


class Enveloped(SerDes[Any]):
    """Writes a document as ``{"wrapped": document}``."""

    def serialize(self, value: Any, _: SerDesContext) -> str:
        return json.dumps({"wrapped": value})

    def deserialize(self, data: str, _: SerDesContext) -> Any:
        return json.loads(data)["wrapped"]


class Joined(SerDes[BatchResult[str]]):
    """Writes a batch that succeeded as ``OPSERDE:`` and its results, with commas between."""

    def serialize(self, value: BatchResult[str], _: SerDesContext) -> str:
        return f"OPSERDE:{','.join(value.get_results())}"

    def deserialize(self, data: str, _: SerDesContext) -> BatchResult[str]:
        results = data.removeprefix("OPSERDE:").split(",")
        items = [
            BatchItem(index, BatchItemStatus.SUCCEEDED, result=result)
            for index, result in enumerate(results)
        ]
        return BatchResult(items, CompletionReason.ALL_COMPLETED)


class Stamped(SerDes[dict[str, Any]]):
    """Reads a document whose ``timestamp``, in ISO 8601, becomes seconds since 1970."""

    def serialize(self, value: dict[str, Any], _: SerDesContext) -> str:
        return json.dumps(value)

    def deserialize(self, data: str, _: SerDesContext) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(data)
        moment = datetime.fromisoformat(document["timestamp"])
        return {**document, "timestamp": int(moment.timestamp())}


class Number(SerDes[int]):
    """Reads a whole number."""

    def serialize(self, value: int, _: SerDesContext) -> str:
        return str(value)

    def deserialize(self, data: str, _: SerDesContext) -> int:
        return int(data)
