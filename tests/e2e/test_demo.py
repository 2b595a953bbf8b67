"""The demo is a test, too: it counts what it sent."""

from __future__ import annotations

import os
import re
import subprocess

from localcloud.settings import Settings
from tests.e2e.conftest import BIN, ROOT


def test_the_demo_finds_every_message_it_sent(settings: Settings) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("AWS_")
    } | settings.to_environment()

    run = subprocess.run(
        [BIN / "pipelinectl", "--stack-name", "demo", "demo"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=180,
    )

    assert run.returncode == 0, run.stdout + run.stderr
    assert "sent 300 = 295 stored + 5 dead letters" in run.stdout
    assert re.search("40 rows of .* = 36 results [+] 4 rejects", run.stdout)
