"""What all tests share."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.loaders import create_loader
from hypothesis import HealthCheck, settings

from tests.groups import Groups

# How long an example takes, or to think of it, is the machine's business. The gate has the same
# examples each time, so that a failure is of the change at hand. HYPOTHESIS_PROFILE=explore looks
# for others, and prints what repeats a failure.
any_machine = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],  # it measures the machine, as said above
)
settings.register_profile("gate", any_machine, derandomize=True)
settings.register_profile("explore", any_machine, print_blob=True, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "gate"))

pytest_plugins = ["faults.pytest_plugin"]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Groups:
    """Have tests that share a local cloud run in one process."""
    return Groups(config, log)


@pytest.fixture(autouse=True, scope="session")
def one_loader() -> Iterator[None]:
    """One reading of boto3's service models for all sessions: moto starts a new one each time."""
    loader = create_loader()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.session.create_loader", lambda _=None: loader)
        yield
