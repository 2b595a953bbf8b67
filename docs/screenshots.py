"""Takes the pictures of the console's pages anew, below docs/console/: `make screenshots`.

It works on the local cloud of this folder, and sends it what there is to see: orders, some of them
wrong, a file, and one that is given up, edited and sent again. The demo runs before, and kills a
worker.
"""

from __future__ import annotations

import base64
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import BrowserContext, expect, sync_playwright

from pipelinectl.commands.context import Pipeline, local_pipeline
from pipelinectl.dead_letters import DeadLetter
from pipelinectl.timeline import build_timeline
from tests.chromium import REMEDY, find

T = TypeVar("T")

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "console"
PIPELINECTL = Path(sys.executable).with_name("pipelinectl")
SIZES = {"": (1280, 900), "-narrow": (400, 900)}
_QUALITY = 70
_PATIENCE = 600.0
_LOOKED_AT = 200
_COMES = {"executions": "stored"}
"""What a page shows that it does not wait for, nor say that it does not know yet."""
ORDER = {
    "data_source": "shop",
    "processing_type": "order",
    "record_id": "order-1042",
    "order_id": "W-1042",
    "sku": "mug-07",
    "quantity": 0,
    "unit_price": "7.90",
    "currency": "EUR",
    "ordered_at": "2026-03-01T12:00:00Z",
}


def main() -> None:
    """Fill the local cloud and take the pictures."""
    pipeline = local_pipeline()
    letter = _fill(pipeline)
    pages = {
        "overview": "/overview",
        "dead-letters": "/dead-letters",
        "dead-letter": f"/dead-letters/show?id={letter.message_id}",
        "edit": f"/dead-letters/edit?id={letter.message_id}",
        "executions": "/executions",
        "execution": f"/executions/show?arn={_interrupted(pipeline)}",
        "record": f"/record?id={ORDER['record_id']}",
        "file": "/files/show?object=input/orders.csv",
        "cost": "/cost?records=5000000",
        "local": "/local",
    }
    OUT.mkdir(exist_ok=True)
    with _console() as address, _browser(address) as context:
        origin = address.partition("/enter")[0]
        for name, path in pages.items():
            for suffix in SIZES:
                _take(context, f"{origin}{path}", f"{name}{suffix}")
        _take(context, f"{origin}/overview", "overview-dark", dark=True)


def _fill(pipeline: Pipeline) -> DeadLetter:
    """Send all there is to see; a dead letter to show."""
    _run("demo")
    for name in ("orders.jsonl", "orders.jsonl", "invalid.jsonl", "standard.jsonl"):
        _run("send", "--file", f"events/{name}")
    _run("upload", "events/orders.csv")
    _rest(pipeline)
    _run("send", json.dumps(ORDER))
    _wait(lambda: _letter(pipeline, "order-1042"))
    edited = json.dumps(ORDER | {"quantity": 2})
    note = "the till sent 0 for 2"
    _run("dlq", "redrive", "--id", "order-1042", "--body", edited, "--note", note)
    _wait(lambda: pipeline.items.get("order-1042"))
    _run("send", json.dumps(ORDER | {"record_id": "order-1043", "currency": "EURO"}))
    _rest(pipeline)
    return _wait(lambda: _letter(pipeline, "order-1043"))


def _rest(pipeline: Pipeline) -> None:
    """Wait until nothing runs, after a moment for what was just sent to begin."""
    time.sleep(5)
    _wait(lambda: None if list(pipeline.executions.newest(statuses=("RUNNING",))) else True)


def _letter(pipeline: Pipeline, execution_id: str) -> DeadLetter | None:
    letters = list(pipeline.dead_letters.peek())
    return next((one for one in letters if one.execution_id == execution_id), None)


def _interrupted(pipeline: Pipeline) -> str:
    """An execution whose worker the demo has killed."""
    for one in pipeline.executions.newest(limit=_LOOKED_AT):
        drawn = build_timeline(pipeline.executions.history(one.arn))
        if any(operation.failed for _, operation in drawn.walk()):
            return one.arn
    sys.exit("the demo has hit no execution: take the pictures again")


def _run(*arguments: str) -> None:
    subprocess.run([PIPELINECTL, *arguments], cwd=ROOT, check=True)  # noqa: S603 - this project's own command


def _wait(found: Callable[[], T | None]) -> T:
    give_up_at = time.monotonic() + _PATIENCE
    while time.monotonic() < give_up_at:
        if value := found():
            return value
        time.sleep(0.5)
    sys.exit("the local cloud has not come so far in ten minutes: see 'pipelinectl doctor'")


@contextmanager
def _console() -> Iterator[str]:
    """A console, and the address that opens it."""
    command = [str(PIPELINECTL), "console", "--allow-changes", "--show-content", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - this project's own command
        assert process.stdout  # noqa: S101 - it was asked for
        try:
            yield json.loads(process.stdout.readline())["address"]
        finally:
            process.send_signal(signal.SIGINT)


@contextmanager
def _browser(address: str) -> Iterator[BrowserContext]:
    chromium = find() or sys.exit(REMEDY)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium.path, env=dict(chromium.environment), args=["--no-sandbox"]
        )
        context = browser.new_context()
        page = context.new_page()
        page.goto(address)
        page.wait_for_url("**/overview")
        yield context
        browser.close()


def _take(context: BrowserContext, url: str, name: str, *, dark: bool = False) -> None:
    width, height = SIZES["-narrow" if name.endswith("-narrow") else ""]
    page = context.new_page()
    page.emulate_media(color_scheme="dark" if dark else "light")
    page.set_viewport_size({"width": width, "height": height})
    page.goto(url)
    # What a page does not know at once, it shows when it comes.
    unknown = re.compile("not yet|Looking for it")
    expect(page.locator("#live")).not_to_contain_text(unknown, timeout=_PATIENCE * 1000)
    comes = _COMES.get(name.removesuffix("-narrow"), "")
    expect(page.locator("#live")).to_contain_text(comes, timeout=_PATIENCE * 1000)
    shown = context.new_cdp_session(page)
    picture = shown.send("Page.captureScreenshot", {"format": "webp", "quality": _QUALITY})
    (OUT / f"{name}.webp").write_bytes(base64.b64decode(picture["data"]))
    page.close()


if __name__ == "__main__":
    main()
