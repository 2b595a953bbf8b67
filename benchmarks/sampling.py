"""Where our own code spends its time: a look at all threads' stacks, many times a second."""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

INTERVAL_SECONDS = 0.001

_SOURCE = str(Path(__file__).parents[1] / "src")


class Sampler:
    """Samples while it is entered; only what our functions do counts, not where they wait."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Sampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def shares(self) -> dict[str, float]:
        """Of all samples, the share of each place, largest first."""
        total = self._counts.total() or 1
        return {place: count / total for place, count in self._counts.most_common()}

    def _sample(self) -> None:
        while not self._done.wait(INTERVAL_SECONDS):
            for thread, frame in sys._current_frames().items():  # noqa: SLF001 - there is no other way
                if thread != threading.get_ident() and (place := place_of(frame)):
                    self._counts[place] += 1


def place_of(frame: FrameType) -> str | None:
    """Our innermost function on the stack; None if there is none, or it waits for the SDK."""
    for caller in _outwards(frame):
        path = caller.f_code.co_filename
        if "/aws_durable_execution_sdk_python" in path:
            return None
        if path.startswith(_SOURCE):
            return f"{Path(path).relative_to(_SOURCE).with_suffix('')}.{caller.f_code.co_name}"
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
