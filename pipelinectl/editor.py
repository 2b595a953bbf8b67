"""Let the operator change a text in the editor of their choice."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pipelinectl.errors import OperationFailedError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FALLBACK = "vi"


def edit(text: str, environ: Mapping[str, str]) -> str | None:
    """What became of `text` in $VISUAL or $EDITOR; None when it is unchanged or emptied.

    Raises:
        UsageError: the editor cannot be started, or what it saved is not UTF-8.
        OperationFailedError: the editor ended with an error, which is how editors say "cancel".
    """
    command = environ.get("VISUAL") or environ.get("EDITOR") or _FALLBACK
    with tempfile.TemporaryDirectory(prefix="pipelinectl-") as folder:
        # The suffix lets an editor know what it has before it.
        path = Path(folder, "body.json")
        path.write_bytes(text.encode())
        _run(command, path)
        edited = _decoded(path.read_bytes(), command)
    # An editor ends the last line of a file, whether the text had it so or not.
    if not text.endswith("\n"):
        edited = edited.removesuffix("\n")
    return edited if edited.strip() and edited != text else None


def _run(command: str, path: Path) -> None:
    try:
        subprocess.run([*shlex.split(command), path], check=True)  # noqa: S603 - the operator's own
    except (OSError, ValueError) as error:
        msg = f"editor '{command}' cannot be started ({error}): set VISUAL or EDITOR"
        raise UsageError(msg) from error
    except subprocess.CalledProcessError as error:
        msg = f"editor '{command}' ended with {error.returncode}: nothing more was sent"
        raise OperationFailedError(msg) from error


def _decoded(content: bytes, command: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        msg = f"editor '{command}' saved what is not UTF-8: set its encoding to UTF-8"
        raise UsageError(msg) from error
