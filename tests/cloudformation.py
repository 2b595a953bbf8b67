"""What CloudFormation makes of the template: SAM's translation, values, and what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localcloud.cloudformation_yaml import load

ROOT = Path(__file__).parents[1]
TEMPLATE: dict[str, Any] = load(ROOT / "template.yaml")
PARAMETERS: dict[str, Any] = TEMPLATE["Parameters"]
LAMBDAS_LEVELS: dict[str, str] = {
    level: words["OfLambda"] for level, words in TEMPLATE["Mappings"]["LogLevels"].items()
}
DEFAULTS = {name: str(parameter["Default"]) for name, parameter in PARAMETERS.items()}

_NOTHING = "<AWS::NoValue>"
# SAM's own translator, which CloudFormation runs on AWS, in the environment of the SAM CLI.
_TRANSLATE = """
import copy, json, sys
from boto3.session import Session
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
template, sets = json.load(sys.stdin)
translator = Translator({}, Parser(), boto_session=Session(region_name="eu-central-1"))
print(json.dumps([translator.translate(copy.deepcopy(template), values) for values in sets]))
"""


def translations(sets: Sequence[Mapping[str, str]], code: str = "code") -> list[dict[str, Any]]:
    """The template's resources as CloudFormation gets them, for each set of the parameters' values.

    ``code`` stands for what was uploaded as the functions' code.
    """
    template = json.loads(json.dumps(TEMPLATE))
    template["Globals"]["Function"]["CodeUri"] = f"s3://artifacts/{code}"
    run = subprocess.run(
        [ROOT / ".tools" / "sam" / "bin" / "python", "-c", _TRANSLATE],
        input=json.dumps([template, [dict(values) for values in sets]]),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [translation["Resources"] for translation in json.loads(run.stdout)]


def resolved(value: Any, values: Mapping[str, str]) -> Any:  # noqa: C901 - one case a function
    """``value`` with the parameters' ``values``; what refers to a resource says to which.

    What comes to AWS::NoValue is left out.
    """
    match value:
        case {"Ref": str(name)}:
            return values.get(name, f"<{name}>")
        case {"Fn::GetAtt": attribute}:
            return f"<{attribute}>"
        case {"Fn::Sub": [str(text), dict(more)]}:
            return _substituted(text, {**values, **_each(more, values)})
        case {"Fn::Sub": str(text)}:
            return _substituted(text, values)
        case {"Fn::If": [str(condition), then, otherwise]}:
            holds = _holds(TEMPLATE["Conditions"][condition], values)
            return resolved(then if holds else otherwise, values)
        case {"Fn::Split": argument} | {"Fn::Select": argument} | {"Fn::Join": argument}:
            ((function, _),) = value.items()
            return _of_lists(function, argument[0], resolved(argument[1], values))
        case {"Fn::FindInMap": [str(name), key, str(column)]}:
            return TEMPLATE["Mappings"][name][resolved(key, values)][column]
        case dict():
            if unknown := [name for name in value if name.startswith("Fn::")]:
                raise ValueError(f"unknown: {unknown}")
            return _each(value, values)
        case list():
            parts = (resolved(part, values) for part in value)
            return [part for part in parts if part != _NOTHING]
    return value


def _of_lists(function: str, argument: Any, value: Any) -> Any:
    match function:
        case "Fn::Split":
            return value.split(argument)
        case "Fn::Select":
            return value[argument]
    return argument.join(value)


def _holds(condition: Any, values: Mapping[str, str]) -> bool:
    """Whether a condition does, or what a rule asserts."""
    match condition:
        case {"Fn::Equals": [left, right]}:
            return str(resolved(left, values)) == str(resolved(right, values))
        case {"Fn::Not": [argument]}:
            return not _holds(argument, values)
        case {"Fn::Or": list(arguments)}:
            return any(_holds(argument, values) for argument in arguments)
        case {"Fn::Contains": [list(members), member]}:
            return str(resolved(member, values)) in map(str, members)
    raise ValueError(f"unknown: {condition}")


def _each(value: Mapping[str, Any], values: Mapping[str, str]) -> dict[str, Any]:
    parts = ((name, resolved(part, values)) for name, part in value.items())
    return {name: part for name, part in parts if part != _NOTHING}


def _substituted(text: str, values: Mapping[str, str]) -> str:
    return re.sub(r"\$\{([\w:.]+)\}", lambda found: values.get(found[1], f"<{found[1]}>"), text)


def refusals(given: Mapping[str, str]) -> list[str]:
    """Why CloudFormation refuses these values of parameters, the others being as they are."""
    values = {**DEFAULTS, **given}
    return [
        *(f"{n}: {p.get('ConstraintDescription', '')}" for n, p in PARAMETERS.items()
          if not _allowed(p, values[n])),
        *(
            assertion["AssertDescription"]
            for rule in TEMPLATE["Rules"].values()
            if "RuleCondition" not in rule or _holds(rule["RuleCondition"], values)
            for assertion in rule["Assertions"]
            if not _holds(assertion["Assert"], values)
        ),
    ]  # fmt: skip


def _allowed(parameter: Mapping[str, Any], value: str) -> bool:
    if "AllowedValues" in parameter and value not in map(str, parameter["AllowedValues"]):
        return False
    if "AllowedPattern" in parameter and not re.fullmatch(parameter["AllowedPattern"], value):
        return False
    if len(value) > parameter.get("MaxLength", len(value)):
        return False
    if parameter["Type"] != "Number":
        return True
    number = int(value)
    least, most = parameter.get("MinValue", number), parameter.get("MaxValue", number)
    return bool(least <= number <= most)
