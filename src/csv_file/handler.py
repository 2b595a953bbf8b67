"""Entry point of csv_file: plans a file, works on one range of it, or finishes it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from csv_file.calling import Calling, Unfinished, client
from csv_file.enriching import Enriching
from csv_file.items import STAGE, RowItems
from csv_file.manifest import finish
from csv_file.parts import process_range
from csv_file.planning import plan_file
from csv_file.source import Gone
from csv_file.syntax import InvalidFile
from pipeline_core import own_stage
from pipeline_core.contract import utc_now
from pipeline_core.objects import results_folder
from pipeline_core.own_stage import CalledStage
from pipeline_core.payloads import s3
from pipeline_core.settings import read_settings
from pipeline_core.telemetry import observed

logger = Logger(service="csv-file", use_rfc3339=True)  # or Lambda misjudges its level


@dataclass(frozen=True)
class Settings:
    """Name of this deployment, and of the bucket that takes results, rejects and manifests."""

    environment: str
    output_bucket: str


Answer = dict[str, Any]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> Answer:
    """Do what ``event["action"]`` says; answers ok, or rejected or gone for the whole file.

    It answers failed for a range that another stage left unfinished; another attempt may succeed.

    Raises:
        ClientError, BotoCoreError: S3 did not answer, or not allow it; another attempt may succeed.
    """
    action = {"action": event["action"]}
    with observed(logger, _whose(event) | action, dimensions=action) as seen:
        answer = _answer(event, context)
        seen["outcome"] = answer["outcome"]
        seen |= {name: answer[name] for name in ("own_stage", "store") if name in answer}
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
        return {"outcome": "failed", "stage": unfinished.stage, "reason": unfinished.reason}
    except Gone:
        return {"outcome": "gone"}


def _plan(event: Mapping[str, Any], _: LambdaContext) -> Answer:
    plan = plan_file(
        s3(),
        event["object"],
        event["from"],
        event["max_ranges"],
        event["range_bytes"],
        event.get("rows", "results"),
    )
    if "rows" not in event:
        # A version of the durable function asks that knows of no items: it would store none.
        plan["file"]["rows"] = "results"
    return {**plan}


def _process(event: Mapping[str, Any], context: LambdaContext) -> Answer:
    settings = read_settings(Settings, os.environ)
    file = event["file"]
    enriching = items = None
    if "own_stage" in event:
        calling = _calling(own_stage.NAME, event["own_stage"], event, context)
        calling.check = own_stage.checked
        enriching = Enriching(calling, results_folder(file))
    if "store" in event:
        calling = _calling(STAGE, event["store"], event, context)
        items = RowItems(calling, file, settings.environment, event["message_id"])
    part = process_range(s3(), settings.output_bucket, file, event["range"], enriching, items)
    answer: Answer = {"part": part}
    if enriching:
        answer["own_stage"] = enriching.calling.took
    if items:
        answer["store"] = items.took
    return answer


def _calling(
    name: str, stage: CalledStage, event: Mapping[str, Any], context: LambdaContext
) -> Calling:
    """A stage that the durable function asks for."""
    return Calling(
        name,
        client(stage["seconds"]),
        stage,
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
