"""What the tests of doors, claim checks and files ask of a deployed pipeline."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from pipeline_core.objects import ObjectId
from tests.e2e.conftest import PATIENCE, Stack
from tests.e2e.localcloud.support import wait_for


@dataclass(frozen=True)
class Objects:
    """The buckets, the catalog and the results of a deployed pipeline."""

    stack: Stack

    @property
    def input(self) -> str:
        """The bucket with the doors input/ and direct/."""
        return self.stack.outputs["InputBucketName"]

    @property
    def payloads(self) -> str:
        """The bucket with the door messages/, and for claim checks."""
        return self.stack.outputs["PayloadBucketName"]

    def put(self, key: str, body: str | bytes, bucket: str = "", **more: Any) -> Any:
        """Put an object; S3's answer."""
        s3 = self.stack.client("s3")
        return s3.put_object(Bucket=bucket or self.input, Key=key, Body=body, **more)

    def remove(self, key: str) -> None:
        """Remove an object from the input bucket."""
        self.stack.client("s3").delete_object(Bucket=self.input, Key=key)

    def item(self, key: str, bucket: str = "") -> dict[str, Any] | None:
        """The object's item, if it has one."""
        return self._get(
            self.stack.outputs["ProcessedDataTable"],
            {"execution_id": ObjectId(bucket or self.input, key).execution_id("test")},
        )

    def entry(self, key: str, bucket: str = "") -> dict[str, Any] | None:
        """The object's entry in the catalog, if it has one."""
        table = self.stack.outputs["ObjectCatalogTable"]
        return self._get(table, {"object": ObjectId(bucket or self.input, key).path})

    def wait_for_item(
        self, key: str, bucket: str = "", seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """The object's item, once it has one."""
        return wait_for(lambda: self.item(key, bucket), seconds)

    def wait_for_state(
        self, key: str, state: str, bucket: str = "", seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """The object's entry in the catalog, once it is in this state."""

        def reached() -> dict[str, Any] | None:
            entry = self.entry(key, bucket)
            return entry if entry and entry["state"] == state else None

        return wait_for(reached, seconds)

    def wait_for_later(self, key: str, sequencer: str) -> dict[str, Any]:
        """The object's entry in the catalog, once a later state of the object is done."""

        def reached() -> dict[str, Any] | None:
            entry = self.entry(key) or {}
            later = entry["sequencer"] > sequencer and entry["state"] == "done"
            return entry if later else None

        return wait_for(reached)

    def manifest(self, key: str) -> dict[str, Any]:
        """The manifest of a file that is done."""
        entry = self.entry(key) or {}
        document: dict[str, Any] = json.loads(self._read(entry["manifest"]["key"]))
        return document

    def rows(self, key: str, which: str = "results") -> Iterator[dict[str, Any]]:
        """The results or rejects of a file that is done, in order."""
        for part in self.manifest(key)["parts"]:
            for line in self._read(part[f"{which}_key"]).splitlines():
                yield json.loads(line)

    def row_items(self, key: str) -> dict[int, str]:
        """The note in each row's item of an object, by the row's number; none has two."""
        found: dict[int, str] = {}
        pages = self.stack.client("dynamodb").get_paginator("scan")
        for page in pages.paginate(
            TableName=self.stack.outputs["ProcessedDataTable"],
            FilterExpression="#object = :object AND attribute_exists(#row)",
            ExpressionAttributeNames={"#object": "object", "#row": "row"},
            ExpressionAttributeValues={":object": {"S": ObjectId(self.input, key).path}},
        ):
            for item in page["Items"]:
                number = int(item["row"]["N"])
                assert number not in found, f"two items are of row {number}"
                found[number] = item["transformed_data"]["M"]["note"]["S"]
        return found

    def derived(self, key: str) -> list[str]:
        """Keys of all that lies in the output bucket because of an object."""
        found = self.stack.client("s3").list_objects_v2(
            Bucket=self.stack.outputs["OutputBucketName"],
            Prefix=ObjectId(self.input, key).results_prefix,
        )
        return [entry["Key"] for entry in found.get("Contents", [])]

    def dead_letter_of(self, text: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The attributes of the dead letter whose body has ``text``."""

        def found() -> dict[str, Any] | None:
            for letter in self.stack.take_dead_letters():
                if text in letter["Body"]:
                    attributes = letter.get("MessageAttributes", {}).items()
                    return {name: value["StringValue"] for name, value in attributes}
            return None

        return wait_for(found, seconds)

    def _read(self, key: str) -> str:
        bucket = self.stack.outputs["OutputBucketName"]
        body: bytes = self.stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
        return body.decode()

    def _get(self, table: str, key: dict[str, str]) -> dict[str, Any] | None:
        response = self.stack.client("dynamodb").get_item(
            TableName=table,
            Key={name: {"S": value} for name, value in key.items()},
            ConsistentRead=True,
        )
        if "Item" not in response:
            return None
        deserialize = TypeDeserializer().deserialize
        return {name: deserialize(value) for name, value in response["Item"].items()}


def csv_of(rows: list[list[str]], **dialect: Any) -> str:
    """``rows`` as CSV text."""
    text = io.StringIO()
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue()


def executions_of(stack: Stack, key: str, since: datetime | None = None) -> list[Any]:
    """The histories of the executions that took part in a file, which was put after ``since``."""
    found = stack.client("lambda").list_durable_executions_by_function(
        FunctionName=stack.outputs["DurableFunctionArn"].rpartition(":")[0],
        MaxItems=200,
        **({"StartedAfter": since} if since else {}),
    )["DurableExecutions"]
    histories = [stack.cloud.history(e["DurableExecutionArn"]) for e in found]
    return [events for events in histories if key in json.dumps(events, default=str)]


def range_starts(histories: list[Any]) -> Counter[str]:
    """How often each range was begun."""
    return Counter(
        event["Name"].split(" attempt")[0]
        for events in histories
        for event in events
        if event["EventType"] == "ChainedInvokeStarted" and event["Name"].startswith("range ")
    )
