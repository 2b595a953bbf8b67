"""Runs ministack so that it saves when asked to, and mends what it does unlike AWS.

ministack's own interpreter executes this file. Without the saving, a ministack that is killed
comes back without the stack that was deployed to it. What reaches queues, buckets and tables
after the last save is still lost with it: ministack keeps these in memory.
"""

import os
import sys
import threading
import time
from pathlib import Path

from ministack import app  # type: ignore[import-not-found]  # of its own environment
from ministack.core import iam_evaluator  # type: ignore[import-not-found]  # likewise
from ministack.services import (  # type: ignore[import-not-found]  # likewise
    lambda_svc,
    s3,
    sns,
    sqs,
)
from ministack.services.cloudformation import (  # type: ignore[import-not-found]  # likewise
    provisioners,
)

# At the end, where this package hides nothing of ministack's environment.
sys.path.append(str(Path(__file__).resolve().parents[1]))

from localcloud import ministack_quotas
from localcloud.large_batches import put_back, receiving_large_batches
from localcloud.principal_arns import naming_roles
from localcloud.version_ranges import serving_ranges

REQUEST_VARIABLE = "LOCALCLOUD_SAVE_REQUEST"
_LOOK_EVERY_SECONDS = 0.2


def main() -> None:
    """Start looking for requests to save, mend what is missing, and become ministack."""
    # Taken out of the environment, because Lambda workers inherit that.
    request = Path(os.environ.pop(REQUEST_VARIABLE))
    request.unlink(missing_ok=True)
    s3._get_object = serving_ranges(s3._get_object, s3._parse_range)  # noqa: SLF001 - no hook for it
    sqs._receive_messages_for_esm = receiving_large_batches(  # noqa: SLF001 - no hook for it
        sqs._receive_messages_for_esm,  # noqa: SLF001 - as above
        put_back,
    )
    ministack_quotas.hold_messages(sqs)
    ministack_quotas.hold_notifications(sns)
    ministack_quotas.hold_keys(s3)
    ministack_quotas.hold_functions(lambda_svc, provisioners)
    iam_evaluator._resolve_condition_key = naming_roles(  # noqa: SLF001 - as above
        iam_evaluator._resolve_condition_key  # noqa: SLF001 - as above
    )
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
