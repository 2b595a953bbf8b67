"""What the csv_file function is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """Name of the bucket that takes results, rejects, segments and manifests."""

    output_bucket: str

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read OUTPUT_BUCKET.

        Raises:
            KeyError: it is not set.
        """
        return cls(output_bucket=environment["OUTPUT_BUCKET"])
