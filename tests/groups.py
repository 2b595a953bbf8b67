"""Which tests one process runs after another, because they share what takes long to make."""

from __future__ import annotations

import functools
from pathlib import PurePosixPath
from typing import Any

from xdist.scheduler import LoadScopeScheduling

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


LONGEST_FIRST = (
    "deployments",
    "operating",
    "pipeline",
    "localcloud",
    "life",
    "template",
    "installed",
    "postgres",
)
"""The groups in the order in which they begin, so that none is left alone at the end."""


class Groups(LoadScopeScheduling):  # type: ignore[misc]  # its base is untyped
    """Gives each group to one process, the longest first, and then test by test what has none.

    pytest-xdist's own groups, by a mark, are passed over in silence with this version of pytest.
    """

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid.partition("::")[0]) or nodeid

    def _assign_work_unit(self, node: Any) -> None:
        # pytest-xdist goes by how many tests a group has.
        if longest := next((group for group in LONGEST_FIRST if group in self.workqueue), None):
            self.workqueue.move_to_end(longest, last=False)
        super()._assign_work_unit(node)

    def mark_test_complete(self, node: Any, item_index: int, duration: float = 0) -> None:
        """Forget what is complete: pytest-xdist counts all that a process has had, at each test."""
        super().mark_test_complete(node, item_index, duration)
        units = self.assigned_work[node]
        scope = self._split_scope(self.registered_collections[node][item_index])
        if all(units[scope].values()):
            del units[scope]


@functools.cache
def group_of(path: str) -> str | None:
    """The group of a file, whose path is from the project's folder."""
    file = PurePosixPath(path)
    return next((GROUPS[str(at)] for at in (file, *file.parents) if str(at) in GROUPS), None)
