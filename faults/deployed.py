"""Puts faults into the stages of a SAM template: into a copy, the template stays as it is.

In the copy, each stage's handler is the one of `wrapper`, which strikes where a record's body asks
for it and calls the real handler otherwise.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from faults import NotWrappable
from localcloud.cloudformation_yaml import load

_WRAPPER = Path(__file__).with_name("wrapper.py")
_MODULE = "fault_wrapper"


@dataclass(frozen=True)
class Application:
    """A SAM application; ``code`` is the folder of its functions, the template's ``CodeUri``."""

    template: Path
    code: str = "src"


def with_faults(
    application: Application,
    stages: Mapping[str, str],
    directory: Path,
    wrapper: Path = _WRAPPER,
) -> Path:
    """Copy the application to ``directory``, an empty folder, with faults in its stages.

    ``stages`` names each stage's function by the name that records use for the stage: the
    function's logical id. ``wrapper`` is the module whose handler takes the place of theirs. The
    path of the template in the copy comes back.

    Raises:
        NotWrappable: the template has no such function, or it has no handler.
    """
    template = load(application.template)
    folders = [_wrap(template, stage, logical_id) for stage, logical_id in stages.items()]
    code = directory / application.code
    shutil.copytree(application.template.parent / application.code, code)
    for folder in folders:
        shutil.copyfile(wrapper, code / folder / f"{_MODULE}.py")
    path = directory / "template.json"
    path.write_text(json.dumps(template, indent=1))
    return path


def _wrap(template: dict[str, Any], stage: str, logical_id: str) -> PurePosixPath:
    """Have the function call the wrapper; the folder of its handler, where the wrapper belongs."""
    properties = template["Resources"].get(logical_id, {}).get("Properties", {})
    if "Handler" not in properties:
        raise NotWrappable(f"{logical_id} is no function with a handler")
    variables = properties.setdefault("Environment", {}).setdefault("Variables", {})
    variables |= {"FAULTS_STAGE": stage, "FAULTS_HANDLER": properties["Handler"]}
    # pkg.module.handler, or package/module.handler: both are Lambda's.
    package = PurePosixPath(properties["Handler"].rpartition(".")[0].replace(".", "/")).parent
    properties["Handler"] = ".".join((*package.parts, _MODULE, "handler"))
    return package
