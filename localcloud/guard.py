"""Who gets in: one guard before every listener of the local cloud.

A web page can have a browser send requests to any port of this machine, and so can whoever else has
an account on it. So a request gets in only if

- its `Host` is one of the listener's own (a page whose name resolves to 127.0.0.1 has another),
- it has no `Origin` but this one, or one that the bucket's CORS configuration names,
- it is signed by the account's root, whose credentials are random, or by a session or a user that
  ministack issued credentials to: in a header, in the query, or as a form's policy.

Nothing is served unsigned but a preflight that the bucket's CORS configuration allows. Paths that
begin with `/_` are those of the local cloud itself, and for root alone. No answer has a CORS
header, unless by the bucket's configuration.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

from localcloud import signatures
from localcloud.credentials import Credentials
from localcloud.functions import Remembered
from localcloud.signatures import Claim, RefusedError, Request

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler

    import aiohttp
    from aiohttp import ClientHandlerType, ClientMiddlewareType, web
    from aiohttp.typedefs import Handler, Middleware

    from localcloud.settings import Settings

log = logging.getLogger("localcloud.guard")

ISSUED_PATH = "/_localcloud/credentials/"
"""Where ministack tells root the secret and the token of an access key that it issued."""

_OWN_PATHS = "/_"
_OWN_FUNCTIONS = "/_localcloud/functions/"
_FOR_ALL = "/_aws/execute-api/"
# Names that nobody can make resolve elsewhere: APIs and buckets have their own.
_VIRTUAL_HOST = r"(?:[a-z0-9.-]+\.(?:s3|execute-api)\.)?"
_ASK_SECONDS = 10.0
_FORM = "multipart/form-data"
_QUERY_PROTOCOL = "application/x-www-form-urlencoded"
_CORS = "access-control-"
_POLICY_VIOLATION = 1008
_OK, _NOT_FOUND = 200, 404
MAX_FORM_BYTES = 100 * 1024 * 1024
"""Bytes, at most, of a form, which is in memory before anybody knows who has signed it."""

Scope = Mapping[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Buckets(Protocol):
    """What the buckets say of requests that a web page may send, because they are uploads."""

    def allows_origin(self, request: Request) -> bool:
        """Tell whether the bucket's CORS configuration allows the request, or a preflight."""

    def takes_form(self, request: Request) -> bool:
        """Tell whether the request is for a bucket that there is, and names no key."""

    def form(self, request: Request, body: bytes) -> Mapping[str, str]:
        """Return the fields of a form, by names in lower case."""


@dataclass(frozen=True)
class Guard:
    """The rules, for the listener at `endpoints`, of which the first one is its own.

    `issued` answers with the credentials of an access key that is not root's; requests that come
    through another listener have that one's `Host`.
    """

    root: Credentials
    endpoints: tuple[str, ...]
    issued: Callable[[str], Credentials | None] = lambda _: None
    buckets: Buckets | None = None

    def look(self, request: Request) -> Claim | None:
        """Refuse what can be refused before the body is read; return whose request it is.

        None is returned for a preflight and for a form, which has its signature in its body.
        """
        self._require_own_host(request.headers.get("host", ""))
        self._require_known_origin(request)
        if request.method == "OPTIONS" and self.shows_to_pages(request):
            return None  # of a presigned URL it has the signature of what is to follow
        claim = signatures.claim_of(request)
        if claim is None and not self._may_be_form(request):
            raise RefusedError(
                "MissingAuthenticationToken",
                "The request is not signed: the local cloud answers who has its credentials, which "
                "`pipelinectl local env` prints.",
            )
        if claim and claim.access_key != self.root.access_key and _for_root(request):
            raise RefusedError("AccessDenied", f"{request.path} is for the account's root.")
        return claim

    def credentials(self, claim: Claim | None) -> Credentials | None:
        """Return the credentials that a request is to be signed with; RefusedError as `find`."""
        return self.find(claim.access_key) if claim else None

    def find(self, access_key: str) -> Credentials:
        """Return the credentials of an access key; RefusedError if this cloud did not issue it."""
        if access_key == self.root.access_key:
            return self.root
        if credentials := self.issued(access_key):
            return credentials
        raise RefusedError(
            "InvalidClientTokenId",
            f"The local cloud at {self.endpoints[0]} did not issue the access key {access_key}: "
            'its own are set by eval "$(pipelinectl local env)".',
        )

    def verify(
        self, request: Request, claim: Claim | None, credentials: Credentials | None, body: bytes
    ) -> None:
        """Raise RefusedError unless the request or its form is signed by whom it says.

        A preflight, which is what else `look` lets in, has nothing to verify.
        """
        if claim and credentials:
            signatures.verify(request, claim, credentials, body)
        elif claim or request.method != "OPTIONS":
            fields = self.buckets.form(request, body) if self.buckets else {}
            signatures.verify_form(fields, self.find)

    def shows_to_pages(self, request: Request) -> bool:
        """Tell whether the answer's CORS headers are those of the bucket's configuration."""
        origin = request.headers.get("origin")
        return bool(origin and self.buckets and self.buckets.allows_origin(request))

    def _require_own_host(self, host: str) -> None:
        ports = "|".join(str(urlsplit(url).port) for url in self.endpoints)
        if not re.fullmatch(
            rf"{_VIRTUAL_HOST}(?:127\.0\.0\.1|localhost):(?:{ports})", host.lower()
        ):
            raise RefusedError(
                "AccessDenied",
                f"The Host {host!r} is not the local cloud's: {self.endpoints[0]} is.",
            )

    def _require_known_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        own = f"http://{request.headers['host']}"
        if origin is None or origin.lower() == own.lower() or self.shows_to_pages(request):
            return
        raise RefusedError(
            "AccessDenied",
            f"Web pages of {origin} may not call the local cloud: a bucket's CORS configuration "
            "can allow them uploads.",
        )

    def _may_be_form(self, request: Request) -> bool:
        form = request.headers.get("content-type", "").startswith(_FORM)
        # A service other than S3 would be named in one of these.
        bare = not request.query and not any(n.startswith("x-amz-") for n in request.headers)
        if not (form and bare and request.method == "POST"):
            return False
        return bool(self.buckets and self.buckets.takes_form(request))


def _for_root(request: Request) -> bool:
    path = unquote(request.path)
    return path.startswith(_OWN_PATHS) and not path.startswith(_FOR_ALL)


def answer(refused: RefusedError, request: Request) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body that tell a refusal as the service's clients read it."""
    log.warning("refused %s %s: %s", request.method, request.path, refused)
    kind = request.headers.get("content-type", "")
    of_s3 = "/s3/" in request.headers.get("authorization", "") or "%2Fs3%2F" in request.query
    headers = {"x-amzn-ErrorType": refused.code}
    if of_s3 or kind.startswith((_QUERY_PROTOCOL, _FORM)):
        body = (
            f"<ErrorResponse><Error><Code>{refused.code}</Code>"
            f"<Message>{escape(str(refused))}</Message></Error></ErrorResponse>"
        ).encode()
        return refused.status, {**headers, "Content-Type": "application/xml"}, body
    document = {"__type": refused.code, "message": str(refused), "Type": "User"}
    body = json.dumps(document).encode()
    return refused.status, {**headers, "Content-Type": "application/json"}, body


def asgi(guard: Guard, app: Application) -> Application:
    """Return an ASGI application, ministack's, behind the guard.

    It also tells root what it has issued, at ISSUED_PATH, for the guards of the other listeners.
    """

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await app(scope, receive, send)
            return
        request = _request_of(scope)
        try:
            claim = guard.look(request)
            credentials = guard.credentials(claim)
            body = b"" if scope["type"] == "websocket" else await _whole(receive, claim)
            guard.verify(request, claim, credentials, body)
        except RefusedError as refused:
            await _refuse(scope, send, answer(refused, request))
            return
        except ConnectionError:
            return
        if claim and request.path.startswith(ISSUED_PATH):
            await _send(send, *_told(guard, unquote(request.path.removeprefix(ISSUED_PATH))))
            return
        send = send if guard.shows_to_pages(request) else _without_cors(send)
        await app(scope, receive if scope["type"] == "websocket" else _again(body, receive), send)

    return guarded


def _request_of(scope: Scope) -> Request:
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return Request.of(scope.get("method", "GET"), f"{path}?{query}", scope["headers"])


async def _whole(receive: Receive, claim: Claim | None) -> bytes:
    """Return the whole body; ConnectionError if its sender has gone.

    RefusedError if there is no claim and it is larger than a form may be.
    """
    parts = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ConnectionResetError
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if claim is None and size > MAX_FORM_BYTES:
            raise RefusedError(
                "EntityTooLarge",
                f"The form has more than {MAX_FORM_BYTES} bytes, the most that the local cloud "
                "reads of one: a presigned URL takes larger objects.",
                400,
            )
        if not message.get("more_body", False):
            return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """Return what receives a body that was read already, and then what comes."""
    read = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return read.pop() if read else await receive()

    return receive_again


def _without_cors(send: Send) -> Send:
    async def send_less(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                (name, value)
                for name, value in message.get("headers", [])
                if not name.lower().startswith(_CORS.encode())
            ]
            message = {**message, "headers": kept}
        await send(message)

    return send_less


async def _refuse(scope: Scope, send: Send, told: tuple[int, dict[str, str], bytes]) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
    else:
        await _send(send, *told, head=scope["method"] == "HEAD")


async def _send(
    send: Send, status: int, headers: Mapping[str, str], body: bytes, *, head: bool = False
) -> None:
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    raw.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if head else body})


def _told(guard: Guard, access_key: str) -> tuple[int, dict[str, str], bytes]:
    found = guard.issued(access_key)
    document = {"secret_key": found.secret_key, "token": found.token} if found else {}
    status = _OK if found else _NOT_FOUND
    return status, {"Content-Type": "application/json"}, json.dumps(document).encode()


def gateway(settings: Settings) -> Middleware:
    """Return what puts an aiohttp application, the gateway, behind the guard."""
    from aiohttp import web  # ministack's environment, where this module runs as well, has none

    guard = Guard(settings.credentials, (settings.lambda_endpoint_url,), Issued(settings))

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        claimed = Request.of(request.method, request.raw_path, request.raw_headers)
        try:
            claim = guard.look(claimed)
            credentials = await asyncio.to_thread(guard.credentials, claim)
            guard.verify(claimed, claim, credentials, await request.read())
        except RefusedError as refused:
            status, headers, body = answer(refused, claimed)
            return web.Response(status=status, headers=headers, body=body)
        except OSError as error:
            away = RefusedError("ServiceException", f"ministack does not answer: {error}", 503)
            status, headers, body = answer(away, claimed)
            return web.Response(status=status, headers=headers, body=body)
        return await handler(request)

    return guarded


def signing(settings: Settings) -> ClientMiddlewareType:
    """Return what has an aiohttp client session sign, as root, its requests to the runner."""
    root, endpoint = settings.credentials, settings.runner_endpoint_url

    async def sign(
        request: aiohttp.ClientRequest, handler: ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if str(request.url.origin()) == endpoint:
            body = (
                request.body if isinstance(request.body, bytes) else await request.body.as_bytes()
            )
            signed = signatures.sign(
                root,
                settings.region,
                request.method,
                str(request.url),
                dict(request.headers),
                body,
            )
            request.headers.clear()
            request.headers.update({**signed, "Host": urlsplit(endpoint).netloc})
        return await handler(request)

    return sign


def handler(
    settings: Settings, unguarded: type[BaseHTTPRequestHandler]
) -> type[BaseHTTPRequestHandler]:
    """Return a handler of http.server's, the runner's, behind the guard.

    Only the gateway, and so root, calls the runner.
    """
    guard = Guard(settings.credentials, (settings.runner_endpoint_url,))

    class Guarded(unguarded):  # type: ignore[misc, valid-type]  # a class that is given
        rfile: BinaryIO

        def handle_one_request(self) -> None:
            of_connection = self.rfile
            super().handle_one_request()
            self.rfile = of_connection

        def parse_request(self) -> bool:
            if not super().parse_request():
                return False
            raw = [(n.encode("latin-1"), v.encode("latin-1")) for n, v in self.headers.items()]
            request = Request.of(self.command, self.path, raw)
            try:
                claim = guard.look(request)
                credentials = guard.credentials(claim)
                body = self.rfile.read(_length(request))
                guard.verify(request, claim, credentials, body)
            except RefusedError as refused:
                self._refuse(*answer(refused, request))
                return False
            self.rfile = io.BytesIO(body)
            return True

        def _refuse(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            self.send_response(status)
            # What is left of a request that was not read cannot be told from the next one.
            more = {"Content-Length": str(len(body)), "Connection": "close"}
            for name, value in {**headers, **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Guarded


def _length(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise RefusedError("InvalidRequest", f"Content-Length {text!r} is no length.", 400)
    return int(text)


class SigningHandler(urllib.request.BaseHandler):
    """Has urllib sign, as root, what ministack sends the gateway: events of durable functions.

    Where other requests go, who makes a function, a subscription or an API has a say, and so has
    who answers them, by a redirect: to the gateway as well. `is_event` tells which is an event.
    """

    def __init__(
        self, root: Credentials, region: str, gateway: str, is_event: Callable[[], bool]
    ) -> None:
        self._root, self._region = root, region
        self._functions = f"{gateway}{_OWN_FUNCTIONS}"
        self._is_event = is_event

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        """Sign one; urllib calls this before it sends any."""
        if self._is_event() and request.full_url.startswith(self._functions):
            body = request.data if isinstance(request.data, bytes) else b""
            signed = signatures.sign(
                self._root, self._region, request.get_method(), request.full_url, body=body
            )
            for name, value in signed.items():
                request.add_header(name, value)
        return request


class Issued:
    """The credentials that ministack issued, asked live. Safe to use from several threads."""

    def __init__(self, settings: Settings, remember_seconds: float = 5.0) -> None:
        self._url = f"{settings.aws_endpoint_url}{ISSUED_PATH}"
        self._root, self._region = settings.credentials, settings.region
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._known = Remembered[str, Credentials | None](remember_seconds)

    def __call__(self, access_key: str) -> Credentials | None:
        """Return the credentials of an access key, if it is one; OSError if ministack is away."""
        return self._known.get(access_key, lambda: self._ask(access_key))

    def _ask(self, access_key: str) -> Credentials | None:
        url = f"{self._url}{quote(access_key, safe='')}"
        headers = signatures.sign(self._root, self._region, "GET", url)
        request = urllib.request.Request(url, headers=headers)  # noqa: S310 - our own URL
        try:
            with self._opener.open(request, timeout=_ASK_SECONDS) as answered:
                return Credentials(access_key, **json.load(answered))
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != _NOT_FOUND:
                raise
            return None
