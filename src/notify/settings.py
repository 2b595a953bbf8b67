"""What the notify function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Name of this deployment, of the catalog's table, and the operators' topic."""

    environment: str
    catalog_table_name: str
    operators_topic_arn: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read ENVIRONMENT, OBJECT_CATALOG_TABLE and OPERATORS_TOPIC_ARN.

        Raises:
            KeyError: one is not set.
        """
        return cls(
            environment=environment["ENVIRONMENT"],
            catalog_table_name=environment["OBJECT_CATALOG_TABLE"],
            operators_topic_arn=environment["OPERATORS_TOPIC_ARN"],
        )
