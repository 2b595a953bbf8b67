"""The files that the console ships: what was taken from others, and what a page may hold."""

import hashlib
import re
from pathlib import Path

import pytest

import pipelinectl.console

FOLDER = Path(pipelinectl.console.__file__).parent
TEMPLATES = sorted((FOLDER / "templates").glob("*.html"))

# htmx.org 2.0.11 of npm's registry, dist/htmx.min.js, under the Zero-Clause BSD licence.
HTMX = "d6fdc75f204e6bdefa99b69bf1e6d4ac69b8a364f77929f45c13476b4000f717"


def test_htmx_is_what_was_published() -> None:
    assert hashlib.sha256((FOLDER / "static/htmx.min.js").read_bytes()).hexdigest() == HTMX


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_has_what_the_policy_forbids(path: Path) -> None:
    text = path.read_text()

    assert not re.search(r"\son\w+=", text)  # handlers
    assert not re.search(r"\sstyle=|<style", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"https?://", text)  # nothing from elsewhere


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_template_trusts_a_value(path: Path) -> None:
    trusted = re.findall(r"\{\{([^}]*)\|\s*safe\s*\}\}", path.read_text())

    assert all(re.fullmatch(r"\s*' [a-z=\"]+'\s*(if [a-z ]+)?", one) for one in trusted), trusted


def test_every_field_has_a_label() -> None:
    for path in TEMPLATES:
        text = path.read_text()
        for field in re.findall(r"<(?:input|select|textarea)[^>]*>", text):
            if 'type="hidden"' in field or " hidden" in field:
                continue
            identity = re.search(r'\bid="([^"]+)"', field)
            assert identity, f"{path.name}: {field}"
            assert f'for="{identity[1]}"' in text, f"{path.name}: {field}"


def test_colours_are_those_of_the_two_themes() -> None:
    """A colour outside of them would be the same in the dark."""
    style = (FOLDER / "static/console.css").read_text()
    rules = style[style.index("* { box-sizing") :]

    assert not re.search(r"#[0-9a-f]{3,6}\b|rgba?\(", rules)


def contrast(one: str, other: str) -> float:
    """By the Web Content Accessibility Guidelines 2.2."""

    def light(colour: str) -> float:
        colour = colour if len(colour) == 6 else "".join(c * 2 for c in colour)
        parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    bright, dark = sorted((light(one), light(other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", [0, 1])
def test_text_is_read_on_its_ground_in_both_themes(theme: int) -> None:
    style = (FOLDER / "static/console.css").read_text()
    blocks = re.findall(r":root \{([^}]*)\}", style)
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6})", blocks[theme]))
    grounds: dict[str, tuple[str, ...]] = {
        name: ("ground", "raised", f"{name}-ground") for name in ("good", "busy", "bad")
    }
    grounds |= {"warn": ("ground", "warn-ground"), "ink": ("ground", "raised", "bad-ground")}
    grounds |= {"quiet": ("ground", "raised"), "accent": ("ground",), "on-accent": ("accent",)}

    for ink, papers in grounds.items():
        for paper in papers:
            assert contrast(colours[ink], colours[paper]) >= 4.5, f"{ink} on {paper}"
