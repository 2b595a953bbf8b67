"""The uploads API: ask for a presigned URL to put content to, or to get it again."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipelinectl.errors import NotFoundError, OperationFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipelinectl.http import Answer, SignedHttp

DEFAULT_STAGE = "$default"

_NOT_FOUND = 404
_SUCCESSES = range(200, 300)


@dataclass(frozen=True)
class Upload:
    """A place for one object: `headers` must be sent with it exactly as they are."""

    id: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Download:
    """Where an upload is to be had; `size` is in bytes."""

    id: str
    url: str
    size: int


@dataclass(frozen=True)
class UploadsApi:
    """The API whose paths begin with `url`."""

    http: SignedHttp
    url: str

    def create(self, size: int, content_type: str, metadata: Mapping[str, str]) -> Upload:
        """Ask for a place for `size` bytes.

        Raises:
            OperationFailedError: the API refuses.
            UnreachableError: it does not answer.
        """
        request = {"size": size, "content_type": content_type, "metadata": dict(metadata)}
        document = self._call("POST", "/uploads", json.dumps(request).encode())
        return Upload(document["id"], document["url"], document["headers"])

    def find(self, upload_id: str) -> Download:
        """Where the upload with this id is to be had.

        Raises:
            NotFoundError: there is none.
            OperationFailedError: the API refuses.
            UnreachableError: it does not answer.
        """
        document = self._call("GET", f"/uploads/{upload_id}", b"")
        return Download(document["id"], document["url"], document["size"])

    def _call(self, method: str, path: str, body: bytes) -> Any:
        headers = {"Content-Type": "application/json"} if body else {}
        answer = self.http.signed(method, self.url.rstrip("/") + path, headers, body)
        content = answer.content()
        if answer.status == _NOT_FOUND:
            raise NotFoundError(f"uploads API: {_said(content)}")
        if answer.status not in _SUCCESSES:
            raise OperationFailedError(f"uploads API: {answer.status}: {_said(content)}")
        return json.loads(content)


def local_url(api_id: str, endpoint_url: str) -> str:
    """Where a local cloud has an API of its own: no name of it need be known, nor resolved.

    https://docs.localstack.cloud/aws/services/apigateway/ describes the path, ministack has it too.
    """
    return f"{endpoint_url.rstrip('/')}/_aws/execute-api/{api_id}/{DEFAULT_STAGE}"


def refusal(what: str, answer: Answer) -> OperationFailedError:
    """S3's answer to a presigned request that it refused; the code is in its XML."""
    content = answer.content().decode(errors="replace")
    code = content.partition("<Code>")[2].partition("</Code>")[0] or "no reason given"
    return OperationFailedError(
        f"{what}: S3 refused with {answer.status} {code}: try again, a presigned URL ends soon"
    )


def _said(content: bytes) -> str:
    """The message of an error of ours, or of API Gateway's own."""
    try:
        document = json.loads(content)
    except ValueError:
        return "an answer that is not JSON"
    match document:
        case {"error": {"message": str(message)}} | {"message": str(message)}:
            return " ".join(message.split())
    return "an error without a message"
