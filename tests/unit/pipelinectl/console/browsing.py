"""Asks a console what a browser would, without one."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from aiohttp import ClientSession, DummyCookieJar
from aiohttp.test_utils import TestServer
from yarl import URL

from pipelinectl.aws import Connection, Options
from pipelinectl.console.app import Console, Guard
from pipelinectl.console.session import Session

T = TypeVar("T")
PORT = 8123
OURS = {"Host": f"127.0.0.1:{PORT}"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    text: str


class Somewhere(Session):
    """A session whose pipeline is not asked."""

    @property
    def pipeline(self) -> Any:
        return type("Pipeline", (), {"target": "nowhere"})()


@dataclass
class Browser:
    """Sends what it is told to, with the cookie unless it is told otherwise."""

    http: ClientSession
    base: URL
    guard: Guard

    async def ask(
        self,
        path: str,
        method: str = "GET",
        *,
        cookie: str | None = None,
        headers: Mapping[str, str] = OURS,
        **more: Any,
    ) -> Answer:
        secret = self.guard.secret if cookie is None else cookie
        cookies = {"Cookie": f"{self.guard.cookie}={secret}"} if secret else {}
        async with self.http.request(
            method,
            self.base.join(URL(path)),
            headers={**cookies, **headers},
            allow_redirects=False,
            **more,
        ) as response:
            return Answer(response.status, response.headers, await response.text())


def asking(path: str) -> Callable[[Browser], Awaitable[Answer]]:
    """What asks for one page."""
    return lambda browser: browser.ask(path)


def browse(
    use: Callable[[Browser], Awaitable[T]],
    session: Session | None = None,
    *,
    allow_changes: bool = False,
    used: bool = True,
) -> T:
    """Run `use` with a console, whose address was opened already if it is `used`."""
    of = session or Somewhere(Connection(), Options(), allow_changes=allow_changes)

    async def run() -> T:
        console = Console(of, Guard(PORT, used=used))
        async with (
            TestServer(console.application()) as server,
            ClientSession(cookie_jar=DummyCookieJar()) as http,
        ):
            return await use(Browser(http, server.make_url("/"), console.guard))

    return asyncio.run(run())
