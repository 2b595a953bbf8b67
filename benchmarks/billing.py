"""What the invocations of one side are billed, by the report lines in their logs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from benchmarks.clouds import Side

_REPORT = re.compile(r"Billed Duration: (?P<ms>[\d.]+) ms\s+Memory Size: (?P<mb>\d+) MB")

# The local cloud reports a durable function twice: each invocation of its handler, as Lambda does,
# and under a version's number the whole execution, waits included, which Lambda does not bill.
_UNPUBLISHED = "[$LATEST]"


def gigabyte_seconds(side: Side, since: datetime) -> float:
    """Billed time times memory of all invocations since then."""
    return billed(_messages(side.client("logs"), side.name, int(since.timestamp() * 1000)))


def billed(messages: Iterable[str]) -> float:
    """Gigabyte-seconds of the report lines among ``messages``."""
    reports = filter(None, map(_REPORT.search, messages))
    return sum(float(r["ms"]) / 1000 * int(r["mb"]) / 1024 for r in reports)


def _messages(logs: Any, stack: str, since: int) -> Iterator[str]:
    groups = logs.describe_log_groups(logGroupNamePrefix=f"/aws/lambda/{stack}-")["logGroups"]
    for group in groups:
        pages = logs.get_paginator("filter_log_events").paginate(
            logGroupName=group["logGroupName"], startTime=since, filterPattern="REPORT"
        )
        for page in pages:
            for event in page["events"]:
                if _UNPUBLISHED in event["logStreamName"]:
                    yield event["message"]
