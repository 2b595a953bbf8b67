"""Entry point of csv_file: plans a file, works on one range of it, or finishes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from csv_file.enriching import Enriching, Unfinished, client
from csv_file.manifest import finish
from csv_file.parts import process_range
from csv_file.planning import plan_file
from csv_file.source import Gone
from csv_file.syntax import InvalidFile
from pipeline_core.contract import utc_now
from pipeline_core.objects import results_folder
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
def handler(event: dict[str, Any], context: LambdaContext) -> Answer:
    """Do what ``event["action"]`` says; answers ok, or rejected or gone for the whole file.

    It answers failed for a range that the own stage left unfinished; another attempt may succeed.

    Raises:
        ClientError, BotoCoreError: S3 did not answer, or not allow it; another attempt may succeed.
    """
    action = {"action": event["action"]}
    with observed(logger, _whose(event) | action, dimensions=action) as seen:
        answer = _answer(event, context)
        seen["outcome"] = answer["outcome"]
        if "own_stage" in answer:
            seen["own_stage"] = answer["own_stage"]
        if "reason" in answer:
            seen["error_type"] = answer["reason"]["type"]
    return answer | {"completed_at": utc_now()}


def _whose(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "durable_execution_arn": event.get("durable_execution_arn"),
        "message_ids": event.get("message_id"),
        "object": event["object"],
    }


def _answer(event: Mapping[str, Any], context: LambdaContext) -> Answer:
    try:
        return {"outcome": "ok"} | ACTIONS[event["action"]](event, context)
    except InvalidFile as invalid:
        return {"outcome": "rejected", "reason": invalid.reason}
    except Unfinished as unfinished:
        return {"outcome": "failed", "reason": unfinished.reason}
    except Gone:
        return {"outcome": "gone"}


def _plan(event: Mapping[str, Any], _: LambdaContext) -> Answer:
    plan = plan_file(
        s3(), event["object"], event["from"], event["max_ranges"], event["range_bytes"]
    )
    return {**plan}


def _process(event: Mapping[str, Any], context: LambdaContext) -> Answer:
    settings = read_settings(Settings, os.environ)
    enriching = _enriching(event, context)
    part = process_range(s3(), settings.output_bucket, event["file"], event["range"], enriching)
    return {"part": part, "own_stage": enriching.took} if enriching else {"part": part}


def _enriching(event: Mapping[str, Any], context: LambdaContext) -> Enriching | None:
    """The own stage that the durable function asks for, if any."""
    if "own_stage" not in event:
        return None
    return Enriching(
        client(event["own_stage"]["seconds"]),
        event["own_stage"],
        results_folder(event["file"]),
        lambda: context.get_remaining_time_in_millis() / 1000,
        event["durable_execution_arn"],
    )


def _finish(event: Mapping[str, Any], _: LambdaContext) -> Answer:
    finished = finish(
        s3(),
        read_settings(Settings, os.environ).output_bucket,
        event["file"],
        event["parts"],
        event["next"],
        event["durable_execution_arn"],
    )
    return {**finished}


ACTIONS: Mapping[str, Callable[[Mapping[str, Any], LambdaContext], Answer]] = {
    "plan": _plan,
    "process": _process,
    "finish": _finish,
}
