"""Wait until the pipeline is through with what was uploaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pipelinectl.catalog import Catalog, Entry
    from pipelinectl.uploading import Uploaded

_PAUSE_SECONDS = 1.0


def settled(
    catalog: Catalog,
    uploads: Iterable[Uploaded],
    seconds: float,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Uploaded, Entry]]:
    """Each upload with its entry as soon as the pipeline is through with it.

    An entry of an older state of the object is not the one waited for. Ends after so many
    `seconds`, without the uploads that were not settled by then.
    """
    pending = list(uploads)
    give_up_at = clock() + seconds
    while pending:
        for upload in list(pending):
            entry = catalog.get(upload.path)
            if entry and entry.settled and entry.is_of(upload.version_id, upload.etag):
                pending.remove(upload)
                yield upload, entry
        if not pending or clock() + _PAUSE_SECONDS > give_up_at:
            return
        sleep(_PAUSE_SECONDS)
