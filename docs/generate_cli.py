"""Writes docs/cli.md, the reference of the command line, from the command line itself.

Run it with `make docs`; a test fails when docs/cli.md and the code differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer import Context
from typer.cli import get_docs_for_click
from typer.main import get_command

from pipelinectl.cli import app

PROGRAM = "pipelinectl"
REFERENCE = Path(__file__).with_name("cli.md")


def reference() -> str:
    """The reference as Markdown."""
    root: Any = get_command(app)
    for command in _below(root):
        # Typer cuts what a list of commands says of each at 45 characters, unless it is given.
        command.short_help = command.get_short_help_str(limit=sys.maxsize)
    return get_docs_for_click(obj=root, ctx=Context(root), name=PROGRAM).strip() + "\n"


def _below(group: Any) -> Iterator[Any]:
    for command in getattr(group, "commands", {}).values():
        yield command
        yield from _below(command)


if __name__ == "__main__":
    REFERENCE.write_text(reference(), "utf-8")
