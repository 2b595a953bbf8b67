from datetime import UTC, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

from rich.console import Console, RenderableType

from pipelinectl.commands.objects import render_object, render_objects
from pipelinectl.commands.output import visible
from pipelinectl.objects import Entry, ObjectPath, read
from tests.unit.pipelinectl.test_objects import STACK

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "[red]x[/nothing]\x1b[2J\r\n\u202e.csv"
COUNTS = {"rows": Decimal(1200), "results": Decimal(1199), "rejects": Decimal(1)}


def entry(**more: Any) -> Entry:
    return Entry(
        {
            "bucket": "s-input",
            "key": "input/a.csv",
            "state": "done",
            "size": Decimal(2048),
            "updated_at": "2026-03-01T11:58:00.000000Z",
            **more,
        }
    )


def printed(*parts: RenderableType) -> str:
    said = StringIO()
    console = Console(file=said, width=200, force_terminal=False, emoji=False)
    for part in parts:
        console.print(part)
    return said.getvalue()


def test_a_line_has_state_size_counts_age_and_key() -> None:
    header, line = printed(*render_objects([entry(counts=COUNTS)], STACK, NOW)).splitlines()

    assert header.split() == ["state", "size", "rows", "results", "rejects", "age", "object"]
    assert line.split() == ["done", "2.0", "KiB", "1,200", "1,199", "1", "2", "min", "input/a.csv"]


def test_objects_elsewhere_are_named_in_full() -> None:
    said = printed(*render_objects([entry(bucket="elsewhere")], STACK, NOW))

    assert "elsewhere/input/a.csv" in said


def test_what_anybody_may_have_made_cannot_steer_the_terminal() -> None:
    hostile = entry(
        key=f"input/{HOSTILE}",
        state="failed",
        reason={"type": HOSTILE, "message": HOSTILE, "errors": [HOSTILE]},
        version_id=HOSTILE,
        execution_id=HOSTILE,
    )
    reject = read('{"row": 1, "line": 2, "raw": "[red]\\u001b[2J", "reason": {"message": "[/]"}}')

    said = printed(
        *render_objects([hostile], STACK, NOW),
        *render_object(hostile, ObjectPath("out", HOSTILE), [reject], NOW),
    )

    assert "[red]x[/nothing]" in said
    assert not {"\x1b", "\r", "\u202e"} & set(said)
    assert "\\x1b[2J" in said


def test_all_of_an_object_is_shown() -> None:
    manifest = {"bucket": "out", "key": "results/a/manifest.json"}
    rejects = [
        read('{"row":2,"line":3,"reason":{"type":"T","message":"m","errors":["x","y"]},"raw":"1,"}')
    ]

    said = printed(
        *render_object(
            entry(counts=COUNTS, manifest=manifest), ObjectPath("out", "results/a/"), rejects, NOW
        )
    )

    for text in (
        "s3://out/results/a/",
        "s3://out/results/a/manifest.json",
        "1,199",
        "row 2, line 3",
        "x",
        "1,",
    ):
        assert text in said


def test_reasons_are_shown_one_by_one() -> None:
    failed = entry(state="failed", reason={"type": "NotUtf8", "message": "no text"})

    assert "NotUtf8: no text" in printed(*render_object(failed, ObjectPath("o", "r"), None, NOW))


def test_a_reject_that_is_no_json_is_shown_as_it_is() -> None:
    assert read("broken").raw == "broken"
    assert read("[1]").raw == "[1]"


def test_visible_leaves_text_alone() -> None:
    assert visible("Käse & 茶, 1 €") == "Käse & 茶, 1 €"
    assert visible("a\tb\x00\x9b") == "a\\tb\\x00\\x9b"


def test_however_long_a_key_or_a_reason_is_all_is_there() -> None:
    reason = {"type": "T", "message": "m" * 300}
    key = "input/" + "k" * 300

    said = printed(*render_objects([entry(key=key, state="failed", reason=reason)], STACK, NOW))

    assert key in "".join(said.split())
    assert "m" * 300 in "".join(said.split())
