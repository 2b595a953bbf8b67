"""Who the console answers, and with what headers."""

from collections.abc import Mapping
from typing import Any, cast

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from yarl import URL

from pipelinectl.aws import Connection, Options
from pipelinectl.console.actions import ACTIONS
from pipelinectl.console.app import HEADERS
from pipelinectl.console.pages import PAGES, Page
from pipelinectl.console.session import Session
from pipelinectl.errors import OperationFailedError, StackMissingError
from tests.unit.pipelinectl.console.browsing import OURS, PORT, Answer, Browser, asking, browse


def status(path: str, method: str = "GET", *, allow_changes: bool = False, **more: Any) -> int:
    return browse(lambda b: b.ask(path, method, **more), allow_changes=allow_changes).status


def test_whoever_has_the_cookie_is_answered() -> None:
    assert status("/done") == 200


@pytest.mark.parametrize("cookie", ["", "x", "ü"])
def test_whoever_has_not_is_not(cookie: str) -> None:
    async def visit(browser: Browser) -> Answer:
        return await browser.ask("/done", headers={**OURS, "Cookie": f"a=b; x={cookie}"}, cookie="")

    answer = browse(visit)

    assert answer.status == 401
    assert "has not opened the address" in answer.text
    assert "nowhere" not in answer.text


@pytest.mark.parametrize("path", list(PAGES))
def test_no_page_and_no_twin_is_for_strangers(path: str) -> None:
    assert status(path, cookie="guessed") == 401
    assert status(f"{path}.json", cookie="guessed") == 401


@pytest.mark.parametrize(
    ("host", "answered"),
    [
        (f"127.0.0.1:{PORT}", 200),
        (f"localhost:{PORT}", 200),
        (f"evil.example:{PORT}", 421),
        ("127.0.0.1", 421),
        (f"127.0.0.1:{PORT + 1}", 421),
        (f"localhost:{PORT}.evil.example", 421),
        (f"LOCALHOST:{PORT}", 421),
        ("", 421),
    ],
)
def test_only_its_own_host_is_answered(host: str, answered: int) -> None:
    assert status("/done", headers={"Host": host}) == answered
    assert status("/static/console.css", headers={"Host": host}, cookie="") == answered


def test_the_address_opens_one_browser_once() -> None:
    async def open_twice(browser: Browser) -> tuple[Answer, Answer]:
        address = URL(browser.guard.address)
        path = f"{address.path}?{address.query_string}"
        return await browser.ask(path, cookie=""), await browser.ask(path, cookie="")

    first, second = browse(open_twice, used=False)

    assert first.status == 200
    assert "HttpOnly" in first.headers["Set-Cookie"]
    assert "SameSite=Strict" in first.headers["Set-Cookie"]
    assert "Domain" not in first.headers["Set-Cookie"]
    assert second.status == 403
    assert "Set-Cookie" not in second.headers


def test_another_token_neither_opens_nor_spoils_the_address() -> None:
    async def guess(browser: Browser) -> tuple[int, bool]:
        answer = await browser.ask("/enter?token=guess", cookie="")
        return answer.status, browser.guard.used

    assert browse(guess, used=False) == (403, False)


@pytest.mark.parametrize(
    "path", ["/done", "/enter", "/nothing", "/static/console.js", "/done.json"]
)
@pytest.mark.parametrize("cookie", [None, ""])
def test_every_answer_has_the_headers(path: str, cookie: str | None) -> None:
    answer = browse(lambda b: b.ask(path, cookie=cookie))

    assert {name: answer.headers.get(name) for name in HEADERS} == dict(HEADERS)
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


def test_pages_are_not_kept_by_the_browser() -> None:
    assert browse(lambda b: b.ask("/done")).headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", list(ACTIONS))
def test_no_change_exists_unless_it_is_allowed(path: str) -> None:
    assert status(path, "POST", headers={**OURS, "Sec-Fetch-Site": "same-origin"}) in (404, 405)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("path", ["/done", "/overview", "/dead-letters/redrive"])
def test_nothing_but_reading_is_there_when_reading_only(path: str, method: str) -> None:
    assert status(path, method, headers={**OURS, "Sec-Fetch-Site": "same-origin"}) == 405


SAME = {"Origin": f"http://127.0.0.1:{PORT}", "Sec-Fetch-Site": "same-origin"}


@pytest.mark.parametrize(
    ("headers", "answered"),
    [
        (SAME, 404),  # it is taken, and means nothing that was done
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 404),
        ({"Origin": f"http://127.0.0.1:{PORT}"}, 404),
        ({}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        (SAME | {"Origin": "http://evil.example"}, 403),
        (SAME | {"Origin": f"http://localhost:{PORT}"}, 403),
        (SAME | {"Origin": "http://127.0.0.1:1"}, 403),
        (SAME | {"Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_a_change_is_taken_from_the_own_pages_alone(
    headers: Mapping[str, str], answered: int
) -> None:
    found = status(
        "/done/stop",
        "POST",
        allow_changes=True,
        headers={**OURS, **headers},
        data={"number": "7"},
    )

    assert found == answered


def test_a_change_needs_the_cookie_too() -> None:
    assert status("/done/stop", "POST", allow_changes=True, cookie="", headers=OURS | SAME) == 401


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_other_sites_may_not_even_read(site: str) -> None:
    assert status("/done.json", headers={**OURS, "Sec-Fetch-Site": site}) == 403


@pytest.mark.parametrize(
    "path", ["/static/..%2Fapp.py", "/static/", "/static/%2e%2e/app.py", "/static/nothing.css"]
)
def test_nothing_but_its_own_files_is_static(path: str) -> None:
    answer = browse(lambda b: b.ask(path))

    assert answer.status == 404
    assert "import" not in answer.text


def test_hostile_text_in_an_address_stays_text() -> None:
    script = "<script>alert(1)</script>"
    for query in ("/done/show?number=", "/executions?status="):
        answer = browse(asking(query + script))

        assert answer.status in (400, 404)
        assert script not in answer.text
        assert "&lt;script&gt;" in answer.text


def test_a_twin_says_in_json_what_went_wrong() -> None:
    answer = browse(lambda b: b.ask("/done/show.json?number=7"))

    assert answer.status == 404
    assert answer.headers["Content-Type"].startswith("application/json")
    assert "'7'" in answer.text


def test_what_has_not_changed_is_not_sent_again() -> None:
    async def poll(browser: Browser) -> tuple[Answer, Answer]:
        headers = {**OURS, "HX-Request": "true"}
        first = await browser.ask("/done?seen=before", headers=headers)
        start = first.text.index("seen=") + len("seen=")
        digest = first.text[start : first.text.index('"', start)]
        return first, await browser.ask(f"/done?seen={digest}", headers=headers)

    first, second = browse(poll)

    assert first.status == 200
    assert "<html" not in first.text
    assert (second.status, second.text) == (204, "")


def test_a_defect_is_a_page_and_its_details_are_in_the_terminal(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(cast("dict[str, Any]", PAGES), "/done", lambda *_: 1 // 0)

    answer = browse(lambda b: b.ask("/done"))

    assert answer.status == 500
    assert "a defect" in answer.text
    assert "Traceback" not in answer.text
    assert caplog.records[0].exc_info


def refused_with(code: str) -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "No."}}, "ListDurableExecutions")


@pytest.mark.parametrize(
    ("error", "answered", "remedy"),
    [
        (refused_with("AccessDeniedException"), 502, "ask for this permission"),
        (refused_with("ExpiredTokenException"), 503, "renew your AWS credentials"),
        (refused_with("ThrottlingException"), 502, "wait a little"),
        (NoCredentialsError(), 503, "pipelinectl local up"),
        (EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"), 503, "pipelinectl local up"),
        (StackMissingError("no stack here: deploy it"), 503, "deploy it"),
        (OperationFailedError("it has ended: wait"), 409, "wait"),
    ],
)
def test_what_goes_wrong_is_a_sentence_with_a_remedy(
    error: Exception, answered: int, remedy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Page:
        raise error

    monkeypatch.setitem(cast("dict[str, Any]", PAGES), "/done", fail)

    async def visit(browser: Browser) -> tuple[Answer, Answer, Answer]:
        return (
            await browser.ask("/done"),
            await browser.ask("/done?seen=x", headers={**OURS, "HX-Request": "true"}),
            await browser.ask("/done.json"),
        )

    page, part, twin = browse(visit)

    assert {page.status, part.status, twin.status} == {answered}
    assert all(remedy in one.text for one in (page, part, twin))
    assert 'role="alert"' in part.text
    assert 'hx-trigger="every' in part.text  # it asks again: what went wrong may pass


def test_nobody_there_is_a_sentence_too() -> None:
    nowhere = {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ACCESS_KEY_ID": "x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "AWS_REGION": "us-east-1",
    }

    session = Session(Connection(nowhere), Options())
    answer = browse(lambda b: b.ask("/executions"), session)

    assert "start the local cloud with &#39;pipelinectl local up&#39;" in answer.text
