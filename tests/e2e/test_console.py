"""The console in a real browser, on the local cloud."""

from __future__ import annotations

import http.server
import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from pipelinectl.console.actions import ACTIONS
from pipelinectl.console.pages import NAVIGATION
from tests.chromium import REMEDY, find
from tests.e2e.conftest import BIN, PATIENCE, Stack

MILLISECONDS = PATIENCE * 1000
SCRIPT = "<script>document.title = 'taken over'; alert(1)</script>"
ORDER = {
    "data_source": "console.test",
    "processing_type": "order",
    "order_id": "W-1",
    "sku": "mug-07",
    "quantity": 0,
    "unit_price": "7.90",
    "currency": "EUR",
    "ordered_at": "2026-03-01T12:00:00Z",
    "note": SCRIPT,
}


@dataclass
class Console:
    """One that runs; `address` opens one browser."""

    process: subprocess.Popen[str]
    address: str

    @property
    def origin(self) -> str:
        return self.address.partition("/enter")[0]

    def url(self, path: str) -> str:
        return f"{self.origin}{path}"


@contextmanager
def console(stack: Stack, *options: str) -> Iterator[Console]:
    """A console as its command starts it; it has to end by Ctrl-C."""
    environment = {**os.environ, **stack.cloud.settings.client_environment()}
    process = subprocess.Popen(
        [BIN / "pipelinectl", "console", *options],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        said = process.stdout.readline()
        assert said.startswith("open http://127.0.0.1:"), process.communicate()
        yield Console(process, said.split()[1])
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, stderr
        assert "Traceback" not in stderr
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    found = find()
    if found is None:
        if os.environ.get("CI"):
            pytest.fail(REMEDY)
        pytest.skip(REMEDY)  # a laptop may have none; where CI is set it fails
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=found.path,
            env=dict(found.environment),
            # Its own sandbox needs what containers do not have; it visits this console alone.
            args=["--no-sandbox", "--host-resolver-rules=MAP evil.example 127.0.0.1"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def allowing(stack: Stack) -> Iterator[Console]:
    with console(stack, "--allow-changes", "--show-content") as started:
        yield started


@pytest.fixture(scope="module")
def inside(browser: Browser, allowing: Console) -> Iterator[BrowserContext]:
    context = entered(browser, allowing)
    yield context
    context.close()


def entered(browser: Browser, into: Console, **options: Any) -> BrowserContext:
    """A browser that has opened the console's address; a script that got in fails the test."""
    context = browser.new_context(**options)
    context.set_default_timeout(MILLISECONDS)
    context.on("dialog", lambda dialog: pytest.fail(f"a page said: {dialog.message}"))
    page = context.new_page()
    page.goto(into.address)
    page.wait_for_url("**/overview")
    page.close()
    return context


@pytest.fixture
def page(inside: BrowserContext) -> Iterator[Page]:
    page = inside.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    yield page
    page.close()
    assert [one for one in complaints if "Content Security Policy" in one] == []


def see(page: Page, selector: str, text: str | re.Pattern[str]) -> None:
    """Wait until an element with this text is there."""
    expect(page.locator(selector, has_text=text).first).to_be_visible(timeout=MILLISECONDS)


def send(page: Page, into: Console, record: dict[str, Any]) -> None:
    page.goto(into.url("/overview"))
    page.get_by_label("Its body").fill(json.dumps(record))
    page.get_by_role("button", name="Send it").click()


def test_a_bad_message_is_found_read_edited_sent_again_and_stored(
    page: Page, allowing: Console, stack: Stack
) -> None:
    record_id = "console-edited"
    send(page, allowing, ORDER | {"record_id": record_id})
    see(page, ".outcomes .status", "dead letter")

    page.get_by_role("link", name="Dead letters").first.click()
    see(page, "h2", "By reason")
    page.get_by_role("link", name="ValidationError").first.click()
    page.locator("a.row", has_text="quantity").first.click()
    see(page, ".reasons li", "quantity must be bigger than or equal to 1")
    see(page, "pre.content", SCRIPT)

    page.get_by_role("link", name="Edit…").click()
    edited = page.get_by_label("Body", exact=True)
    edited.fill(edited.input_value().replace('"quantity": 0', '"quantity": 3'))
    page.get_by_role("button", name="Show what differs").click()
    see(page, ".difference .removed", '"quantity": 0')
    see(page, ".difference .added", '"quantity": 3')
    page.get_by_label("A note for the audit line").fill("the till sent 0 for 3")
    page.get_by_role("button", name="Send it").click()
    see(page, ".outcomes .status", "stored")

    page.get_by_role("link", name=record_id).first.click()
    see(page, "pre.content", '"quantity": 3')
    assert page.title().startswith("Record")
    story = page.locator("ol.story > li")
    for chapter, words in enumerate(
        ("quantity must be bigger", "the till sent 0 for 3", "durable-pipeline-internal")
    ):
        expect(story.nth(chapter)).to_contain_text(words, timeout=MILLISECONDS)
    page.get_by_role("button", name="Take it through the pipeline again").click()
    see(page, "p", "unchanged")
    assert stack.items()[record_id]["transformed_data"]["M"]["quantity"]["N"] == "3"


def test_a_dead_letter_is_sent_again_as_it_is_after_a_dry_run(
    page: Page, allowing: Console
) -> None:
    send(page, allowing, ORDER | {"record_id": "console-again"})
    see(page, ".outcomes .status", "dead letter")
    sent_again = page.url
    page.goto(allowing.url("/dead-letters?stage=validate&reason=quantity"))
    page.get_by_role("link", name=re.compile("Send these again")).click()
    see(page, "p", "Nothing was sent yet")
    page.get_by_role("button", name=re.compile(r"Send \d+ message")).click()
    see(page, "p", re.compile(r"sent \d+ of \d+ message"))
    assert page.url != sent_again
    # It is as bad as before.
    see(page, ".outcomes .status", "dead letter")
    page.goto(allowing.url("/done"))
    see(page, "a.row", "again")


def test_a_door_is_paused_and_resumed(page: Page, allowing: Console) -> None:
    page.goto(allowing.url("/overview"))
    page.get_by_label("What its queue brings").select_option("files")
    page.get_by_role("button", name="Pause").click()
    see(page, "p", "files: Disabled")
    page.goto(allowing.url("/overview"))
    see(page, "p.problem", "Paused: files")
    page.get_by_label("What its queue brings").select_option("files")
    page.get_by_role("button", name="Resume").click()
    see(page, "p", "files: Enabled")


def test_a_dead_letter_is_discarded_with_a_note(page: Page, allowing: Console) -> None:
    send(page, allowing, ORDER | {"record_id": "console-discarded"})
    see(page, ".outcomes .status", "dead letter")
    page.get_by_role("link", name="console-discarded").first.click()
    page.locator("ol.story a", has_text=re.compile("^[0-9a-f]{8}$")).first.click()
    page.get_by_label("Why, for the audit line").fill("a test of the till")
    page.get_by_role("button", name="Delete it for good").click()
    see(page, "p", "deleted, with its audit line")
    page.goto(allowing.url("/record?id=console-discarded"))
    see(page, ".summary .status", "discarded")
    see(page, "ol.story > li", "a test of the till")


def test_what_one_types_outlives_the_page_s_changes(page: Page, allowing: Console) -> None:
    page.goto(allowing.url("/overview"))
    field = page.get_by_label("Its body")
    field.fill("half a thought")
    with page.expect_response(lambda response: "seen=" in response.url):
        pass

    assert field.input_value() == "half a thought"
    assert page.evaluate("document.activeElement.id") == "body"


def test_a_page_is_used_with_the_keyboard(page: Page, allowing: Console) -> None:
    page.goto(allowing.url("/executions"))
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "status"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("address", [address for address, _ in NAVIGATION])
def test_no_page_is_wider_than_the_screen(
    page: Page, allowing: Console, address: str, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(allowing.url(address))
    see(page, "h1", re.compile("."))

    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_pages_are_light_or_dark_as_the_system_is(page: Page, allowing: Console) -> None:
    page.goto(allowing.url("/done"))
    grounds = []
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        page.emulate_media(color_scheme=scheme)
        grounds.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    assert grounds == ["rgb(255, 255, 255)", "rgb(20, 25, 28)"]


def test_each_page_has_a_twin_in_json_and_the_command(page: Page, allowing: Console) -> None:
    for address, _ in NAVIGATION:
        page.goto(allowing.url(address))
        see(page, "footer code", "pipelinectl")
        twin = page.get_by_role("link", name="This page as JSON").get_attribute("href")
        answer = page.request.get(allowing.url(str(twin)))
        assert answer.headers["content-type"].startswith("application/json")
        answer.json()


def test_a_strange_browser_sees_nothing(
    browser: Browser, inside: BrowserContext, allowing: Console
) -> None:
    stranger = browser.new_context()
    page = stranger.new_page()
    for path in ("/overview", "/dead-letters.json"):
        answer = page.goto(allowing.url(path))
        assert answer
        assert answer.status == 401
    answer = page.goto(allowing.address)  # it was used
    assert answer
    assert answer.status == 403
    stranger.close()


def test_a_name_that_leads_to_this_machine_is_refused(page: Page, allowing: Console) -> None:
    port = allowing.origin.rpartition(":")[2]
    answer = page.goto(f"http://evil.example:{port}/overview")

    assert answer
    assert answer.status == 421
    assert page.locator(".target").count() == 0


@contextmanager
def another_site(content: str) -> Iterator[str]:
    """A web server on this machine that shows `content`; its address."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(content.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_another_site_changes_nothing_and_reads_nothing(
    inside: BrowserContext, allowing: Console
) -> None:
    page = inside.new_page()
    attack = f"""<form method="post" action="{allowing.url("/send")}">
    <input name="body" value='{{"data_source": "evil", "processing_type": "standard"}}'>
    <button>Win</button></form><iframe src="{allowing.url("/overview")}"></iframe>"""
    with another_site(attack) as address:
        for site in (address, address.replace("127.0.0.1", "evil.example")):
            page.goto(site)
            assert page.frames[1].url != allowing.url("/overview") or (
                page.frames[1].locator(".target").count() == 0
            )
            read = page.evaluate(
                "url => fetch(url, {credentials: 'include'}).then(() => 'read', () => 'refused')",
                allowing.url("/overview.json"),
            )
            assert read == "refused"
            with page.expect_navigation(url="**/send") as navigation:
                page.get_by_role("button", name="Win").click()
            assert navigation.value
            assert navigation.value.status in (401, 403)
    page.goto(allowing.url("/done"))
    assert "evil" not in page.content()
    page.close()


POSTS = "paths => Promise.all(paths.map(path => fetch(path, {method: 'POST'}).then(r => r.status)))"


def test_a_console_that_only_shows_changes_nothing_and_hides_content(
    browser: Browser, allowing: Console, page: Page, stack: Stack
) -> None:
    inside_it = "nobody's business"
    send(page, allowing, ORDER | {"record_id": "console-hidden", "note": inside_it})
    see(page, ".outcomes .status", "dead letter")
    with console(stack) as reading:
        context = entered(browser, reading)
        page = context.new_page()
        for address, _ in NAVIGATION:
            page.goto(reading.url(address))
            assert page.locator("form[method=post]").count() == 0
        assert set(page.evaluate(POSTS, list(ACTIONS))) <= {404, 405}

        page.goto(reading.url("/dead-letters?reason=quantity"))
        page.locator("a.row", has_text="quantity").first.click()
        see(page, "p", "The body, ")
        see(page, "p", "--show-content")
        pages = [page.content()]
        for path in ("/dead-letters.json", "/record.json?id=console-hidden"):
            answer = page.request.get(reading.url(path))
            assert answer.ok
            pages.append(answer.text())
        assert all("console-hidden" in one for one in pages)
        assert all(inside_it not in one for one in pages)
        context.close()


def test_pages_are_read_without_scripts(browser: Browser, stack: Stack) -> None:
    with console(stack) as reading:
        context = entered(browser, reading, java_script_enabled=False)
        page = context.new_page()
        for address, name in NAVIGATION:
            page.goto(reading.url(address))
            see(page, "h1", name)
            assert page.locator("#live").inner_text().strip()
        context.close()
