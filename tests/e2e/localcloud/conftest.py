"""One local cloud with the test app for all tests of this folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from localcloud.deploy import deploy
from localcloud.settings import free_settings
from tests.e2e.localcloud.support import APP, STACK, Cloud, Marks, running


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    settings = free_settings(tmp_path_factory.mktemp("cloud"))
    with running(settings):
        outputs = deploy(
            settings, template=APP, stack_name=STACK, parameters={"ExecutionTimeout": "140"}
        )
        yield Cloud(settings, outputs)


@pytest.fixture
def marks(tmp_path: Path) -> Marks:
    return Marks(tmp_path)
