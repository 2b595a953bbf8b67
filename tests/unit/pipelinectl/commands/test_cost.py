"""What executions cost, in tables and as JSON."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from rich.console import Console

from pipelinectl.commands.cost import render_cost
from pipelinectl.cost import Deployment, Usage, report
from pipelinectl.exact_json import dumps
from tests.unit.pipelinectl.cost_samples import DURABLE, PLACE, STAGES, used


def reported(
    usage: Usage, place: Deployment = PLACE, *, left_out: tuple[str, ...] = (), month: int = 0
) -> dict[str, Any]:
    """The report of an execution that used this, for a forecast of so many records."""
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x")
    lambda_ = session.client("lambda", region_name="us-east-1")
    measured = {"arn/0": usage, **dict.fromkeys(left_out)}
    with Stubber(lambda_) as stub:
        for name in (DURABLE, *STAGES):
            memory = 512 if name == DURABLE else 256
            answer: Any = {"MemorySize": memory, "Architectures": ["arm64"]}
            stub.add_response("get_function_configuration", answer, {"FunctionName": name})
        return report(lambda_, measured, place, (month, 10) if month else None)


def rendered(found: dict[str, Any]) -> list[str]:
    output = io.StringIO()
    console = Console(file=output, width=100)
    for part in render_cost(found):
        console.print(part)
    return [" ".join(line.split()) for line in output.getvalue().splitlines()]


def test_what_was_used_is_said_first() -> None:
    lines = rendered(reported(used(10)))

    assert lines[0] == "10 records in 1 execution"
    assert lines[1] == "4 durable operations (3 chained invokes, 1 execution)"
    assert lines[2] == "5.9 KiB written, 7 Lambda invocations"


def test_operations_are_priced_for_a_million_records() -> None:
    assert "durable operations 400,000 3.20" in rendered(reported(used(10)))


def test_what_is_estimated_has_its_sign() -> None:
    lines = rendered(reported(used(10)))

    assert "SQS requests ~1,200,000 ~0.48" in lines
    assert any(line.startswith("together ~") for line in lines)


def test_the_other_patterns_stand_beside() -> None:
    lines = rendered(reported(used(10)))

    assert any(line.startswith("one chain a record 31 61 ~") for line in lines)


def test_region_and_date_of_the_prices_and_what_is_not_in_them_are_said() -> None:
    text = " ".join(rendered(reported(used(10))))

    assert "Prices of us-east-1 as of 2026-09-20" in text
    assert "Not included: free tiers and discounts, data transfer, S3, CloudWatch" in text


def test_what_the_prices_do_not_fit_is_said() -> None:
    fits, elsewhere, local = (
        " ".join(rendered(reported(used(10), place)))
        for place in (
            PLACE,
            replace(PLACE, region="eu-central-2"),
            replace(PLACE, region="eu-central-2", is_local=True),
        )
    )

    assert "the pipeline is in eu-central-2, where prices may differ" in elsewhere
    assert "times are those of this machine" in local
    assert "may differ" not in fits + local
    assert "this machine" not in fits + elsewhere


def test_functions_are_called_by_their_names_in_the_stack() -> None:
    (line,) = [line for line in rendered(reported(used(10))) if line.startswith("store")]

    assert line == "store 1 0.1 200 ms 256 MB arm64 ~0.005"


def test_warnings_are_said() -> None:
    usage = replace(used(10), cut=1, bytes_written=90_000_000)
    lines = rendered(reported(usage, left_out=("arn/1",)))

    assert "state of an execution: 90,000,000 bytes is near the quota" in " ".join(lines)
    assert "1 execution left out: no event of SQS or S3" in lines
    assert "at least 85.8 MiB written, 7 Lambda invocations" in lines


def test_a_forecast_is_of_a_month() -> None:
    lines = rendered(reported(used(10), month=1_000_000))

    assert (
        "Forecast: 1,000,000 records a month in 100,000 executions of 10, 4 operations each"
        in lines
    )
    assert lines.count("durable operations 400,000 3.20") == 2


def test_the_document_says_the_same_in_bytes_seconds_and_dollars() -> None:
    found = reported(used(10), month=1_000_000)

    document = json.loads(dumps(found))

    assert document["operations"] == {
        "total": 4,
        "by_kind": {"execution": 1, "chained invoke": 3},
    }
    assert document["per_record"]["operations"] == 0.4
    million = pytest.approx(document["dollars"] * 100_000, rel=1e-6)
    assert document["dollars_per_million_records"] == million
    assert document["functions"][DURABLE]["gb_seconds"] == 0.4
    assert document["forecast"]["operations"] == 400_000
    assert document["prices"]["as_of"] == "2026-09-20"
    assert [pattern["operations"] for pattern in document["patterns"]] == [4, 31]


def test_without_a_forecast_there_is_none() -> None:
    assert reported(used(10))["forecast"] is None
