"""The console's web server: who may ask it for what, and how it answers."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote, urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from pipelinectl import errors
from pipelinectl.commands import output
from pipelinectl.console.actions import ACTIONS
from pipelinectl.console.pages import NAVIGATION, PAGES, WAIT, Page, download
from pipelinectl.console.session import Job
from pipelinectl.errors import ExitCode, NotFoundError, UsageError
from pipelinectl.exact_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipelinectl.console.session import Session

log = logging.getLogger("pipelinectl.console")

HOST = "127.0.0.1"
ENTER = "/enter"
STATIC = "/static/"
HOME = "/overview"

_MAX_FORM_BYTES = 4 * 1024 * 1024  # a body of 1 MiB, each byte as %XX, and what is beside it
# A page shows what is there and the rest when it comes; a program wants all of it at once.
_TWIN_SECONDS = 120
_SAFE = ("GET", "HEAD")

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""Of every answer."""

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Refusal(Exception):
    """The console does not answer this request; the message says why and what to do."""

    def __init__(self, status: HTTPStatus, said: str) -> None:
        super().__init__(said)
        self.status = status


@dataclass
class Guard:
    """Lets in whoever opened the address that the terminal printed, and nobody else.

    The address works once; it leaves a cookie. Cookies do not know ports, so the cookie's name
    does: two consoles of one user do not put each other out.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    used: bool = False

    @property
    def address(self) -> str:
        """What to open."""
        return f"http://{HOST}:{self.port}{ENTER}?{urlencode({'token': self.token})}"

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return f"pipelinectl-console-{self.port}"

    def check(self, request: web.Request) -> None:
        """Refuse what does not come from the page itself, or from whoever opened the address.

        Raises:
            Refusal: it does not.
        """
        self._check_host(request)
        self._check_origin(request)
        if request.path != ENTER and not request.path.startswith(STATIC):
            self._check_cookie(request)

    def enter(self, request: web.Request) -> None:
        """Take the token, once.

        Raises:
            Refusal: it is another, or was used.
        """
        given = request.query.get("token", "")
        if self.used or not secrets.compare_digest(given.encode(), self.token.encode()):
            raise Refusal(
                HTTPStatus.FORBIDDEN,
                "This address was used already, or is another console's: each opens one browser. "
                "Stop the console with Ctrl-C, start it again, and open the address it prints.",
            )
        self.used = True

    def _check_host(self, request: web.Request) -> None:
        # A page of another host that has its name lead to 127.0.0.1 names that host.
        if request.headers.get("Host") not in self._hosts:
            msg = f"The console answers as http://{HOST}:{self.port} and by no other name."
            raise Refusal(HTTPStatus.MISDIRECTED_REQUEST, msg)

    @property
    def _hosts(self) -> tuple[str, str]:
        return f"{HOST}:{self.port}", f"localhost:{self.port}"

    def _check_origin(self, request: web.Request) -> None:
        site = request.headers.get("Sec-Fetch-Site")
        origin = request.headers.get("Origin")
        if request.method in _SAFE:
            # Another port of this machine is the same site to a browser, cookie included.
            foreign = site in ("cross-site", "same-site") and request.path != ENTER
        else:
            ours = f"http://{request.headers['Host']}"
            # A page that sends no referrer sends the origin "null" with its forms.
            said = origin not in (None, "null")
            foreign = (said and origin != ours) or (site or "same-origin") != "same-origin"
            foreign = foreign or not (said or site)
        if foreign:
            msg = (
                "The console takes requests only from its own pages: open it by its address, "
                "in a browser of today."
            )
            raise Refusal(HTTPStatus.FORBIDDEN, msg)

    def _check_cookie(self, request: web.Request) -> None:
        given = request.cookies.get(self.cookie, "")
        if not secrets.compare_digest(given.encode(), self.secret.encode()):
            msg = (
                "This browser has not opened the address that the console printed in its terminal. "
                "If another one has, stop the console with Ctrl-C and start it again."
            )
            raise Refusal(HTTPStatus.UNAUTHORIZED, msg)


@dataclass
class Console:
    """Answers requests about one session."""

    session: Session
    guard: Guard

    def __post_init__(self) -> None:
        self._templates = _templates()

    def application(self) -> web.Application:
        """Pages, their twins, and changes only where they are allowed."""
        app = web.Application(
            middlewares=[self._answer_errors], client_max_size=_MAX_FORM_BYTES, logger=log
        )
        app.on_response_prepare.append(_harden)
        app.router.add_get(ENTER, self._enter)
        app.router.add_get("/", self._home)
        app.router.add_get(STATIC + "{name}", _static)
        for path, page in PAGES.items():
            app.router.add_get(path, self._shows(page))
            app.router.add_get(f"{path}.json", self._documents(page))
        app.router.add_get("/files/download", self._download)
        if self.session.allow_changes:
            for path, action in ACTIONS.items():
                app.router.add_post(path, self._does(action))
        return app

    @web.middleware
    async def _answer_errors(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            self.guard.check(request)
            return await handler(request)
        except Refusal as refusal:
            return self._error(request, refusal.status, str(refusal))
        except web.HTTPException as answer:
            if answer.status < HTTPStatus.BAD_REQUEST:
                raise
            return self._error(request, HTTPStatus(answer.status), self._unknown(answer.status))
        except errors.expected() as error:
            failure = errors.explain(error)
            self.session.forget()
            return self._error(request, _status(error, failure.exit_code), failure.line)
        except Exception:  # the boundary of the server: one page's defect ends no other
            log.exception("a defect at %s", request.path)  # with its traceback, in the terminal
            msg = "This is a defect of the console; its terminal has the details."
            return self._error(request, HTTPStatus.INTERNAL_SERVER_ERROR, msg)

    def _unknown(self, status: int) -> str:
        if status == HTTPStatus.METHOD_NOT_ALLOWED and not self.session.allow_changes:
            return "This console changes nothing: start it with --allow-changes to let it."
        if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return "This is more than a message may have (1 MiB): send less."
        return "There is no such page: begin at the overview."

    async def _enter(self, request: web.Request) -> web.StreamResponse:
        self.guard.enter(request)
        # A page that goes on, and no redirect: what another site led here is not given the cookie
        # before the browser has left that site.
        response = web.Response(
            text=self._templates.get_template("enter.html").render(home=HOME),
            content_type="text/html",
        )
        response.set_cookie(
            self.guard.cookie, self.guard.secret, httponly=True, samesite="Strict", path="/"
        )
        return response

    async def _home(self, _request: web.Request) -> web.StreamResponse:
        raise web.HTTPSeeOther(HOME)

    def _shows(self, page: Callable[..., Page]) -> Handler:
        async def show(request: web.Request) -> web.StreamResponse:
            query = dict(request.query)
            query.pop(WAIT, None)
            seen = query.pop("seen", None)
            found = await asyncio.to_thread(page, self.session, query)
            if request.headers.get("HX-Request"):
                return self._fragment(request, found, query, seen)
            return self._page(request, found, query)

        return show

    def _documents(self, page: Callable[..., Page]) -> Handler:
        async def tell(request: web.Request) -> web.StreamResponse:
            query = {**request.query, WAIT: str(_TWIN_SECONDS)}
            found = await asyncio.to_thread(page, self.session, query)
            return web.json_response(found.document, dumps=dumps)

        return tell

    def _does(self, action: Callable[..., Job | Page]) -> Handler:
        async def do(request: web.Request) -> web.StreamResponse:
            posted = await request.post()
            form = {n: v for n, v in posted.items() if isinstance(v, str) and n != WAIT}
            answer = await asyncio.to_thread(action, self.session, form)
            if isinstance(answer, Job):
                raise web.HTTPSeeOther(f"/done/show?number={answer.number}")
            return self._page(request, answer, {})

        return do

    async def _download(self, request: web.Request) -> web.StreamResponse:
        """All results or rejects of a file, one part after the other, as they come."""
        name, chunks = await asyncio.to_thread(download, self.session, dict(request.query))
        response = web.StreamResponse(
            headers={
                "Content-Type": "application/x-ndjson",
                "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            }
        )
        await response.prepare(request)
        while chunk := await asyncio.to_thread(next, chunks, b""):
            await response.write(chunk)
        await response.write_eof()
        return response

    def _page(self, request: web.Request, page: Page, query: Mapping[str, str]) -> web.Response:
        context = self._context(request, page, query)
        template = self._templates.get_template(page.template)
        live, digest = self._live(page, context)
        text = template.render(context | {"live": live, "poll": _poll(request, query, digest)})
        return web.Response(text=text, content_type="text/html")

    def _fragment(
        self, request: web.Request, page: Page, query: Mapping[str, str], seen: str | None
    ) -> web.Response:
        """The part that changes, or nothing where it has not: what is typed and chosen stays."""
        live, digest = self._live(page, self._context(request, page, query))
        if digest == seen and page.every:
            return web.Response(status=HTTPStatus.NO_CONTENT)
        return self._wrapped(live, _poll(request, query, digest), page.every)

    def _wrapped(
        self,
        live: Markup,
        poll: str,
        every: int,
        status: HTTPStatus = HTTPStatus.OK,
    ) -> web.Response:
        wrapper = self._templates.get_template("live.html")
        text = wrapper.render(live=live, poll=poll, every=every)
        return web.Response(text=text, content_type="text/html", status=status)

    def _live(self, page: Page, context: Mapping[str, Any]) -> tuple[Markup, str]:
        template = self._templates.get_template(page.template)
        block = template.blocks["live"](template.new_context(dict(context)))
        text = "".join(block)
        return Markup(text), hashlib.sha256(text.encode()).hexdigest()[:16]  # noqa: S704 - from a template

    def _context(
        self, request: web.Request, page: Page, query: Mapping[str, str]
    ) -> dict[str, Any]:
        session = self.session
        twin = f"{request.path}.json"
        return {
            "title": page.title,
            "every": page.every,
            "command": session.command(*page.command),
            "json": f"{twin}?{urlencode(query)}" if query else twin,
            "path": request.path,
            "navigation": NAVIGATION,
            "allow_changes": session.allow_changes,
            "show_content": session.show_content,
            "target": session.pipeline.target,
            "now": datetime.now(UTC),
            **page.shown,
        }

    def _error(self, request: web.Request, status: HTTPStatus, said: str) -> web.Response:
        if request.path.endswith(".json"):
            return web.json_response({"error": said}, status=status, dumps=dumps)
        context = {
            "title": status.phrase,
            "said": said,
            "navigation": NAVIGATION,
            "path": request.path,
            "every": 0,
            "inside": status not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.MISDIRECTED_REQUEST),
        }
        if request.headers.get("HX-Request"):
            text = self._templates.get_template("failed.html").render(context)
            query = {name: value for name, value in request.query.items() if name != "seen"}
            return self._wrapped(Markup(text), _poll(request, query, ""), 5, status)  # noqa: S704 - from a template
        text = self._templates.get_template("error.html").render(context)
        return web.Response(text=text, content_type="text/html", status=status)


def _poll(request: web.Request, query: Mapping[str, str], digest: str) -> str:
    """Where the part that changes is asked for again."""
    return f"{request.path}?{urlencode({**query, 'seen': digest})}"


def _status(error: Exception, code: ExitCode) -> HTTPStatus:
    match error:
        case NotFoundError():
            return HTTPStatus.NOT_FOUND
        case UsageError():
            return HTTPStatus.BAD_REQUEST
        case errors.PipelinectlError() if code is ExitCode.FAILED:
            return HTTPStatus.CONFLICT
    if code is ExitCode.UNREACHABLE:
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.BAD_GATEWAY


async def _harden(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


async def _static(request: web.Request) -> web.StreamResponse:
    """One of the files beside this module, found by name among them."""
    folder = resources.files("pipelinectl.console") / "static"
    name = request.match_info["name"]
    for file in folder.iterdir():
        if file.name == name and (suffix := f".{name.rpartition('.')[2]}") in _TYPES:
            return web.Response(
                body=file.read_bytes(),
                content_type=_TYPES[suffix],
                charset="utf-8",
                headers={"Cache-Control": "max-age=300"},
            )
    raise web.HTTPNotFound


@cache
def _templates() -> Environment:
    """The templates, compiled: once, because that takes half a second."""
    templates = Environment(
        loader=PackageLoader("pipelinectl.console"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "age": _age,
        "clock": output.clock,
        "counted": output.counted,
        "counted_as": output.counted_as,
        "duration": output.duration,
        "lines": _lines,
        "size": output.size,
        "visible": output.visible,
        "json": lambda value: dumps(value),
        "dollars": lambda value: f"{value:,.2f}",
        "amount": _amount,
    }
    templates.globals["ui"] = templates.get_template("ui.html").module
    for name in templates.list_templates():
        templates.get_template(name)  # so that nobody has to wait for it
    return templates


def _age(moment: datetime) -> str:
    """How long ago: to the minute, so that a page does not change by itself each second."""
    found = output.age(moment, datetime.now(UTC))
    return "less than a minute" if found.endswith(" s") else found


def _lines(text: str) -> Iterator[str]:
    """The lines of a text, with escapes for what a browser would obey or not show."""
    return (output.visible(line) for line in text.split("\n"))


def _amount(value: float) -> str:
    """A quantity with the digits that matter."""
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.2f}" if value >= 1 else f"{value:.2g}"
