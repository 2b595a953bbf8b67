"""What the uploads API is configured with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ENDPOINT_VARIABLES = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")


@dataclass(frozen=True)
class Settings:
    """Where uploads go, for how many seconds a URL lasts, how many bytes an upload may have.

    ``addressing_style`` is where the bucket stands in a URL. On AWS in the host's name: only then
    boto3 signs for the bucket's region, and a URL that S3 redirects there fails its signature. An
    endpoint of one's own has no host names for buckets.
    """

    payload_bucket: str
    url_lifetime: int
    maximum_size: int
    addressing_style: Literal["virtual", "path"]

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read PAYLOAD_BUCKET, UPLOAD_URL_LIFETIME, MAXIMUM_UPLOAD_SIZE and the S3 endpoint.

        Raises:
            KeyError: one of the first three is not set.
        """
        own_endpoint = any(environment.get(name) for name in ENDPOINT_VARIABLES)
        return cls(
            payload_bucket=environment["PAYLOAD_BUCKET"],
            url_lifetime=int(environment["UPLOAD_URL_LIFETIME"]),
            maximum_size=int(environment["MAXIMUM_UPLOAD_SIZE"]),
            addressing_style="path" if own_endpoint else "virtual",
        )
