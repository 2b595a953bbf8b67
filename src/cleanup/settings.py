"""What the cleanup function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Name of this deployment, and of the tables, bucket and queue that it works on."""

    environment: str
    catalog_table_name: str
    items_table_name: str
    output_bucket: str
    queue_url: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the function's environment variables.

        Raises:
            KeyError: one is not set.
        """
        return cls(
            environment=environment["ENVIRONMENT"],
            catalog_table_name=environment["OBJECT_CATALOG_TABLE"],
            items_table_name=environment["PROCESSED_DATA_TABLE"],
            output_bucket=environment["OUTPUT_BUCKET"],
            queue_url=environment["INTERNAL_QUEUE_URL"],
        )
