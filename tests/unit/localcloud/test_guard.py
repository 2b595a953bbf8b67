"""Who gets in, by which rule; and that each kind of listener keeps to what the guard says."""

from __future__ import annotations

import asyncio
import json
import threading
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import urllib3
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestServer
from botocore.parsers import create_parser
from hypothesis import given
from hypothesis import strategies as st

from localcloud import guard, signatures
from localcloud.credentials import Credentials
from localcloud.guard import Guard, Message
from localcloud.settings import Settings, free_settings
from localcloud.signatures import RefusedError, Request
from tests.unit.localcloud.test_signatures import form

ROOT = Credentials("LOCLROOT", "the secret")
SESSION = Credentials("ASIASESSION", "another secret", "its token")
OWN = "http://127.0.0.1:4566"
REGION = "eu-central-2"
PAGE = "https://page.example"


@dataclass
class FakeBuckets:
    """Buckets that allow uploads of one page, if any."""

    allowed: str | None = None

    def allows_origin(self, request: Request) -> bool:
        return request.headers.get("origin") == self.allowed

    def takes_form(self, request: Request) -> bool:
        return request.path == "/bucket"

    def form(self, request: Request, body: bytes) -> dict[str, str]:
        return dict(json.loads(body))


def issued(access_key: str) -> Credentials | None:
    return SESSION if access_key == SESSION.access_key else None


LISTENER = Guard(ROOT, (OWN, "http://127.0.0.1:4570"), issued)
WITH_BUCKETS = replace(LISTENER, buckets=FakeBuckets(PAGE))


def a_request(
    method: str = "GET",
    target: str = "/bucket/key",
    signer: Credentials | None = ROOT,
    **headers: str,
) -> Request:
    signed = signatures.sign(signer, REGION, method, f"{OWN}{target}") if signer else {}
    everything = {"host": "127.0.0.1:4566", **signed, **headers}
    raw = [(name.replace("_", "-").encode(), v.encode()) for name, v in everything.items()]
    return Request.of(method, target, raw)


def let_in(listener: Guard, request: Request, body: bytes = b"") -> None:
    claim = listener.look(request)
    listener.verify(request, claim, listener.credentials(claim), body)


# The rules


@pytest.mark.parametrize("signer", [ROOT, SESSION])
def test_who_has_credentials_of_this_cloud_gets_in(signer: Credentials) -> None:
    let_in(LISTENER, a_request(signer=signer))


@pytest.mark.parametrize(
    "signer",
    [
        None,
        Credentials("test", "test"),
        Credentials("", ""),
        Credentials("000000000000", "test"),
        Credentials(ROOT.access_key, "test"),
        Credentials(SESSION.access_key, SESSION.secret_key),
        replace(ROOT, token="x"),
    ],
)
def test_nobody_else_does(signer: Credentials | None) -> None:
    for listener in (LISTENER, WITH_BUCKETS):
        with pytest.raises(RefusedError):
            let_in(listener, a_request(signer=signer))


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4566",
        "localhost:4566",
        "LocalHost:4566",
        "127.0.0.1:4570",
        "a1b2.execute-api.localhost:4566",
        "a1b2.execute-api.127.0.0.1:4566",
        "my.bucket.s3.localhost:4566",
    ],
)
def test_its_own_hosts(host: str) -> None:
    LISTENER._require_own_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "127.0.0.1",
        "localhost",
        "127.0.0.1:80",
        "127.0.0.1:45660",
        "127.0.0.1:4566,127.0.0.1:4566",
        "127.0.0.1:4566@page.example",
        "127.0.0.1:4566.page.example:4566",
        "127.0.0.1.page.example:4566",
        "page.example:4566",
        "page.example",
        "execute-api.page.example:4566",
        "s3.page.example:4566",
        "s3.localhost.page.example:4566",
        "localhost.localstack.cloud:4566",
        "127x0x0x1:4566",
        "[::1]:4566",
        "0.0.0.0:4566",
        "127.0.0.1:4566\n",
        "bucket.localhost:4566",
    ],
)
def test_the_name_of_a_page_that_leads_here_is_no_host(host: str) -> None:
    with pytest.raises(RefusedError, match="is not the local cloud's"):
        LISTENER.look(a_request(host=host))


@given(host=st.from_regex(r"[a-z0-9.:\[\]@-]*\.(com|net|example|cloud)(:4566)?", fullmatch=True))
def test_no_public_name_is_a_host(host: str) -> None:
    with pytest.raises(RefusedError):
        LISTENER._require_own_host(host)


@pytest.mark.parametrize("listener", [LISTENER, WITH_BUCKETS])
@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "",
        "https://other.example",
        "http://127.0.0.1:8080",
        "http://localhost:4566",
        "file://",
    ],
)
def test_a_page_of_another_origin_is_refused_even_with_credentials(
    listener: Guard, origin: str
) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        with pytest.raises(RefusedError, match="may not call the local cloud"):
            listener.look(a_request(method, origin=origin))


def test_its_own_origin_is_none_of_another() -> None:
    let_in(LISTENER, a_request(origin=OWN))


def test_a_page_that_a_bucket_allows_still_has_to_sign() -> None:
    let_in(WITH_BUCKETS, a_request("PUT", origin=PAGE))
    with pytest.raises(RefusedError, match="not signed"):
        let_in(WITH_BUCKETS, a_request("PUT", signer=None, origin=PAGE))


def test_only_a_preflight_that_a_bucket_allows_is_let_in_unsigned() -> None:
    let_in(WITH_BUCKETS, a_request("OPTIONS", signer=None, origin=PAGE))
    of_another_method = "/bucket/key?X-Amz-Signature=of-what-is-to-follow"
    let_in(WITH_BUCKETS, a_request("OPTIONS", of_another_method, signer=None, origin=PAGE))
    for listener, origin in ((WITH_BUCKETS, {}), (LISTENER, {"origin": PAGE})):
        with pytest.raises(RefusedError):
            let_in(listener, a_request("OPTIONS", signer=None, **origin))


@pytest.mark.parametrize(
    "path",
    [
        "/_ministack/reset",
        "/_ministack/cfn-response/token",  # what a custom resource would answer to
        "/_localstack/health",
        "/_localcloud/credentials/x",
        "/%5Flocalcloud/x",
        "/_aws/sqs/messages",
        "/_aws/execute-api",
        "/_aws",
    ],
)
def test_the_clouds_own_pages_are_roots(path: str) -> None:
    let_in(LISTENER, a_request("POST", path))
    with pytest.raises(RefusedError, match="is for the account's root"):
        let_in(LISTENER, a_request("POST", path, signer=SESSION))
    with pytest.raises(RefusedError, match="not signed"):
        let_in(LISTENER, a_request("POST", path, signer=None))


@pytest.mark.parametrize("path", ["/_aws/execute-api/a1b2/uploads", "/bucket/_key", "/bucket"])
def test_what_services_serve_is_everybodys_who_may(path: str) -> None:
    let_in(LISTENER, a_request("POST", path, signer=SESSION))


def upload(target: str = "/bucket", **headers: str) -> Request:
    return a_request(
        "POST", target, None, **{"content_type": "multipart/form-data; boundary=x"} | headers
    )


def test_a_form_that_is_signed_gets_in_to_a_bucket() -> None:
    let_in(WITH_BUCKETS, upload(), json.dumps(form(ROOT)).encode())
    let_in(WITH_BUCKETS, upload(origin=PAGE), json.dumps(form(SESSION)).encode())


@pytest.mark.parametrize(
    ("listener", "request_"),
    [
        (LISTENER, upload()),
        (WITH_BUCKETS, upload("/bucket?Action=ListRoles")),
        (WITH_BUCKETS, upload("/bucket/key")),
        (WITH_BUCKETS, upload("/nowhere")),
        (WITH_BUCKETS, upload("/_ministack/reset")),
        (WITH_BUCKETS, upload("/")),
        (WITH_BUCKETS, upload(x_amz_target="DynamoDB_20120810.ListTables")),
        (WITH_BUCKETS, upload(content_type="text/plain")),
        (WITH_BUCKETS, upload(origin="https://other.example")),
        (WITH_BUCKETS, replace(upload(), method="PUT")),
    ],
)
def test_a_form_gets_in_nowhere_else(listener: Guard, request_: Request) -> None:
    with pytest.raises(RefusedError):
        let_in(listener, request_, json.dumps(form(ROOT)).encode())


@pytest.mark.parametrize("fields", [{}, {"key": "a"}, form(Credentials("test", "test"))])
def test_a_form_that_is_not_signed_gets_in_nowhere(fields: Mapping[str, str]) -> None:
    with pytest.raises(RefusedError):
        let_in(WITH_BUCKETS, upload(), json.dumps(fields).encode())


@pytest.mark.parametrize(
    ("protocol", "request_"),
    [
        ("json", a_request("POST", "/", None, content_type="application/x-amz-json-1.0")),
        ("rest-json", a_request("GET", "/2015-03-31/functions", None)),
        ("query", a_request("POST", "/", None, content_type="application/x-www-form-urlencoded")),
        (
            "rest-xml",
            a_request(signer=None, authorization=f"AWS4 Credential=x/20260101/{REGION}/s3/y"),
        ),
        ("rest-xml", a_request(target="/b/k?X-Amz-Credential=x%2F2026%2Fr%2Fs3%2Fy", signer=None)),
    ],
)
def test_a_refusal_is_told_as_clients_read_it(protocol: str, request_: Request) -> None:
    refused = RefusedError("InvalidClientTokenId", "Only <these> & no others.")
    status, headers, body = guard.answer(refused, request_)
    response = {
        "status_code": status,
        "headers": {name.lower(): value for name, value in headers.items()},
        "body": body,
    }
    parser: Any = create_parser(protocol)
    error = parser.parse(response, None)["Error"]
    assert (status, error["Code"]) == (403, "InvalidClientTokenId")
    assert error["Message"] == "Only <these> & no others."


# ministack


@dataclass
class Asgi:
    """One request to an ASGI application behind a guard; what came of it."""

    listener: Guard
    served: list[bytes] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    received: int = 0

    def ask(
        self, request: Request, body: bytes = b"", kind: str = "http", ends: str = "http.request"
    ) -> int | None:
        """Send a request, its body in two parts; its status, None for none."""
        parts = [
            {"type": "http.request", "body": body[:3], "more_body": True},
            {"type": ends, "body": body[3:], "more_body": False},
        ]
        scope = {
            "type": kind,
            "method": request.method,
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": request.query.encode(),
            "headers": [(n.encode(), v.encode()) for n, v in request.headers.items()],
        }

        async def receive() -> Message:
            self.received += 1
            return parts.pop(0)

        async def send(message: Message) -> None:
            self.sent.append(message)

        async def run() -> None:
            await guard.asgi(self.listener, self.serve)(scope, receive, send)

        asyncio.run(run())
        statuses = [message["status"] for message in self.sent if "status" in message]
        return statuses[0] if statuses else None

    async def serve(self, scope: Any, receive: Any, send: Any) -> None:
        self.served.append((await receive())["body"] if scope["type"] == "http" else b"")
        headers = [(b"Access-Control-Allow-Origin", b"*"), (b"x-kept", b"1")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})

    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])


def test_ministack_gets_what_was_sent_and_shows_it_to_no_page() -> None:
    asgi = Asgi(WITH_BUCKETS)
    body = b"content"
    signed = signatures.sign(ROOT, REGION, "PUT", f"{OWN}/bucket/key", body=body)
    request = a_request("PUT", signer=None, **signed)
    assert asgi.ask(request, body) == 200
    assert asgi.served == [body]
    assert asgi.headers() == {b"x-kept": b"1"}


def test_a_page_that_the_bucket_allows_sees_the_answer() -> None:
    asgi = Asgi(WITH_BUCKETS)
    assert asgi.ask(a_request(origin=PAGE)) == 200
    assert asgi.headers()[b"Access-Control-Allow-Origin"] == b"*"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST"])
def test_ministack_does_not_hear_of_what_is_refused(method: str) -> None:
    asgi = Asgi(WITH_BUCKETS)
    assert asgi.ask(a_request(method, signer=None), b"body") == 403
    assert asgi.served == []
    assert not any(name.startswith(b"access-control") for name in asgi.headers())
    assert bool(asgi.sent[1]["body"]) == (method != "HEAD")


@pytest.mark.parametrize("signer", [None, Credentials("test", "test")])
def test_a_strangers_body_is_not_read(signer: Credentials | None) -> None:
    asgi = Asgi(LISTENER)
    assert asgi.ask(a_request("POST", signer=signer), b"endless") == 403
    assert asgi.received == 0


@pytest.mark.parametrize("target", ["/", "/bucket/key", "/nowhere", "/_aws/execute-api/a/b"])
def test_the_body_of_a_form_for_no_bucket_is_not_read(target: str) -> None:
    asgi = Asgi(WITH_BUCKETS)
    assert asgi.ask(upload(target), b"endless") == 403
    assert asgi.received == 0


def test_of_a_form_no_more_is_read_than_one_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps(form(ROOT)).encode()
    monkeypatch.setattr(guard, "MAX_FORM_BYTES", len(body))
    asgi = Asgi(WITH_BUCKETS)
    assert asgi.ask(upload(), body) == 200
    asgi = Asgi(WITH_BUCKETS)
    assert asgi.ask(upload(), body + b" ") == 400
    assert f"more than {len(body)} bytes".encode() in asgi.sent[1]["body"]
    monkeypatch.setattr(guard, "MAX_FORM_BYTES", 1)
    asgi = Asgi(WITH_BUCKETS)
    assert asgi.ask(upload(), body) == 400
    assert asgi.received == 1, "what is still to come is not read"
    signed = signatures.sign(ROOT, REGION, "PUT", f"{OWN}/bucket/key", body=body)
    assert Asgi(WITH_BUCKETS).ask(a_request("PUT", signer=None, **signed), body) == 200


def test_a_sender_that_goes_away_is_left_alone() -> None:
    asgi = Asgi(LISTENER)
    assert asgi.ask(a_request("PUT"), b"half", ends="http.disconnect") is None
    assert asgi.served == []


@pytest.mark.parametrize("signer", [ROOT, None])
def test_a_web_socket_is_a_request_like_others(signer: Credentials | None) -> None:
    asgi = Asgi(LISTENER)
    asgi.ask(a_request(signer=signer), kind="websocket")
    assert bool(asgi.served) == (signer is ROOT)
    assert signer is ROOT or asgi.sent == [{"type": "websocket.close", "code": 1008}]


@pytest.mark.parametrize(
    ("access_key", "status", "told"),
    [
        (SESSION.access_key, 200, {"secret_key": SESSION.secret_key, "token": SESSION.token}),
        ("unknown", 404, {}),
        (ROOT.access_key, 404, {}),
    ],
)
def test_root_is_told_what_ministack_issued(access_key: str, status: int, told: Any) -> None:
    asgi = Asgi(LISTENER)
    assert asgi.ask(a_request(target=f"{guard.ISSUED_PATH}{access_key}")) == status
    assert json.loads(asgi.sent[1]["body"]) == told
    assert asgi.served == []


# The gateway and the runner


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = free_settings(tmp_path)
    settings.make_credentials()
    return settings


@pytest.fixture
def ministack(settings: Settings) -> Iterator[list[str]]:
    """What issued the session's credentials; the paths that it was asked for, by whom it knows."""
    asked: list[str] = []
    listener = Guard(settings.credentials, (settings.aws_endpoint_url,), issued)

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = [(n.encode(), v.encode()) for n, v in self.headers.items()]
            let_in(listener, Request.of("GET", self.path, raw))
            asked.append(self.path)
            status, _, body = guard._told(listener, self.path.rpartition("/")[2])
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with serving(HTTPServer(("127.0.0.1", settings.aws_port), Answering)):
        yield asked


@contextmanager
def serving(server: HTTPServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_what_was_issued_is_asked_as_root_and_remembered(
    settings: Settings, ministack: list[str]
) -> None:
    find = guard.Issued(settings)
    assert [find(SESSION.access_key) for _ in range(3)] == [SESSION] * 3
    assert find("a/b c") is None
    assert ministack == [
        f"{guard.ISSUED_PATH}{SESSION.access_key}",
        f"{guard.ISSUED_PATH}a%2Fb%20c",
    ]


async def ask_gateway(settings: Settings, signer: Credentials | None, **headers: str) -> Any:
    """Ask an application behind the gateway's guard; status and body."""

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(middlewares=[guard.gateway(settings)])
    app.router.add_route("*", "/{path:.*}", echo)
    url = f"{settings.lambda_endpoint_url}/a%2Fb"
    async with TestServer(app, port=settings.lambda_port), ClientSession() as http:
        signed = signatures.sign(signer, REGION, "POST", url, body=b"body") if signer else {}
        async with http.post(url, data=b"body", headers={**signed, **headers}) as answered:
            return answered.status, await answered.read()


def test_the_gateway_lets_in_root_and_whom_ministack_knows(
    settings: Settings, ministack: list[str]
) -> None:
    for signer in (settings.credentials, SESSION):
        assert asyncio.run(ask_gateway(settings, signer)) == (200, b"body")
    known = (settings.credentials.access_key, SESSION.access_key)
    for stranger in (None, *(Credentials(key, "test") for key in ("test", *known))):
        status, body = asyncio.run(ask_gateway(settings, stranger))
        assert status == 403
        assert body != b"body"
    status, _ = asyncio.run(ask_gateway(settings, settings.credentials, Origin=PAGE))
    assert status == 403


def test_the_gateway_asks_a_session_to_come_back_while_ministack_is_away(
    settings: Settings,
) -> None:
    status, body = asyncio.run(ask_gateway(settings, SESSION))
    assert status == 503
    assert b"ServiceException" in body
    assert asyncio.run(ask_gateway(settings, settings.credentials)) == (200, b"body")


class Echo(BaseHTTPRequestHandler):
    """Stands in for the durable execution service's own handler."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.path.encode() + b" " + body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def runner(settings: Settings) -> Iterator[str]:
    handler = guard.handler(settings, Echo)
    with serving(HTTPServer(("127.0.0.1", settings.runner_port), handler)):
        yield settings.runner_endpoint_url


def test_the_runner_lets_in_root_alone(settings: Settings, runner: str) -> None:
    url = f"{runner}/a%2Fb?c=d"
    guessed = Credentials(settings.credentials.access_key, "test")
    strangers = (SESSION, guessed, Credentials("test", "test"), Credentials("", ""))
    for signer in (settings.credentials, *strangers):
        signed = signatures.sign(signer, REGION, "POST", url, body=b"body")
        answered = urllib3.request("POST", url, body=b"body", headers=signed, timeout=60)
        passed = answered.data == b"/a%2Fb?c=d body"
        assert (answered.status, passed) == ((403, False) if signer in strangers else (200, True))
    for method in ("GET", "POST", "OPTIONS", "ODD"):
        assert urllib3.request(method, url, timeout=60).status == 403


@pytest.mark.parametrize("length", ["-1", "x", "1e3", "9" * 30])
def test_the_runner_takes_no_length_that_is_none(
    settings: Settings, runner: str, length: str
) -> None:
    signed = signatures.sign(settings.credentials, REGION, "POST", f"{runner}/")
    headers = {**signed, "Content-Length": length}
    assert urllib3.request("POST", f"{runner}/", headers=headers, timeout=60).status == 400


def test_the_gateway_signs_as_root_what_it_passes_on(settings: Settings, runner: str) -> None:
    client = signatures.sign(SESSION, REGION, "POST", f"{settings.lambda_endpoint_url}/x")

    async def pass_on() -> tuple[int, bytes]:
        async with ClientSession(middlewares=[guard.signing(settings)]) as http:
            headers = {**client, "Host": f"127.0.0.1:{settings.lambda_port}", "X-Amz-Other": "1"}
            url = f"{runner}/start?a=b c"
            async with http.post(url, data=b"body", headers=headers) as answered:
                return answered.status, await answered.read()

    assert asyncio.run(pass_on()) == (200, b"/start?a=b+c body")


def test_ministack_signs_as_root_what_it_sends_the_gateway(settings: Settings, runner: str) -> None:
    sending = True
    signing = guard.SigningHandler(settings.credentials, REGION, runner, lambda: sending)
    path = "/_localcloud/functions/f/trigger"
    event = urllib.request.Request(f"{runner}{path}", b"event")  # noqa: S310 - the test's own
    with urllib.request.build_opener(signing).open(event, timeout=60) as answered:
        assert answered.read() == f"{path} event".encode()
    for elsewhere in (f"{runner}/2015-03-31/functions", f"http://127.0.0.1:9{path}"):
        request = urllib.request.Request(elsewhere)  # noqa: S310 - it is not sent
        assert signing.http_request(request).header_items() == []
    sending = False
    # As urllib reads them; the last is what it makes of a redirect.
    for mine in (f"{runner}{path}", f" {runner}{path}", f"<URL:{runner}{path}>"):
        for body in (b"event", None):
            request = urllib.request.Request(mine, body)  # noqa: S310 - it is not sent
            assert signing.http_request(request).header_items() == []
