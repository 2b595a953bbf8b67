"""The command line as it is installed, against one local cloud."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from tests.e2e.conftest import BIN, PATIENCE, ROOT, Stack

CODE = "from pipelinectl.cli import main; main()"


@dataclass(frozen=True)
class Operator:
    """Runs pipelinectl against one local cloud."""

    environment: dict[str, str]

    @classmethod
    def of(cls, stack: Stack) -> Operator:
        """An operator of the local cloud that `stack` is in."""
        settings = stack.cloud.settings.client_environment()
        return cls({**os.environ, **settings, "PYTHONPATH": str(ROOT)})

    def run(self, *arguments: str, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command that must end with `exit_code`."""
        done = self.attempt(*arguments)
        assert done.returncode == exit_code, done.stderr
        return done

    @contextmanager
    def start(self, *arguments: str, output: IO[str]) -> Iterator[subprocess.Popen[str]]:
        """Start a command that does not end by itself, and end it when the block ends."""
        with subprocess.Popen(
            [*self._command, *arguments],
            env=self.environment,
            stdout=output,
            text=True,
            # A shell that runs these tests in the background has its children ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    @property
    def _command(self) -> list[str]:
        installed = BIN / "pipelinectl"
        return [str(installed)] if installed.exists() else [sys.executable, "-c", CODE]

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        return subprocess.run(
            [*self._command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def json(self, *arguments: str) -> Any:
        """The document that a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)
