"""What growth costs, and which of AWS's quotas it meets: the page, and the sample that it is from.

`make bench` takes the sample. What is computed from it is what `pipelinectl cost --rate` computes.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pipelinectl.cost import (
    BATCHES,
    CHECKPOINTS,
    CONCURRENCY,
    IN_FLIGHT,
    MONTH,
    PRICES_AS_OF,
    PRICES_REGION,
    STARTS,
    WRITES,
    Calls,
    Deployment,
    Need,
    Quota,
    Size,
    Usage,
    bill,
    month_of,
    needs,
)

SAMPLE = Path(__file__).parent / "benchmarks" / "results.json"
PAGE = Path(__file__).with_name("scale.md")

RATES = (10, 100, 1_000, 10_000, 100_000)

DURABLE = "durable-pipeline"
MEMORY = {DURABLE: 512}
"""Megabytes, as the template has it; of the stages 256."""

RETENTION_DAYS = 14
QUOTAS = (STARTS, CHECKPOINTS, CONCURRENCY, BATCHES, IN_FLIGHT, WRITES)

INTRODUCTION = """\
# Growth, on paper

From 10 to 100,000 messages a second: what it costs, which of AWS's quotas is met first, and what to
ask AWS for. Nobody has run this pipeline at such rates. Written by `make docs` from the rules of
[`pipelinectl cost`](guides/cost.md#a-months-forecast) and from the executions that
[`make bench`](benchmarks.md) measured one at a time: messages of about {bytes:,} bytes in full
batches, executions and stages as fast as on that machine. For messages and times of your own:
`pipelinectl cost --rate 1000 --batch-size 100`."""

COSTS = """\
## Dollars a month

Prices of {region} as of {as_of}, without free tiers and discounts. What is not in it,
[the guide](guides/cost.md#what-is-estimated) says: above all CloudWatch's logs."""

STEPS = """\
## Step by step

For each rate the cheapest batch size that stays within AWS's quotas as they are at first; where
there is none, the cheapest of all. Messages are taken to come evenly: where they do not, the quotas
are those of the peak, and the cost is that of the mean. A batch is full only after as many
messages: at 10 a second, one of 100 after ten seconds."""

WHICH = """\
## Quotas

| quota | at first | more by | from |
|---|---|---|---|"""

REST = """\
Not verified: how many executions may be open at once, and how far AWS raises the quotas of durable
executions; both are published nowhere we looked. Checkpoints are 20,000 a second in us-east-1,
us-west-2 and eu-west-1. AWS's pages differ on the batches at once of a mapping, 1,000 or 1,250; the
lower one counts here. A new account has less of Lambda's concurrency, and a new table begins with
4,000 write units a second, which double as it is used. S3 is met by files and
[claim checks](guides/claim-checks.md) alone. The key of an item is that of its record, so no part
of the table is hotter than the others.

Before all these come parameters of the stack: `MaximumConcurrency` is the batches at once, 10
unless you set it, and batches above ten need a `MaximumBatchingWindow` above 0 to be full."""


def page() -> str:
    """The page."""
    each = sample()[10]
    parts = [
        INTRODUCTION.format(bytes=round(each.travelling_bytes / each.deliveries)),
        COSTS.format(region=PRICES_REGION, as_of=PRICES_AS_OF),
        _costs(),
        STEPS,
        _steps(),
        "\n".join([WHICH, *map(_quota, QUOTAS)]),
        REST,
    ]
    return "\n\n".join(parts) + "\n"


def _costs() -> str:
    sizes = sorted(sample())
    lines = ["| messages a second | " + " | ".join(f"batches of {n:,}" for n in sizes) + " |"]
    lines.append("|---" * (len(sizes) + 1) + "|")
    for rate in RATES:
        dollars = [_dollars(rate, size) for size in sizes]
        cells = [f"{d:,.0f}" if d >= 1 else f"{d:.2f}" for d in dollars]
        lines.append(f"| {rate:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _steps() -> str:
    lines = ["| messages a second | batch | dollars a month | met first | ask AWS for |"]
    lines.append("|---" * 5 + "|")
    for rate in RATES:
        size = _best(rate)
        found = needs_of(rate, size)
        first = f"{found[0].quota.name}: {_share(found[0])}"
        row = [f"{rate:,}", f"{size:,}", f"{_dollars(rate, size):,.0f}", first, _asked(found)]
        lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def _best(rate: int) -> int:
    """The cheapest batch size within the quotas; if there is none, the cheapest of all."""
    sizes = sample().keys()
    within = [size for size in sizes if needs_of(rate, size)[0].share <= 1]
    return min(within or sizes, key=lambda size: _dollars(rate, size))


def _share(need: Need) -> str:
    return f"{need.share:.0%}" if need.share >= 0.01 else "below 1%"


def _asked(found: Iterable[Need]) -> str:
    """What is more than there is at first, rounded up to two digits."""
    asked = [f"{rounded_up(n.needed):,} {n.quota.name}" for n in found if n.share > 1]
    return "; ".join(asked) or "nothing"


def rounded_up(value: float) -> int:
    """No less than ``value``, with two digits that say something."""
    step: int = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return math.ceil(value / step) * step


def _quota(quota: Quota) -> str:
    return f"| {quota.name} | {quota.value:,} | {quota.ask} | [AWS]({quota.source}) |"


def _dollars(rate: int, size: int) -> float:
    month = month_of(rate * MONTH, size, sample()[size], deployment())
    dollars: float = bill(month.used, deployment())["dollars"]
    return dollars


def needs_of(rate: int, size: int) -> list[Need]:
    """What so many messages a second need of each quota, in batches of this size."""
    return needs(month_of(rate * MONTH, size, sample()[size], deployment()))


@cache
def deployment() -> Deployment:
    """The pipeline as its template has it."""
    names = [DURABLE, "validate", "transform", "store"]
    sizes = {name: Size(MEMORY.get(name, 256), "arm64") for name in names}
    return Deployment(
        "",
        PRICES_REGION,
        is_local=True,
        retention_days=RETENTION_DAYS,
        durable_function=DURABLE,
        sizes=sizes,
    )


@cache
def sample() -> Mapping[int, Usage]:
    """What executions used that took so many messages each, by that number."""
    found = json.loads(SAMPLE.read_text("utf-8"))["usage"]
    return {int(size): usage_in(used) for size, used in found.items()}


def usage_in(used: Mapping[str, Any]) -> Usage:
    """What `saved` has written."""
    calls = {name: Calls(**of) for name, of in used["calls"].items()}
    documents = Counter(str(number) for number in range(used["documents"]))
    return Usage(
        **{
            **used,
            "operations": Counter(used["operations"]),
            "calls": calls,
            "documents": documents,
        }
    )


def saved(usage: Usage, stack: str) -> dict[str, Any]:
    """What executions of a stack used, as JSON; `sample` reads it back."""
    calls = {n.removeprefix(f"{stack}-"): asdict(of) for n, of in usage.calls.items()}
    # Not `asdict`, which makes a Counter anew and counts what it had.
    own = {"operations": dict(usage.operations), "calls": calls, "documents": usage.deliveries}
    return vars(usage) | own
