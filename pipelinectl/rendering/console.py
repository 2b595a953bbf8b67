"""Where output goes: results to stdout, everything said about the work to stderr."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from pipelinectl import exact_json

if TYPE_CHECKING:
    from rich.console import Console

# What tables are laid out for where there is no terminal to ask.
PIPED_WIDTH = 100


def out() -> Console:
    """Console of results."""
    return _console(stderr=False)


def err() -> Console:
    """Console of progress, notes and errors."""
    return _console(stderr=True)


def print_json(document: object) -> None:
    """Write one JSON document to stdout."""
    sys.stdout.write(exact_json.dumps(document) + "\n")


def print_json_line(document: object) -> None:
    """Write one JSON document on a line of its own, at once: for output that has no end."""
    sys.stdout.write(exact_json.dumps(document, indent=None) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """Say something about the work in one dim line."""
    err().print(text, style="dim", markup=False, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    # Rich takes a tenth of a second to import, which --json and --version need not wait for.
    from rich.console import Console

    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else PIPED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, emoji=False)
