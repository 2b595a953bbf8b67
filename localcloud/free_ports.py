"""Settings for a local cloud beside others: on ports that are free, in a directory of its own."""

import contextlib
import os
import socket
from pathlib import Path

from localcloud.settings import HOST, Settings


def free_settings(directory: Path) -> Settings:
    """Return settings with three ports that are free now."""
    with contextlib.ExitStack() as stack:
        ports = [str(_reserve(stack)) for _ in range(3)]
    return Settings.from_environment(
        {
            **os.environ,
            "LOCALCLOUD_DIR": str(directory),
            "LOCALCLOUD_AWS_PORT": ports[0],
            "LOCALCLOUD_LAMBDA_PORT": ports[1],
            "LOCALCLOUD_RUNNER_PORT": ports[2],
        }
    )


def _reserve(stack: contextlib.ExitStack) -> int:
    listener = stack.enter_context(socket.socket())
    listener.bind((HOST, 0))
    return int(listener.getsockname()[1])
