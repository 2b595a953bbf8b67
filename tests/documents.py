"""The project's Markdown, parsed: its links, headings, commands and tables."""

from __future__ import annotations

import functools
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[1]
PROMPT = "$ "


@dataclass(frozen=True)
class Document:
    """One file of Markdown."""

    path: Path

    def __str__(self) -> str:
        """Its path, from the project's folder."""
        return str(self.path.relative_to(ROOT))

    def links(self) -> list[str]:
        """Targets of links and images."""
        tokens = [token for token in self._inline() if token.type in {"link_open", "image"}]
        return [str(token.attrGet("href") or token.attrGet("src")) for token in tokens]

    def anchors(self) -> set[str]:
        """What a link to one of the headings has after its #, as GitHub makes it."""
        seen: Counter[str] = Counter()
        anchors = set()
        for heading in self._headings():
            slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            anchors.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
        return anchors

    def commands(self) -> list[str]:
        """Each command of the console blocks, without its prompt."""
        return [command for block in self.blocks("console") for command in commands_in(block)]

    def blocks(self, language: str) -> list[str]:
        """What the fenced blocks of a language hold."""
        fences = [token for token in self._tokens() if token.type == "fence"]
        return [token.content for token in fences if token.info == language]

    def code_spans(self) -> list[str]:
        """What stands between backticks in the text."""
        return [token.content for token in self._inline() if token.type == "code_inline"]

    def tables(self) -> list[list[list[str]]]:
        """Rows of cells, as source text, of each table; the heading is the first row."""
        tables: list[list[list[str]]] = []
        for token, following in pairwise(self._tokens()):
            if token.type == "table_open":
                tables.append([])
            elif token.type == "tr_open":
                tables[-1].append([])
            elif token.type in {"th_open", "td_open"}:
                tables[-1][-1].append(following.content)
        return tables

    def _tokens(self) -> list[Token]:
        return _parsed(self.path.read_text("utf-8"))

    def _inline(self) -> Iterator[Token]:
        for token in self._tokens():
            yield from token.children or ()

    def _headings(self) -> Iterator[str]:
        for token, following in pairwise(self._tokens()):
            if token.type == "heading_open":
                parts = following.children or ()
                yield "".join(part.content for part in parts)


@functools.cache
def _parsed(text: str) -> list[Token]:
    return MarkdownIt("commonmark").enable("table").parse(text)


def commands_in(block: str) -> list[str]:
    """The commands of a console block; where it has prompts, other lines are their output."""
    lines = block.splitlines()
    prompted = any(line.startswith(PROMPT) for line in lines)
    found: list[str] = []
    for line in lines:
        if found and not _is_whole(found[-1]):
            found[-1] += f"\n{line}"
        elif line.startswith(PROMPT) or (line.strip() and not prompted):
            found.append(line.removeprefix(PROMPT))
    return found


def _is_whole(command: str) -> bool:
    try:
        words = shlex.split(command, comments=True)
    except ValueError:  # an open quote, or a backslash at the end
        return False
    return not command.endswith("\\") and words[-1:] != ["|"]


README = Document(ROOT / "README.md")
CHANGELOG = Document(ROOT / "CHANGELOG.md")
DOCUMENTS = [README, CHANGELOG, *map(Document, sorted((ROOT / "docs").rglob("*.md")))]
