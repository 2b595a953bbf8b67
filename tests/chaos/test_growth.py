"""What passes through the local cloud leaves nothing behind that grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import growth

TIMED = ("ms of", "messages a second")
"""Of a machine that others use as well these say less about the local cloud than about the others.
"""


def test_the_local_cloud_stays_as_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    messages = int(os.environ.get("GROWTH_MESSAGES") or 5000)
    with capsys.disabled():
        result = growth.run(
            tmp_path / "cloud", messages, planted=0, say=lambda text: print(text, flush=True)
        )
    broken = [check for check in result["checks"] if not check["kept"]]
    assert [check for check in broken if not check["what"].startswith(TIMED)] == []
