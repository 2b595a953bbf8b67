"""Runs AWS's conformance tests on a local cloud of their own: ``make conformance``.

``python -m conformance [SUITE or ID]...``; without any, all run, and the page in docs/ is written.
What is not as recorded is tried once more, alone: some requirements are a matter of seconds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conformance.results import (
    FAILING,
    ConformanceError,
    Result,
    is_as_recorded,
    order,
    page,
    read,
    surprises,
)
from localcloud import cloudformation_yaml
from localcloud.deploy import deploy
from localcloud.settings import ROOT, LocalCloudError, Settings
from localcloud.supervisor import fresh, neutral_environment

TEMPLATE = ROOT / "conformance" / "template.yaml"
PAGE = ROOT / "docs" / "conformance.md"
WORK = ROOT / ".conformance"
AWS = ROOT / ".tools" / "conformance"

# AWS's runner takes the name that it is given for the end of the stack's.
RUN = "local"
STACK = f"conformance-tests-{RUN}"
AT_ONCE = 10
"""Requirements; most of their time they wait."""
SECONDS = 600

VERSIONS = {
    "aws-durable-execution-conformance-tests": "requirements/conformance.txt",
    "aws-durable-execution-sdk-python": "conformance/layer/requirements.txt",
    "aws-durable-execution-sdk-python-testing": "requirements/dev.txt",
    "ministack": "requirements/ministack.txt",
}
"""The packages that make a result, and the lock files that say their versions."""


@dataclass(frozen=True)
class Run:
    """AWS's runner at some requirements of a stack, and the folder for what it leaves."""

    settings: Settings
    folder: Path
    template: Mapping[str, Any]

    def results(self, ids: Sequence[str], at_once: int) -> list[Result]:
        """Try the requirements ``ids``, ``at_once`` at a time."""
        self.folder.mkdir(parents=True)
        template = self.folder / "template.json"
        template.write_text(json.dumps(of_requirements(self.template, ids)))
        with (self.folder / "log").open("wb") as log:
            subprocess.run(  # noqa: S603 - our own program, AWS's package
                self._command(template, at_once),
                env=neutral_environment(os.environ) | self.settings.client_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,  # it ends with 1 when a requirement is not met
                timeout=SECONDS,
            )
        report = self.folder / "report.json"
        if not report.exists():
            raise ConformanceError(f"AWS's runner came to no report: see {self.folder / 'log'}.")
        return read(report, ids)

    def _command(self, template: Path, at_once: int) -> list[str]:
        return [
            *(str(AWS / "bin" / "python"), "-P", str(ROOT / "conformance" / "aws_runner.py")),
            *("--template", str(template), "--name", RUN, "--no-cleanup"),
            *("--language", "python", "--region", self.settings.region),
            *("--max-workers", str(at_once), "--history-dir", str(self.folder)),
            *("--report", "json"),
        ]


def main() -> int:
    """Run what is asked for; 1 if anything is not as recorded."""
    # What ends a process by default would leave the local cloud behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        everything = requirements()
        results = run(chosen(everything, sys.argv[1:]))
    except (ConformanceError, LocalCloudError, subprocess.SubprocessError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    wrong = list(surprises(results, FAILING))
    print("\n".join(wrong), file=sys.stderr, end="\n" if wrong else "")
    passed = sum(result.passed for result in results)
    print(f"{passed} of {len(results)} requirements met; {len(wrong)} not as recorded")
    if not wrong and len(results) == sum(map(len, everything.values())):
        PAGE.write_text(page(results, FAILING, versions()), "utf-8")
    return int(bool(wrong))


def run(ids: Sequence[str]) -> list[Result]:
    """Try the requirements ``ids`` on a new local cloud."""
    with fresh(WORK / "cloud") as settings:
        for left in WORK.glob("run-*"):
            shutil.rmtree(left)
        template = _absolute(of_requirements(cloudformation_yaml.load(TEMPLATE), ids))
        path = WORK / "template.json"
        path.write_text(json.dumps(template))
        deploy(settings, template=path, stack_name=STACK)
        first = Run(settings, WORK / "run-1", template).results(ids, AT_ONCE)
        again = [result.id for result in first if not is_as_recorded(result, FAILING)]
        if not again:
            return first
        print(f"once more, one at a time: {', '.join(again)}", flush=True)
        second = Run(settings, WORK / "run-2", template).results(again, at_once=1)
    return [*(result for result in first if result.id not in again), *second]


def requirements() -> dict[str, list[str]]:
    """The ids of AWS's requirements, by their suites.

    Raises:
        ConformanceError: they are not installed.
    """
    found: dict[str, list[str]] = {}
    for path in AWS.glob("lib/*/site-packages/aws_durable_*_tests/test_requirements/*/*.yaml"):
        found.setdefault(path.parent.name, []).append(path.stem)
    if not found:
        raise ConformanceError(f"AWS's requirements are not in {AWS}: run `make conformance`.")
    return found


def chosen(everything: Mapping[str, Sequence[str]], words: Sequence[str]) -> list[str]:
    """The ids that ``words``, which are suites and ids, stand for; all, if there are none.

    Raises:
        ConformanceError: a word is neither.
    """
    known = {id_ for ids in everything.values() for id_ in ids}
    ids: set[str] = set() if words else known
    for word in words:
        if word not in everything and word not in known:
            raise ConformanceError(
                f"{word!r} is neither a suite nor a requirement: name suites "
                f"({', '.join(sorted(everything))}) or ids, such as 1-1."
            )
        ids |= set(everything.get(word, [word]))
    return sorted(ids, key=order)


def of_requirements(template: Mapping[str, Any], ids: Iterable[str]) -> dict[str, Any]:
    """The template with those functions only that meet one of the requirements ``ids``.

    What is said to meet none stays, because others may need it.
    """
    wanted = set(ids)
    resources: dict[str, Any] = {}
    for name, resource in template["Resources"].items():
        metadata = resource.get("TestingMetadata")
        if metadata is None:
            resources[name] = resource
        elif met := [id_ for id_ in metadata["TestDescription"] if id_ in wanted]:
            resources[name] = {**resource, "TestingMetadata": {"TestDescription": met}}
    return {**template, "Resources": resources}


def versions() -> dict[str, str]:
    """The versions of the packages that make a result, by their names, as they are pinned."""
    found: dict[str, str] = {}
    for name, file in VERSIONS.items():
        pins = (ROOT / file).read_text("utf-8")
        pin = re.search(rf"^{re.escape(name)}==(\S+)", pins, re.MULTILINE)
        if pin is None:
            raise ConformanceError(f"{file} does not pin {name}: run `make lock`.")
        found[name] = pin[1]
    return found


def _absolute(template: dict[str, Any]) -> dict[str, Any]:
    """The template with its folders of code as absolute paths, to be written elsewhere."""
    folder = TEMPLATE.parent
    template["Globals"]["Function"]["CodeUri"] = str(folder / "src")
    template["Resources"]["Sdk"]["Properties"]["ContentUri"] = str(folder / "layer")
    return template


if __name__ == "__main__":
    sys.exit(main())
