"""The pipeline on a local cloud of its own, for tests of files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.deploy import deploy
from localcloud.settings import free_settings
from tests.e2e.conftest import ROOT, Stack
from tests.e2e.localcloud.support import Cloud, running
from tests.e2e.objects import Objects


@pytest.fixture
def objects(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Objects]:
    """With the stack's name and parameters that the test's module has."""
    settings = free_settings(tmp_path / "cloud")
    with running(settings):
        outputs = deploy(
            settings,
            template=ROOT / "template.yaml",
            stack_name=request.module.STACK,
            parameters=request.module.PARAMETERS,
        )
        yield Objects(Stack(Cloud(settings, outputs), outputs))
