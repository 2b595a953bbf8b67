"""What the local cloud forgets, so that it stays as fast and as small however much has passed.

AWS forgets an execution after its retention, a log's events after the log group's, a metric's
points after months. A laptop has less room than AWS, so here a number ends it as well. The runner
forgets executions (`Journal.forget_old`); this has ministack forget what it keeps of invocations.

ministack's own interpreter runs this module: it imports nothing but the standard library.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from localcloud.ministack import wrap

Action = Callable[..., Any]

MOST_INVOCATIONS = 1000
"""Invocations of a function whose log is kept."""
MOST_POINTS = 1000
"""Values of a metric that are kept."""
_AT_ONCE = 100


def install(lambda_service: Any, logs: Any, metrics: Any) -> None:
    """Have ministack forget.

    These are its modules `lambda_svc`, `cloudwatch_logs` and `cloudwatch`.
    """
    wrap(
        lambda_service,
        "_emit_lambda_logs",
        lambda emit: forgetting_streams(emit, logs._log_groups),
    )
    wrap(metrics, "_metric_bucket", forgetting_points)


def forgetting_streams(emit: Action, groups: Mapping[str, Any]) -> Action:
    """Return ministack's writing of an invocation's log, which then forgets the oldest ones.

    ministack gives each invocation a log stream of its own, and keeps all in memory.
    """
    forgetting = threading.Lock()

    def emitted(function: Mapping[str, Any], *rest: Any, **named: Any) -> None:
        emit(function, *rest, **named)
        with forgetting:
            _forget_oldest(groups.get(log_group(function.get("config") or function)) or {})

    return emitted


def log_group(config: Mapping[str, Any]) -> str:
    """Return the log group of a function."""
    own: str | None = (config.get("LoggingConfig") or {}).get("LogGroup")
    return own or f"/aws/lambda/{config.get('FunctionName', 'unknown')}"


def _forget_oldest(group: Mapping[str, Any]) -> None:
    streams: MutableMapping[str, Any] = group.get("streams", {})
    if len(streams) > MOST_INVOCATIONS + _AT_ONCE:
        # A copy: another invocation may add one meanwhile.
        for name in list(streams)[:-MOST_INVOCATIONS]:
            streams.pop(name, None)


def forgetting_points(bucket: Action) -> Action:
    """Return ministack's list of a metric's points, for one to be added, with the newest alone.

    ministack drops what is older than two weeks, and that only when somebody reads metrics.
    """

    def newest(key: Any) -> list[Any]:
        points: list[Any] = bucket(key)
        if len(points) >= 2 * MOST_POINTS:
            del points[:-MOST_POINTS]
        return points

    return newest
