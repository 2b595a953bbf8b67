"""The uploads API and the S3 that its URLs lead to, on a port of this machine.

S3 checks presigned requests as the real one does; what it stores is in moto.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.presigned import refusal
from uploads.handler import api
from uploads.uploads import Settings, Uploads

MAXIMUM = 1_000_000


class Server(ThreadingHTTPServer):
    """Serves one payload bucket.

    Where it is `forbidden` the API refuses every request, where it is `broken` S3 breaks off.
    """

    daemon_threads = True

    def __init__(self, bucket: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.s3 = boto3.client("s3")
        config = Config(signature_version="s3v4", s3={"addressing_style": "path"})
        signer = boto3.client("s3", endpoint_url=self.url, config=config)
        self.api = api(lambda: Uploads(signer, Settings(bucket, 900, MAXIMUM, "path")))
        self.signed_for: list[str] = []
        self.broken = False
        self.forbidden = False

    def handle_error(self, *_: object) -> None:
        """A client that breaks off is none of our errors."""


class Handler(BaseHTTPRequestHandler):
    """One request."""

    server: Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path.startswith("/uploads"):
            self._call_api()
        else:
            self._call_s3("GET")

    def do_HEAD(self) -> None:
        self._call_s3("HEAD")

    def do_POST(self) -> None:
        self._call_api()

    def do_PUT(self) -> None:
        self._call_s3("PUT")

    def _call_api(self) -> None:
        self.server.signed_for.append(self.headers["Authorization"].split("/")[3])
        if self.server.forbidden:
            self._answer(403, json.dumps({"message": "Forbidden"}).encode())
            return
        event: Any = {
            "version": "2.0",
            "rawPath": self.path,
            "headers": dict(self.headers.items()),
            "requestContext": {
                "stage": "$default",
                "http": {"method": self.command, "path": self.path},
            },
            "body": self._body().decode(),
            "isBase64Encoded": False,
        }
        answer = self.server.api.resolve(event, None)  # type: ignore[arg-type]  # needs no context
        self._answer(answer["statusCode"], answer["body"].encode())

    def _call_s3(self, method: str) -> None:
        _, bucket, key = unquote(urlsplit(self.path).path).split("/", 2)
        if "X-Amz-Signature" in self.path:
            secret = os.environ["AWS_SECRET_ACCESS_KEY"]
            url = f"{self.server.url}{self.path}"
            if code := refusal(method, url, dict(self.headers.items()), secret_key=secret):
                self._body()
                self._answer(403, f"<Error><Code>{code}</Code></Error>".encode())
                return
        content = self._body()
        if method == "PUT":
            self._put(bucket, key, content)
        else:
            self._get(bucket, key)

    def _put(self, bucket: str, key: str, content: bytes) -> None:
        metadata = {
            name.lower().removeprefix("x-amz-meta-"): value
            for name, value in self.headers.items()
            if name.lower().startswith("x-amz-meta-")
        }
        response = self.server.s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=content,
            ContentType=self.headers["Content-Type"],
            Metadata=metadata,
        )
        self._answer(200, b"", ETag=response["ETag"])

    def _get(self, bucket: str, key: str) -> None:
        try:
            found = self.server.s3.get_object(Bucket=bucket, Key=key)
        except ClientError:
            self._answer(404, b"")
            return
        content = found["Body"].read()
        if self.server.broken and self.command == "GET":
            content = content[:-1]
        self._answer(200, content, **{"Content-Type": found["ContentType"]})

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def _answer(self, status: int, content: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(bucket: str) -> Iterator[Server]:
    """The server, while it runs."""
    server = Server(bucket)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
