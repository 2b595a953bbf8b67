"""Puts faults into the stages of a SAM template: into a copy, the template stays as it is.

In the copy, each stage's handler is the one of `wrapper`, which strikes where a record's body asks
for it and calls the real handler otherwise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from faults.errors import NotWrappable
from localcloud.overlay import load_template

_WRAPPER = Path(__file__).with_name("wrapper.py")
_MODULE = "fault_wrapper"


@dataclass(frozen=True)
class Application:
    """A SAM application as its build sees it.

    ``code`` is the folder of its functions' code, as in the template's ``CodeUri``, and ``shared``
    the package below it that the build copies into every function's artifact.
    """

    template: Path
    code: str = "src"
    shared: str = "shared"


def with_faults(application: Application, stages: Mapping[str, str], directory: Path) -> Path:
    """Copy the application to ``directory``, an empty folder, with faults in its stages.

    ``stages`` names each stage's function by the name that records use for the stage: the
    function's logical id. The path of the template in the copy comes back.

    Raises:
        NotWrappable: the template has no such function, or it has no handler.
    """
    template = load_template(application.template)
    for stage, logical_id in stages.items():
        _wrap(template, stage, logical_id, application.shared)
    code = directory / application.code
    shutil.copytree(application.template.parent / application.code, code)
    shutil.copyfile(_WRAPPER, code / application.shared / f"{_MODULE}.py")
    path = directory / "template.json"
    path.write_text(json.dumps(template, indent=1))
    return path


def _wrap(template: dict[str, Any], stage: str, logical_id: str, shared: str) -> None:
    properties = template["Resources"].get(logical_id, {}).get("Properties", {})
    if "Handler" not in properties:
        raise NotWrappable(f"{logical_id} is no function with a handler")
    variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
    variables |= {"FAULTS_STAGE": stage, "FAULTS_HANDLER": properties["Handler"]}
    properties["Handler"] = f"{shared}.{_MODULE}.handler"
