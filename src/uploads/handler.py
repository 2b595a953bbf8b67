"""The uploads API: presigned URLs for uploads and for what became of them."""

from __future__ import annotations

import binascii
import json
import os
from collections.abc import Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError
from aws_lambda_powertools.utilities.typing import LambdaContext
from botocore.config import Config

from pipeline_core.clients import client
from pipeline_core.settings import read_settings
from uploads.uploads import RequestRefused, Settings, Uploads, parse

logger = Logger(use_rfc3339=True)  # or Lambda misjudges its level


Answer = Response[str]


def api(uploads: Callable[[], Uploads]) -> APIGatewayHttpResolver:
    """The API over ``uploads``, which is asked for at the first request only.

    ``POST /uploads`` answers 201 with an `Upload`, ``GET /uploads/{id}`` 200 with a `Download`;
    what is refused, ``{"error": {"type": ..., "message": ...}}``. URLs are never logged: whoever
    has one may use it.
    """
    app = APIGatewayHttpResolver()

    @app.post("/uploads")
    def create() -> Answer:
        service = uploads()
        request = parse(_body(app), service.settings.maximum_upload_size)
        upload = service.create(request)
        logger.info("upload created", extra={"upload_id": upload["id"], "size": request.size})
        return _answer(HTTPStatus.CREATED, upload)

    @app.get("/uploads/<upload_id>")
    def find(upload_id: str) -> Answer:
        return _answer(HTTPStatus.OK, uploads().find(upload_id))

    @app.exception_handler(RequestRefused)  # type: ignore[untyped-decorator]  # Powertools' is
    def refuse(refused: RequestRefused) -> Answer:
        logger.info("request refused", extra={"status": refused.status, "type": refused.type})
        return _error(refused.status, refused.type, str(refused))

    @app.not_found
    def no_route(_: NotFoundError) -> Answer:
        message = "there is nothing at this path: POST /uploads, or GET /uploads/{id}"
        return _error(HTTPStatus.NOT_FOUND, "NoSuchRoute", message)

    return app


def _body(app: APIGatewayHttpResolver) -> str:
    """The request's body as text; API Gateway encodes what it takes for binary.

    Raises:
        RequestRefused: it is not UTF-8.
    """
    try:
        return app.current_event.decoded_body or ""
    except (UnicodeDecodeError, binascii.Error):
        raise RequestRefused("the request's body is not UTF-8: send JSON in UTF-8") from None


def _error(status: HTTPStatus, error_type: str, message: str) -> Answer:
    return _answer(status, {"error": {"type": error_type, "message": message}})


def _answer(status: HTTPStatus, document: Mapping[str, Any]) -> Answer:
    return Response(
        status_code=status.value,
        content_type="application/json",
        body=json.dumps(document),
        headers={"Cache-Control": "no-store"},
    )


@cache
def uploads() -> Uploads:
    """The uploads, once per execution environment: the client keeps connections open."""
    settings = read_settings(Settings, os.environ)
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": settings.addressing_style},
        # What is signed here is sent by somebody else: no checksum of a body that is not there.
        request_checksum_calculation="when_required",
    )
    return Uploads(client("s3", config=config), settings)


app = api(uploads)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Answer a request of an HTTP API, in its payload format 2.0."""
    return app.resolve(event, context)
