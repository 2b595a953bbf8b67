"""The memory that deployed functions have, which a second of them is charged by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mypy_boto3_lambda.client import LambdaClient

_MB_A_GB = 1024
# Lambda's defaults, where its answer leaves them out.
_MEMORY_MB = 128
_ARCHITECTURE = "x86_64"


@dataclass(frozen=True)
class Size:
    """A function's memory and architecture, `arm64` or `x86_64`."""

    memory_mb: int
    architecture: str

    def gb_seconds(self, seconds: float) -> float:
        """What so many seconds of the function are charged as."""
        return seconds * self.memory_mb / _MB_A_GB


def sizes(client: LambdaClient, names: Iterable[str]) -> dict[str, Size]:
    """The size of each function as it is deployed now; botocore's errors pass through."""
    return {name: _size(client, name) for name in names}


def _size(client: LambdaClient, name: str) -> Size:
    found = client.get_function_configuration(FunctionName=name)
    architectures = found.get("Architectures")
    return Size(
        found.get("MemorySize", _MEMORY_MB), architectures[0] if architectures else _ARCHITECTURE
    )
