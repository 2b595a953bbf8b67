from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelinectl.costing.prices import OWN, PRICE_NAMES, load
from pipelinectl.errors import UsageError


def own() -> dict[str, Any]:
    return tomllib.loads(OWN.read_text("utf-8"))


def test_the_own_table_says_where_and_when() -> None:
    prices = load()

    assert prices.region == "us-east-1"
    assert prices.as_of.isoformat() == str(own()["as_of"])
    assert prices.dollars == own()["dollars"]
    assert prices.per_million_durable_operations == 8


def test_compute_is_priced_by_architecture() -> None:
    prices = load()

    assert prices.per_gb_second("arm64") < prices.per_gb_second("x86_64")


@pytest.mark.parametrize("suffix", [".toml", ".json"])
def test_another_table_is_read_as_toml_or_json(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"mine{suffix}"
    if suffix == ".toml":
        path.write_text(OWN.read_text("utf-8").replace("us-east-1", "eu-west-9"))
    else:
        path.write_text(json.dumps(own() | {"region": "eu-west-9", "as_of": "2026-01-31"}))

    assert load(path).region == "eu-west-9"


def table(**changes: Any) -> str:
    document = own() | {"as_of": "2026-09-20"}
    return json.dumps(document | {"dollars": document["dollars"] | changes})


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.yaml", "region: x", "does not end in .toml or .json"),
        ("a.toml", "= 8", "it is no TOML"),
        ("a.json", "{", "it is no JSON"),
        ("a.json", "[]", "it is no table"),
        ("a.json", "{}", "no table 'dollars'"),
        ("a.json", '{"dollars": {}}', f"'{PRICE_NAMES[0]}' is missing"),
        ("a.json", table(per_gallon=1), "'per_gallon' is no price"),
        ("a.json", table(per_gb_written=-1), "'per_gb_written' is no price of 0 or more: -1"),
        ("a.json", table(per_gb_written="0.25"), "'per_gb_written' is no price"),
        ("a.json", table(per_gb_written=True), "'per_gb_written' is no price"),
        ("a.json", table(per_gb_written=float("nan")), "'per_gb_written' is no price"),
        ("a.json", json.dumps(own() | {"as_of": "lately"}), "'as_of' is no date"),
        ("a.json", json.dumps(own() | {"as_of": "2026-09-20", "region": 1}), "'region' is no text"),
    ],
)
def test_a_wrong_table_is_one_line_with_its_name_and_the_rule(
    tmp_path: Path, name: str, content: str, said: str
) -> None:
    path = tmp_path / name
    path.write_text(content)

    with pytest.raises(UsageError) as raised:
        load(path)

    assert said in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_table_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "none.toml")
