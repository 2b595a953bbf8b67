from datetime import UTC, datetime
from io import StringIO
from typing import Any, cast

from rich.console import Console, RenderableType

from pipeline_core.catalog import CatalogEntry
from pipelinectl.commands.objects import render_object, render_objects
from pipelinectl.commands.output import visible
from pipelinectl.objects import read
from tests.unit.pipelinectl.test_objects import STACK

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = "[red]x[/nothing]\x1b[2J\r\n\u202e.csv"
COUNTS = {"rows": 1200, "results": 1199, "rejects": 1}


def entry(bucket: str = "s-input", key: str = "input/a.csv", **more: Any) -> CatalogEntry:
    found: Any = {
        "object": f"{bucket}/{key}",
        "bucket": bucket,
        "key": key,
        "sequencer": "66",
        "state": "done",
        "size": 2048,
        "updated_at": "2026-03-01T11:58:00.000000Z",
        **more,
    }
    return cast("CatalogEntry", found)


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
        counts=COUNTS,
        manifest={"bucket": HOSTILE, "key": f"{HOSTILE}/manifest.json"},
    )
    reject = read('{"row": 1, "line": 2, "raw": "[red]\\u001b[2J", "reason": {"message": "[/]"}}')

    said = printed(
        *render_objects([hostile], STACK, NOW),
        *render_object(hostile, "out", [reject], NOW),
    )

    assert "[red]x[/nothing]" in said
    assert not {"\x1b", "\r", "\u202e"} & set(said)
    assert "\\x1b[2J" in said


def test_all_of_an_object_is_shown() -> None:
    manifest = {"bucket": "out", "key": "results/a/manifest.json"}
    rejects = [
        read('{"row":2,"line":3,"reason":{"type":"T","message":"m","errors":["x","y"]},"raw":"1,"}')
    ]

    said = printed(*render_object(entry(counts=COUNTS, manifest=manifest), "out", rejects, NOW))

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

    assert "NotUtf8: no text" in printed(*render_object(failed, "o", None, NOW))


def test_visible_leaves_text_alone() -> None:
    assert visible("Käse & 茶, 1 €") == "Käse & 茶, 1 €"
    assert visible("a\tb\x00\x9b") == "a\\tb\\x00\\x9b"


def test_however_long_a_key_or_a_reason_is_all_is_there() -> None:
    reason = {"type": "T", "message": "m" * 300}
    key = "input/" + "k" * 300

    said = printed(*render_objects([entry(key=key, state="failed", reason=reason)], STACK, NOW))

    assert key in "".join(said.split())
    assert "m" * 300 in "".join(said.split())
