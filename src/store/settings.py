"""What the store stage is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Names of the tables, and days after which an item expires (0: never)."""

    table_name: str
    time_to_live_in_days: int
    catalog_table_name: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read PROCESSED_DATA_TABLE, OBJECT_CATALOG_TABLE and TIME_TO_LIVE_IN_DAYS.

        Raises:
            KeyError: one of the tables is not set.
        """
        return cls(
            table_name=environment["PROCESSED_DATA_TABLE"],
            time_to_live_in_days=int(environment.get("TIME_TO_LIVE_IN_DAYS", "0")),
            catalog_table_name=environment["OBJECT_CATALOG_TABLE"],
        )
