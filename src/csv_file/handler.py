"""Entry point of the csv_file function: plan a file, process one range of it, finish it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from csv_file.contract import InvalidFile
from csv_file.manifest import finish
from csv_file.parts import process_range
from csv_file.planning import plan_file
from csv_file.settings import Settings
from csv_file.source import Gone
from shared.contracts import utc_now
from shared.payloads import s3
from shared.telemetry import observed

logger = Logger(service="csv-file", use_rfc3339=True)  # or Lambda misjudges its level

Answer = dict[str, Any]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Answer:  # noqa: ARG001 - Lambda's signature
    """Do what ``event["action"]`` says; answers ok, or rejected or gone for the whole file.

    Raises:
        ClientError, BotoCoreError: S3 did not answer, or not allow it; another attempt may succeed.
    """
    action = {"action": event["action"]}
    with observed(logger, _whose(event) | action, dimensions=action) as seen:
        answer = _answer(event)
        seen["outcome"] = answer["outcome"]
        if "reason" in answer:
            seen["error_type"] = answer["reason"]["type"]
    return answer | {"completed_at": utc_now()}


def _whose(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "durable_execution_arn": event.get("durable_execution_arn"),
        "message_ids": event.get("message_id"),
        "object": event["object"],
    }


def _answer(event: Mapping[str, Any]) -> Answer:
    try:
        return {"outcome": "ok"} | ACTIONS[event["action"]](event)
    except InvalidFile as invalid:
        return {"outcome": "rejected", "reason": invalid.reason}
    except Gone:
        return {"outcome": "gone"}


def _plan(event: Mapping[str, Any]) -> Answer:
    plan = plan_file(
        s3(), event["object"], event["from"], event["max_ranges"], event["range_bytes"]
    )
    return {**plan}


def _process(event: Mapping[str, Any]) -> Answer:
    settings = Settings.from_environment(os.environ)
    part = process_range(s3(), settings.output_bucket, event["file"], event["range"])
    return {"part": part}


def _finish(event: Mapping[str, Any]) -> Answer:
    finished = finish(
        s3(),
        Settings.from_environment(os.environ).output_bucket,
        event["file"],
        event["parts"],
        event["next"],
        event["durable_execution_arn"],
    )
    return {**finished}


ACTIONS: Mapping[str, Callable[[Mapping[str, Any]], Answer]] = {
    "plan": _plan,
    "process": _process,
    "finish": _finish,
}
