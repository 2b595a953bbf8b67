"""Entry point of csv_file: plans a file, works on one range of it, or finishes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from csv_file.manifest import finish
from csv_file.parts import process_range
from csv_file.planning import plan_file
from csv_file.source import Gone
from csv_file.syntax import InvalidFile
from pipeline_core.contract import utc_now
from pipeline_core.payloads import s3
from pipeline_core.settings import read_settings
from pipeline_core.telemetry import observed

logger = Logger(service="csv-file", use_rfc3339=True)  # or Lambda misjudges its level


@dataclass(frozen=True)
class Settings:
    """Name of the bucket that takes results, rejects, segments and manifests."""

    output_bucket: str


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
    settings = read_settings(Settings, os.environ)
    part = process_range(s3(), settings.output_bucket, event["file"], event["range"])
    return {"part": part}


def _finish(event: Mapping[str, Any]) -> Answer:
    finished = finish(
        s3(),
        read_settings(Settings, os.environ).output_bucket,
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
