"""Entry point of the transform stage."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.contracts import StageResponse
from shared.telemetry import answer_stage
from transform.answers import answers
from transform.processing_types import transform

logger = Logger(service="transform", use_rfc3339=True)  # or Lambda misjudges its level


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> StageResponse:  # noqa: ARG001 - Lambda's signature
    """Transform ``event["records"]``; answers each one's transformed document."""
    return answer_stage(logger, event, lambda records: answers(records, transform))
