"""Entry point of the uploads API."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from uploads.api import api
from uploads.settings import Settings
from uploads.uploads import Uploads

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


@cache
def uploads() -> Uploads:
    """The uploads, once per execution environment: the client keeps connections open."""
    settings = Settings.from_environment(os.environ)
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": settings.addressing_style},
        # What is signed here is sent by somebody else: no checksum of a body that is not there.
        request_checksum_calculation="when_required",
    )
    return Uploads(boto3.client("s3", config=config), settings)


app = api(uploads)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request of an HTTP API, in its payload format 2.0."""
    return app.resolve(event, context)
