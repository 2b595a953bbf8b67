"""Why a request is refused, as its sender is told."""

from __future__ import annotations

from http import HTTPStatus


class RequestRefused(ValueError):  # noqa: N818 - the sender's error, not ours
    """The request cannot be carried out; the message names the input, the rule and the remedy."""

    status = HTTPStatus.BAD_REQUEST
    type = "InvalidRequest"


class NoSuchUpload(RequestRefused):
    """Nothing was uploaded under the id, or it has expired."""

    status = HTTPStatus.NOT_FOUND
    type = "NoSuchUpload"


class TooLarge(RequestRefused):
    """The upload, or the request itself, is larger than is allowed."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    type = "TooLarge"


class UnsupportedContentType(RequestRefused):
    """The pipeline does not process content of this type."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    type = "UnsupportedContentType"
