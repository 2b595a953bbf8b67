"""Entry point of the validate stage."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from pipeline_core.contract import StageResponse, each
from pipeline_core.telemetry import answer_stage
from validate.rules import validate

logger = Logger(service="validate", use_rfc3339=True)  # or Lambda misjudges its level


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> StageResponse:  # noqa: ARG001 - Lambda's signature
    """Validate ``event["records"]``; answers verdicts, and no data that is known already."""
    return answer_stage(logger, event, lambda records: each(records, validate))
