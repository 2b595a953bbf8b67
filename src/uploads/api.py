"""The HTTP API: its routes, and what a sender hears of a request that is refused."""

from __future__ import annotations

import binascii
import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError

from uploads.errors import RequestRefused
from uploads.upload_request import parse
from uploads.uploads import Uploads

logger = Logger(child=True)

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
        request = parse(_body(app), service.settings.maximum_size)
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
