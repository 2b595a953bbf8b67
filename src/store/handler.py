"""Entry point of the store stage."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from pipeline_core.clients import client
from pipeline_core.contract import StageResponse, utc_now
from pipeline_core.settings import read_settings
from pipeline_core.telemetry import answer_stage
from store.items import with_kept_original
from store.table import Settings, Table

logger = Logger(service="store", use_rfc3339=True)  # or Lambda misjudges its level


@cache
def table() -> Table:
    """The table, once per execution environment: its client keeps connections open."""
    settings = read_settings(Settings, os.environ)
    # Retries of our own: they must end before this function's time does. To look through each item
    # once more, value by value, would take longer than all else that is done with it.
    config = Config(retries={"total_max_attempts": 1}, parameter_validation=False)
    dynamodb = client("dynamodb", config=config)
    return Table(dynamodb, settings, keep=with_kept_original)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> StageResponse:
    """Store ``event["records"]``; answers verdicts only, no data."""
    seconds = context.get_remaining_time_in_millis() / 1000
    return answer_stage(
        logger,
        event,
        lambda records: table().store(
            records,
            stored_at=utc_now(),
            seconds=seconds * 0.8,
            execution_arn=event.get("durable_execution_arn"),
        ),
    )
