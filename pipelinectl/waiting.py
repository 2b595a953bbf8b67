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
    is_newest: Callable[[Uploaded], bool],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[Uploaded, Entry | None]]:
    """Each upload with its entry as soon as the pipeline is through with it.

    An entry of an older state of the object is not the one waited for. Where there is none for an
    upload any more, as it is not the newest state of its object, it comes with None. Ends after so
    many `seconds`, without the uploads that were not settled by then.
    """
    pending = list(uploads)
    give_up_at = clock() + seconds
    while pending:
        for upload in list(pending):
            entry = catalog.get(upload.path)
            if entry is None:
                continue
            if not entry.is_of(upload.version_id, upload.etag):
                if not is_newest(upload):
                    pending.remove(upload)
                    yield upload, None
            elif entry.settled:
                pending.remove(upload)
                yield upload, entry
        if not pending or clock() + _PAUSE_SECONDS > give_up_at:
            return
        sleep(_PAUSE_SECONDS)
