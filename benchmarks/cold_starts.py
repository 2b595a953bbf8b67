"""What a cold start has to load: the size of a function's artifact, and what its imports take.

Each artifact is imported by a process of its own, from source, as Lambda does: an artifact has no
compiled modules. Only ratios carry over; Lambda's start of an environment comes on top.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from localcloud.deploy import artifacts, build_directory
from localcloud.settings import Settings

SECONDS = 60
TEMPLATE = "localcloud-template.json"
WRAPPER = "fault_wrapper"
"""In the place of the stages' own modules, to note what they do; see `noting`."""

# Nothing of this project's environment: what is not in the artifact is not on Lambda.
_IMPORT = (
    "import sys; sys.path = [p for p in sys.path if p and 'site-packages' not in p]; "
    "sys.path.insert(0, {folder!r}); import {module}"
)
_LINE = re.compile(r"import time:\s+(?P<own>\d+) \|\s+(?P<all>\d+) \|(?P<depth>\s+)(?P<name>\S+)")


@dataclass(frozen=True)
class ColdStart:
    """One function: bytes of its artifact, and milliseconds that its imports take.

    ``largest`` is the package of others that takes most of it, ``largest_milliseconds`` how long.
    """

    function: str
    bytes: int
    milliseconds: float
    largest: str
    largest_milliseconds: float


def cold_starts(settings: Settings, stack: str) -> Iterator[dict[str, Any]]:
    """Each function of a stack that was built, as JSON documents."""
    build = build_directory(settings, stack)
    resources = json.loads((build / TEMPLATE).read_text())["Resources"]
    for name, folder in sorted(artifacts(build).items()):
        module = resources[name]["Properties"]["Handler"].rpartition(".")[0].replace("/", ".")
        yield asdict(cold_start(name, folder, module.replace(WRAPPER, "handler")))


def cold_start(name: str, folder: Path, module: str) -> ColdStart:
    """What the artifact in ``folder`` takes, whose handler is in ``module``.

    Raises:
        subprocess.CalledProcessError: it cannot be imported.
    """
    run = subprocess.run(  # noqa: S603 - our own artifact
        [
            *(sys.executable, "-I", "-B", "-X", "importtime", "-c"),
            _IMPORT.format(folder=str(folder), module=module),
        ],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=SECONDS,
    )
    total, packages = times_in(run.stderr, module)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    largest = max(packages, key=lambda package: packages[package], default="")
    return ColdStart(name, size, total, largest, packages.get(largest, 0.0))


def times_in(said: str, module: str) -> tuple[float, dict[str, float]]:
    """Milliseconds of ``module``, and of each package in them, without what it imports of others.

    ``said`` is what ``-X importtime`` writes.
    """
    total, packages = 0.0, dict[str, float]()
    for line in filter(None, map(_LINE.match, said.splitlines())):
        package = line["name"].partition(".")[0]
        packages[package] = packages.get(package, 0.0) + int(line["own"]) / 1000
        if line["name"] == module:
            total = int(line["all"]) / 1000
    ours = {module.partition(".")[0], "pipeline_core"}
    others = {name: took for name, took in packages.items() if name not in ours}
    return total, others
