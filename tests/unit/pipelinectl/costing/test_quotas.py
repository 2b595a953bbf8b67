from __future__ import annotations

import pytest

from pipelinectl.costing import quotas


@pytest.mark.parametrize(
    ("operations", "said"),
    [
        (2_400, None),
        (2_401, "operations of an execution: 2,401 is near the quota of 3,000"),
        (3_000, "operations of an execution: 3,000 is near the quota of 3,000"),
        (3_001, "operations of an execution: 3,001 is above the quota of 3,000"),
    ],
)
def test_four_fifths_of_a_quota_are_near(operations: int, said: str | None) -> None:
    assert quotas.warnings(quotas.of_execution(operations, 0)) == ([said] if said else [])


def test_bytes_are_said_to_be_bytes() -> None:
    (warning,) = quotas.warnings(quotas.of_execution(0, 90e6))

    assert warning.endswith("90,000,000 bytes is near the quota of 100,000,000 bytes")
