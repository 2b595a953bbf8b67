"""The alarms of a deployed pipeline, and of no other beside it."""

from __future__ import annotations

from typing import Any

from tests.e2e.conftest import STACK, Stack


def alarms_of(stack: Stack) -> list[Any]:
    """All alarms that the stack has made; others may share the local cloud."""
    pages = stack.client("cloudwatch").get_paginator("describe_alarms")
    found = pages.paginate(AlarmNamePrefix=f"{STACK}-")
    return [alarm for page in found for alarm in page["MetricAlarms"]]
