"""The csv_file function with buckets by moto."""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import boto3
import pytest

from csv_file.handler import handler
from pipeline_core.objects import normalized_sequencer
from tests.integration.conftest import create_buckets

CONTEXT: Any = SimpleNamespace(
    function_name="csv-file",
    memory_limit_in_mb=1024,
    invoked_function_arn="arn:aws:lambda:us-east-1:000000000000:function:csv-file",
    aws_request_id="r-0",
)


@dataclass
class Function:
    """The function, and the buckets that it reads and writes."""

    s3: Any

    def put(self, key: str, content: bytes, bucket: str = "input", **metadata: str) -> Any:
        """The state of an object that was just put."""
        put = self.s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=content,
            Metadata={name.replace("_", "-"): value for name, value in metadata.items()},
        )
        state = {"bucket": bucket, "key": key, "etag": put["ETag"].strip('"'), "size": len(content)}
        if "VersionId" in put:
            state["version_id"] = put["VersionId"]
        return state | {"sequencer": normalized_sequencer("A1")}

    def plan(self, state: Any, at: Any = None, max_ranges: int = 100, range_bytes: int = 20) -> Any:
        event = {"from": at, "max_ranges": max_ranges, "range_bytes": range_bytes}
        return self.call(event | {"action": "plan", "object": state})

    def process(self, file: Any, work: Any) -> Any:
        return self.call({"action": "process", "object": file, "file": file, "range": work})

    def finish(self, file: Any, parts: Any, following: Any = None, arn: str = "arn:1") -> Any:
        event = {"file": file, "parts": parts, "next": following, "durable_execution_arn": arn}
        return self.call(event | {"action": "finish", "object": file})

    def call(self, event: dict[str, Any]) -> Any:
        """The answer as it travels: as JSON."""
        answer = handler(json.loads(json.dumps(event)), CONTEXT)
        assert answer["completed_at"].endswith("Z")
        return json.loads(json.dumps(answer))

    def execute(self, state: Any, at: Any = None, **settings: int) -> Any:
        """One execution: a plan, its ranges, the segment."""
        plan = self.plan(state, at, **settings)
        parts = [self.process(plan["file"], work)["part"] for work in plan["ranges"]]
        return self.finish(plan["file"], parts, plan["next"]) | {"next": plan["next"]}

    def work_through(self, state: Any, **settings: int) -> Any:
        """All executions of a file; the answer of the last finish."""
        finished = self.execute(state, **settings)
        while finished["next"]:
            finished = self.execute(state, finished["next"], **settings)
        return finished

    def written(self) -> dict[str, bytes]:
        """The content of every object in the output bucket, by key."""
        listing = self.s3.list_objects_v2(Bucket="output").get("Contents", [])
        return {item["Key"]: self.read(item["Key"]) for item in listing}

    def read(self, key: str) -> bytes:
        content: bytes = self.s3.get_object(Bucket="output", Key=key)["Body"].read()
        return content

    def lines(self, key: str) -> list[Any]:
        return [json.loads(line) for line in self.read(key).splitlines()]

    def all_lines(self, kind: str) -> list[Any]:
        """The results, or the rejects, that the manifest lists, in its order."""
        (key,) = [key for key in self.written() if key.endswith("/manifest.json")]
        parts = json.loads(self.read(key))["parts"]
        return [line for part in parts for line in self.lines(part[f"{kind}_key"])]


@pytest.fixture
def function(aws: None, monkeypatch: pytest.MonkeyPatch) -> Function:
    """The function, with a versioned bucket ``input``, and ``payloads`` and ``output``."""
    for name, value in {
        "ENVIRONMENT": "test",
        "OUTPUT_BUCKET": "output",
        "STACK_NAME": "stack",
    }.items():
        monkeypatch.setenv(name, value)
    create_buckets()
    return Function(boto3.client("s3"))
