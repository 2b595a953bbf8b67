"""The demo is a test, too: it counts what it sent."""

from __future__ import annotations

import os
import re
import subprocess

from localcloud.settings import Settings
from tests.e2e.conftest import BIN, ROOT

MESSAGES = 150


def test_the_demo_finds_every_message_it_sent(settings: Settings) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | settings.to_environment()

    run = subprocess.run(
        [BIN / "pipelinectl", "--stack-name", "demo", "demo", "--messages", str(MESSAGES)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    # So many, and more where those were too few for a worker to be hit.
    (sent, stored) = re.findall("sent ([0-9]+) = ([0-9]+) stored [+] 5 dead letters", run.stdout)[0]
    assert int(sent) >= MESSAGES
    assert int(stored) == int(sent) - 5
    assert re.search("killed [0-9]+ workers? of [a-z]+ while .* ran: an invoke failed", run.stdout)
    assert re.search("40 rows of .* = 36 results [+] 4 rejects", run.stdout)
