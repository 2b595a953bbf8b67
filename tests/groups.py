"""Which tests one process runs after another, because they share what takes long to make."""

from __future__ import annotations

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]  # it has no types

GROUPS = {
    "tests/e2e": "pipeline",
    "tests/e2e/localcloud": "localcloud",
    "tests/e2e/localcloud/test_life.py": "life",
    "tests/e2e/test_benchmarks.py": "deployments",
    "tests/e2e/test_console.py": "operating",
    "tests/e2e/test_cost.py": "operating",
    "tests/e2e/test_demo.py": "deployments",
    "tests/e2e/test_doctor.py": "operating",
    "tests/e2e/test_installed.py": "installed",
    "tests/e2e/test_operator_tools.py": "operating",
    "tests/e2e/test_record.py": "operating",
    "tests/e2e/test_redeployment.py": "deployments",
    "tests/e2e/test_sinks.py": "deployments",
    "tests/e2e/test_verify.py": "operating",
    "tests/integration/test_postgres_sink.py": "postgres",
    "tests/unit/test_template.py": "template",
}
"""The group of each file, or of all others in a folder. A test that has none runs anywhere."""


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # its base is untyped
    """Gives each group to one process, the largest first, and then test by test what has none.

    pytest-xdist's own groups, by a mark, are passed over in silence with this version of pytest.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0]) or nodeid


def group_of(path: str) -> str | None:
    """The group of a file, whose path is from the project's folder."""
    file = PurePosixPath(path)
    return next((GROUPS[str(at)] for at in (file, *file.parents) if str(at) in GROUPS), None)
