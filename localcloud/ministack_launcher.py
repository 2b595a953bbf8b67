"""Runs ministack so that it also saves its state when asked to, not only when it ends.

ministack's own interpreter executes this file, so it imports nothing of this package. Without
it, a ministack that is killed comes back without the stack that was deployed to it. What
reaches queues, buckets and tables after the last save is still lost with it: ministack keeps
these in memory.
"""

import os
import threading
import time
from pathlib import Path

from ministack import app  # type: ignore[import-not-found]

REQUEST_VARIABLE = "LOCALCLOUD_SAVE_REQUEST"
_LOOK_EVERY_SECONDS = 0.2


def main() -> None:
    """Start looking for requests to save, and become ministack."""
    # Taken out of the environment, because Lambda workers inherit that.
    request = Path(os.environ.pop(REQUEST_VARIABLE))
    request.unlink(missing_ok=True)
    threading.Thread(target=_save_when_asked, args=(request,), daemon=True).start()
    app.main()


def _save_when_asked(request: Path) -> None:
    while True:
        time.sleep(_LOOK_EVERY_SECONDS)
        if request.exists():
            app.save_all(app._build_persistence_save_dict())  # noqa: SLF001 - what its end does
            request.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
