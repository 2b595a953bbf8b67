"""`pipelinectl local up --watch`: a line is changed, and the next item shows it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localcloud import supervisor
from tests.e2e.conftest import BIN, ROOT, Stack
from tests.e2e.localcloud.support import wait_for
from tests.events import standard

pytestmark = pytest.mark.timeout(300)

# Bounds for a busy machine; each wait ends with its condition.
SECONDS = 120


@dataclass
class Watching:
    """A copy of the project, and the command that watches it."""

    project: Path
    process: subprocess.Popen[bytes]
    told: Path

    def wait_until_told(self, *words: str) -> None:
        """Wait until one line holds all the words."""

        def found() -> bool:
            lines = self.told.read_text().splitlines()
            return any(all(word in line for word in words) for line in lines)

        wait_for(found, SECONDS)

    def edit(self, defines: str, change: Callable[[str], str]) -> str:
        """Change the module of the transform stage that defines a function; answers its path."""
        for path in (self.project / "src" / "transform").glob("*.py"):
            if f"def {defines}(" in (text := path.read_text()):
                path.write_text(change(text))
                return str(path.relative_to(self.project))
        raise AssertionError(defines)


@pytest.fixture
def watching(stack: Stack, tmp_path: Path) -> Iterator[Watching]:
    project = tmp_path / "project"
    project.mkdir()
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy2(ROOT / "template.yaml", project)
    told = tmp_path / "told"
    with told.open("wb") as output:
        process = subprocess.Popen(
            [BIN / "pipelinectl", "local", "up", "--no-deploy", "--watch"],
            cwd=project,
            env={**os.environ, **stack.cloud.settings.to_environment()},
            stderr=output,
            # A shell that runs these tests in the background has its children ignore SIGINT.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    try:
        yield Watching(project, process, told)
    finally:
        process.kill()
        process.wait()


def test_a_changed_line_shows_in_the_next_item_and_a_broken_one_replaces_nothing(
    stack: Stack, watching: Watching
) -> None:
    def stored() -> str:
        (message_id,) = stack.send([standard()])
        (item,) = stack.wait_for_items([message_id]).values()
        return str(item["transformed_data"])

    watching.wait_until_told("watching src/")
    sources = (watching.project / "src" / "transform").glob("*.py")
    originals = {path: path.read_text() for path in sources}

    name = watching.edit(
        "transform_standard", lambda text: text.replace("return document\n", "return document |\n")
    )
    watching.wait_until_told(name, "invalid syntax; nothing was replaced")
    assert "'edited'" not in stored()

    watching.edit(
        "transform_standard",
        lambda text: text.replace("document |\n", "document | {'edited': 'while watched'}\n"),
    )
    watching.wait_until_told("TransformFunction", "live in", name)
    assert "while watched" in stored()

    # As it was, for the tests that follow.
    lives = watching.told.read_text().count("live in")
    for path, text in originals.items():
        path.write_text(text)
    wait_for(lambda: watching.told.read_text().count("live in") > lives, SECONDS)
    assert "while watched" not in stored()

    watching.process.send_signal(signal.SIGINT)
    assert watching.process.wait(SECONDS) == 0
    assert {status.state for status in supervisor.status(stack.cloud.settings)} == {"running"}
