"""What the catalog function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Name of the catalog's table."""

    catalog_table_name: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read OBJECT_CATALOG_TABLE.

        Raises:
            KeyError: it is not set.
        """
        return cls(catalog_table_name=environment["OBJECT_CATALOG_TABLE"])
