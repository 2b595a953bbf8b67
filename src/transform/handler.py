"""Entry point of the transform stage."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.contracts import StageResponse, each, respond
from transform.processing_types import transform

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> StageResponse:  # noqa: ARG001 - Lambda's signature
    """Transform ``event["records"]``; answers each one's transformed document as JSON text."""
    results = each(event["records"], transform)
    logger.info("transformed", extra={"records": len(results)})
    return respond(results)
