"""What a command reads: a file, or stdin where `-` is given."""

import sys
from pathlib import Path

from pipelinectl.errors import UsageError

STDIN = "-"


def content(file: str) -> bytes:
    """All of a file, or of stdin.

    Raises:
        UsageError: it cannot be read.
    """
    if file == STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        msg = f"{file}: {error.strerror or error}: name a file that can be read"
        raise UsageError(msg) from error
