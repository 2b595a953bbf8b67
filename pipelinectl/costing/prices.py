"""The table of prices: the one that comes along, or a file of one's own in its form."""

from __future__ import annotations

import json
import math
import tomllib
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from pipelinectl.errors import UsageError

OWN = Path(__file__).with_name("prices.toml")
_SUFFIXES = ".toml or .json"


@dataclass(frozen=True)
class Prices:
    """Prices in dollars. The names say what for; `prices.toml` says how AWS counts it."""

    region: str
    as_of: date
    per_million_durable_operations: float
    per_gb_written: float
    per_gb_month_retained: float
    per_million_lambda_requests: float
    per_gb_second_arm64: float
    per_gb_second_x86_64: float
    per_million_sqs_requests: float
    per_million_dynamodb_write_units: float
    per_million_state_transitions: float

    @property
    def dollars(self) -> dict[str, float]:
        """Each price by its name."""
        return {name: getattr(self, name) for name in PRICE_NAMES}

    def per_gb_second(self, architecture: str) -> float:
        """Price of a GB-second on `arm64` or `x86_64`."""
        return self.per_gb_second_arm64 if architecture == "arm64" else self.per_gb_second_x86_64


PRICE_NAMES = tuple(field.name for field in fields(Prices) if field.name.startswith("per_"))


def load(path: Path = OWN) -> Prices:
    """The prices in a file: TOML as in `prices.toml`, or the same as JSON.

    Raises:
        UsageError: it cannot be read, or is not such a table: all prices, region and date.
    """
    document = _read(path)
    given = document.get("dollars")
    if not isinstance(given, dict):
        raise _wrong(path, "it has no table 'dollars'")
    if unknown := sorted(given.keys() - set(PRICE_NAMES)):
        raise _wrong(path, f"'{unknown[0]}' is no price: {', '.join(PRICE_NAMES)} are")
    if missing := [name for name in PRICE_NAMES if name not in given]:
        raise _wrong(path, f"'{missing[0]}' is missing")
    return Prices(
        region=_region(path, document),
        as_of=_as_of(path, document),
        **{name: _price(path, name, value) for name, value in given.items()},
    )


def _read(path: Path) -> dict[str, Any]:
    parsers = {".toml": tomllib.loads, ".json": json.loads}
    if path.suffix not in parsers:
        raise _wrong(path, f"its name does not end in {_SUFFIXES}")
    try:
        document = parsers[path.suffix](path.read_text("utf-8"))
    except OSError as error:
        raise _wrong(path, error.strerror or "it cannot be read") from error
    except (ValueError, RecursionError) as error:
        raise _wrong(path, f"it is no {path.suffix[1:].upper()}: {error}") from error
    if not isinstance(document, dict):
        raise _wrong(path, "it is no table")
    return document


def _region(path: Path, document: dict[str, Any]) -> str:
    match document.get("region"):
        case str(region) if region:
            return region
    raise _wrong(path, "'region' is no text")


def _as_of(path: Path, document: dict[str, Any]) -> date:
    try:
        return date.fromisoformat(str(document.get("as_of")))
    except ValueError as error:
        raise _wrong(path, "'as_of' is no date like 2026-09-20") from error


def _price(path: Path, name: str, value: object) -> float:
    match value:
        case bool():
            pass
        case int() | float() if math.isfinite(value) and value >= 0:
            return float(value)
    raise _wrong(path, f"'{name}' is no price of 0 or more: {value!r}")


def _wrong(path: Path, why: str) -> UsageError:
    return UsageError(f"prices '{path}': {why}; see {OWN.name} for the form")
