"""Durable functions and stages that leave marks on disk, so that tests see what ran when.

An event's `marks` is a directory: each run of a stage appends a line to the file of its name
there, and a run told to wait goes on when the file `release` appears.
"""

import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from aws_durable_execution_sdk_python import (
    DurableContext,
    InvokeError,
    StepContext,
    durable_execution,
)
from aws_durable_execution_sdk_python.config import CallbackConfig, Duration
from botocore.exceptions import ClientError

_LONGEST_WAIT_SECONDS = 100
_ATTEMPTS = 3


@durable_execution
def chain(event: dict[str, Any], context: DurableContext) -> Any:
    """Run the first stage, then the second; answer a batch of messages message by message."""
    if "Records" in event:
        return {"batchItemFailures": _failures(event, context)}
    result: Any = context.invoke(os.environ["FIRST"], event, name="first")
    if "step_bytes" in event:
        context.step(lambda _: "x" * (event["step_bytes"] - len('""')), name="large")
    if event.get("wait_in_handler"):
        context.step(lambda _: _run("step", event, wait=True), name="step")
    return {"first": result, "second": _second(event, context)}


@durable_execution
def approval(event: dict[str, Any], context: DurableContext) -> Any:
    """Wait for somebody to send the callback's result."""
    callback = context.create_callback(name="approval")
    return {"approved": callback.result()}


@durable_execution
def unsaved(event: dict[str, Any], context: DurableContext) -> Any:
    """Try to checkpoint one step."""
    return context.step(lambda _: "done", name="step")


@durable_execution
def deeds(event: dict[str, Any], context: DurableContext) -> Any:
    """Do what the event says, one thing."""
    match event:
        case {"say": word}:
            logging.getLogger().info("said %s", word, extra={"word": word})
            return word
        case {"answer": size}:
            return "x" * (size - len('""'))
        case {"callback": limits}:
            config = CallbackConfig(
                timeout=Duration.from_seconds(limits.get("timeout", 0)),
                heartbeat_timeout=Duration.from_seconds(limits.get("heartbeat", 0)),
            )
            answer = context.create_callback(name="answer", config=config).result()
            return {"answer": answer, "edition": os.environ["EDITION"]}
        case {"steps": count}:
            return [context.step(_answering(n), name=f"step-{n}") for n in range(count)]
        case {"invoke": function, "payload": payload}:
            return context.invoke(function, payload, name="child")
        case {"sleep": seconds}:
            time.sleep(seconds)
        case {"exit": code}:
            os._exit(code)
    seen: Any = context.lambda_context
    return {
        "name": seen.function_name,
        "version": seen.function_version,
        "arn": seen.invoked_function_arn,
    }


def crowded(event: dict[str, Any], context: object) -> dict[str, str]:
    """Checkpoint as many operations at once as the input says; answer what came of it."""
    execution = event["InitialExecutionState"]["Operations"][0]["ExecutionDetails"]
    count = json.loads(execution["InputPayload"])["operations"]
    client: Any = boto3.client("lambda")
    try:
        client.checkpoint_durable_execution(
            DurableExecutionArn=event["DurableExecutionArn"],
            CheckpointToken=event["CheckpointToken"],
            Updates=[{"Id": str(n), "Type": "STEP", "Action": "START"} for n in range(count)],
        )
    except ClientError as error:
        return {"Status": "SUCCEEDED", "Result": json.dumps(error.response["Error"])}
    return {"Status": "SUCCEEDED", "Result": json.dumps({"Code": None})}


def first(event: dict[str, Any], context: object) -> str:
    """Leave a mark; answer as many bytes as the event says, or the process, if it does."""
    if event.get("tell_process"):
        return str(os.getpid())
    if "answer_bytes" in event:
        return "x" * (int(event["answer_bytes"]) - len('""'))
    return _run("first", event, wait=False)


def second(event: dict[str, Any], context: object) -> str:
    """Leave a mark, then wait if told to."""
    return _run("second", event, wait=bool(event.get("wait_in_second")))


def _answering(number: int) -> Callable[[StepContext], int]:
    return lambda _: number


def _second(event: dict[str, Any], context: DurableContext) -> Any:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return context.invoke(os.environ["SECOND"], event, name=f"second-{attempt}")
        except InvokeError:
            if attempt == _ATTEMPTS:
                raise
    return None


def _failures(event: dict[str, Any], context: DurableContext) -> list[dict[str, str]]:
    failed = []
    for record in event["Records"]:
        body = json.loads(record["body"])
        context.invoke(os.environ["FIRST"], body, name=body["name"])
        if body.get("fail"):
            failed.append({"itemIdentifier": record["messageId"]})
    return failed


def _run(name: str, event: dict[str, Any], *, wait: bool) -> str:
    if "marks" not in event:
        return name
    marks = Path(event["marks"])
    with (marks / name).open("a") as lines:
        lines.write("ran\n")
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while wait and not (marks / "release").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return name
