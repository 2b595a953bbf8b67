"""What passes through the local cloud leaves nothing behind that grows."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import growth


def test_the_local_cloud_stays_as_fast_and_as_small(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    messages = int(os.environ.get("GROWTH_MESSAGES") or 5000)
    with capsys.disabled():
        result = growth.run(tmp_path / "cloud", messages, say=lambda text: print(text, flush=True))
    # Of a machine that others use as well, how long something takes says less than what it costs.
    broken = [
        check
        for check in result["checks"]
        if not check["kept"] and not check["what"].startswith(("ms of", "messages a second"))
    ]
    assert broken == []
