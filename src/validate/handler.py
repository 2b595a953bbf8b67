"""Entry point of the validate stage."""

from __future__ import annotations

from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from shared.contracts import StageResponse, each, respond
from validate.rules import validate

logger = Logger()


@logger.inject_lambda_context
def handler(event: dict[str, Any], context: LambdaContext) -> StageResponse:  # noqa: ARG001 - Lambda's signature
    """Validate ``event["records"]``; answers verdicts, and no data that is known already."""
    results = each(event["records"], validate)
    logger.info("validated", extra={"records": len(results)})
    return respond(results)
