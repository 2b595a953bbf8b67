"""HTTP requests beside boto3's own: signed for a service, or to URLs that bear their signature."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from pipelinectl.errors import PipelinectlError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from boto3.session import Session
    from botocore.awsrequest import AWSRequest, AWSResponse

CHUNK_BYTES = 256 * 1024
_CONNECT_SECONDS = 5
_SILENCE_SECONDS = 60


class Readable(Protocol):
    """Content that is read bit by bit."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes, none at the end."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request; its body is read once, by one of the methods."""

    status: int
    url: str
    raw: AWSResponse

    @property
    def etag(self) -> str:
        """The ETag of what was put or got, without quotes; empty where none was told."""
        return str(self.raw.headers.get("ETag", "")).strip('"')

    def content(self) -> bytes:
        """All of the body."""
        content: bytes = self.raw.content
        return content

    def chunks(self, size: int) -> Iterator[bytes]:
        """The body as it comes, which must be of `size` bytes.

        Raises:
            UnreachableError: the connection broke before all of it had come.
        """
        from botocore.exceptions import BotoCoreError
        from botocore.response import StreamingBody

        body = StreamingBody(self.raw.raw, size)
        try:
            yield from body.iter_chunks(CHUNK_BYTES)
        except BotoCoreError as error:
            raise _broken(self.url, error) from error


@dataclass(frozen=True)
class SignedHttp:
    """Requests with the credentials and the region of a boto3 session.

    They go the way that boto3's own go: proxies and certificates count alike.
    """

    session: Session
    service: str

    def signed(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> Answer:
        """Send a request that is signed for the service (Signature Version 4).

        Raises:
            UnreachableError: nobody answers.
        """
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        request = AWSRequest(method=method, url=url, headers=dict(headers), data=body)
        credentials: Any = self.session.get_credentials()
        SigV4Auth(credentials, self.service, self.session.region_name).add_auth(request)
        return _send(request, url)

    def plain(
        self, method: str, url: str, headers: Mapping[str, str], body: Readable | None = None
    ) -> Answer:
        """Send a request as it is, for instance to a presigned URL.

        Raises:
            UnreachableError: nobody answers.
        """
        from botocore.awsrequest import AWSRequest

        return _send(AWSRequest(method=method, url=url, headers=dict(headers), data=body), url)


def _send(request: AWSRequest, url: str) -> Answer:
    from botocore.exceptions import BotoCoreError
    from botocore.httpsession import URLLib3Session
    from botocore.utils import get_environ_proxies

    options: Any = {  # the stubs know only some of the types that these may have
        "verify": os.environ.get("AWS_CA_BUNDLE") or True,
        "timeout": (_CONNECT_SECONDS, _SILENCE_SECONDS),
    }
    http = URLLib3Session(proxies=get_environ_proxies(url), **options)
    request.stream_output = True  # the body is read by whoever wants it
    try:
        answer = http.send(request.prepare())
    except BotoCoreError as error:
        if isinstance(error.__context__, PipelinectlError):
            raise error.__context__ from None  # of whoever reads what is sent
        raise _broken(url, error) from error
    return Answer(answer.status_code, url, answer)


def _broken(url: str, error: Exception) -> UnreachableError:
    """Names the host alone: what follows it in a presigned URL is a secret."""
    parts = urlsplit(url)
    return UnreachableError(
        f"{parts.scheme}://{parts.netloc}: {type(error).__name__}: check the network, "
        "or start the local cloud with 'pipelinectl local up'"
    )
