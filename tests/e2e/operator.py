"""The command line as it is installed, against one local cloud."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

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

    def attempt(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command, however it ends."""
        installed = BIN / "pipelinectl"
        command = [str(installed)] if installed.exists() else [sys.executable, "-c", CODE]
        return subprocess.run(
            [*command, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )

    def json(self, *arguments: str) -> Any:
        """The document that a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)
