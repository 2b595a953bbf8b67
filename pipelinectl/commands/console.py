"""`pipelinectl console`: the web page, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import webbrowser
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from pipelinectl import local
from pipelinectl.commands.context import JsonFlag, open_pipeline, options_of
from pipelinectl.commands.output import note, print_json_line
from pipelinectl.errors import OperationFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.settings import Settings
    from pipelinectl.console.app import Console

DEFAULT_PORT = 8765
_HOST = "127.0.0.1"
_MOST_PORT = 65_535


def console(
    ctx: typer.Context,
    *,
    allow_changes: Annotated[
        bool,
        typer.Option(
            "--allow-changes",
            help="Let the pages send, redrive, stop and kill; else they only show.",
        ),
    ] = False,
    show_content: Annotated[
        bool,
        typer.Option("--show-content", help="Show what is in records; else it is hidden."),
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            min=1,
            max=_MOST_PORT,
            help=f"Listen on this port; else on {DEFAULT_PORT}, or on any if that is taken.",
        ),
    ] = None,
    open_browser: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the address in the default browser.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the pipeline on a web page, on this machine and to whoever opens the printed address.

    The address works once, for one browser. What the page may do on AWS is what your credentials
    may. Ctrl-C ends it. With --json: {"address": ...}, on a line as soon as it listens.

    Examples:
    - `pipelinectl console`
    - `pipelinectl console --allow-changes --show-content`
    - `pipelinectl --profile prod console --open`
    """
    try:
        from pipelinectl.console.app import Console, Guard
        from pipelinectl.console.session import Session
    except ModuleNotFoundError as error:
        msg = (
            f"the console needs {error.name}, which is not installed: "
            "install the extra, for instance with pip install 'durable-pipeline[console]'"
        )
        raise UsageError(msg) from error

    pipeline = open_pipeline(ctx, quiet=as_json, changes=allow_changes)
    listening = _listen(port)
    session = Session(
        pipeline.connection,
        options_of(ctx),
        allow_changes=allow_changes,
        show_content=show_content,
        machine=_machine(pipeline.connection.at),
    )
    guard = Guard(listening.getsockname()[1])
    asyncio.run(
        _serve(
            Console(session, guard), listening, _teller(as_json=as_json, open_browser=open_browser)
        )
    )


def _teller(*, as_json: bool, open_browser: bool) -> Callable[[str], None]:
    """What says where the console is."""

    def tell(address: str) -> None:
        if as_json:
            print_json_line({"address": address})
        else:
            typer.echo(f"open {address}")
            note("it opens one browser, once; Ctrl-C ends the console")
        if open_browser:
            webbrowser.open(address)

    return tell


def _machine(at: str | None) -> Settings | None:
    """The settings of the local cloud, if the pipeline is on it."""
    settings = local.settings_from(os.environ)
    own = urlsplit(settings.aws_endpoint_url).netloc
    return settings if at == own else None


def _listen(port: int | None) -> socket.socket:
    """A socket of this machine alone.

    Raises:
        OperationFailedError: the port is taken.
    """
    for wanted in (DEFAULT_PORT, 0) if port is None else (port,):
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((_HOST, wanted))
        except OSError as error:
            listening.close()
            said = error.strerror or str(error)
        else:
            return listening
    msg = f"port {port}: {said}: name another with --port, or none to have one chosen"
    raise OperationFailedError(msg)


async def _serve(console: Console, listening: socket.socket, tell: Callable[[str], None]) -> None:
    from aiohttp import web

    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    runner = web.AppRunner(console.application(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        console.session.warm_up()
        await asyncio.to_thread(tell, console.guard.address)
        await stopped.wait()
        note("ending")
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.to_thread(console.session.stop)
        await runner.cleanup()
