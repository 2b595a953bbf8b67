"""The command line as it is installed, against one local cloud."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any

from pipelinectl.cli import main
from pipelinectl.commands import PLACES
from tests.e2e.conftest import BIN, PATIENCE, ROOT, Stack

CODE = "from pipelinectl.cli import main; main()"

# Importing takes most commands four times as long as what they do.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        __name__,
        *sorted({f"pipelinectl.commands.{place.module}" for place in PLACES.values()}),
        *("boto3", "botocore.client", "typer._adapters", "rich.table", "localcloud.supervisor"),
    ]
)


def command(
    arguments: Sequence[str], environment: Mapping[str, str], outputs: tuple[str, str]
) -> None:
    """Be `pipelinectl` with these arguments, and write to these files."""
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["pipelinectl", *arguments]
    for descriptor, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY), descriptor)
    main()


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
        """Run a command, however it ends, in a process of its own that has all imported."""
        with tempfile.NamedTemporaryFile("w+") as out, tempfile.NamedTemporaryFile("w+") as err:
            outputs = (out.name, err.name)
            process = FORKS.Process(target=command, args=(arguments, self.environment, outputs))
            process.start()
            process.join(PATIENCE)
            if process.exitcode is None:
                process.kill()
                raise subprocess.TimeoutExpired(arguments, PATIENCE, out.read(), err.read())
            return subprocess.CompletedProcess(arguments, process.exitcode, out.read(), err.read())

    def json(self, *arguments: str) -> Any:
        """The document that a command prints with --json."""
        return json.loads(self.run(*arguments, "--json").stdout)
