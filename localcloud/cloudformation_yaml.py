"""Reads CloudFormation templates, whose YAML has tags of its own, into plain JSON values."""

from pathlib import Path
from typing import Any, cast

import yaml

try:
    from yaml import CSafeLoader as SafeLoader  # libyaml reads a template eight times as fast
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]  # a PyYAML that was built without it

_WITHOUT_PREFIX = {"Ref", "Condition"}


class _Loader(SafeLoader):
    """A safe loader that also knows the short forms of CloudFormation's functions."""


def load(path: Path) -> dict[str, Any]:
    """Return the template with every `!Function` in its long form, `{"Fn::Function": ...}`."""
    with path.open(encoding="utf-8") as stream:
        return cast("dict[str, Any]", yaml.load(stream, Loader=_Loader))  # noqa: S506 - a SafeLoader


def _long_form(loader: SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in _WITHOUT_PREFIX else f"Fn::{suffix}"
    return {name: _argument(loader, suffix, node)}


def _argument(loader: SafeLoader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    text = loader.construct_scalar(cast("yaml.ScalarNode", node))
    return text.split(".", 1) if suffix == "GetAtt" else text


def _text(loader: SafeLoader, node: yaml.Node) -> Any:
    return loader.construct_scalar(cast("yaml.ScalarNode", node))


_Loader.add_multi_constructor("!", _long_form)
# A template's dates, such as `Version: 2012-10-17` in a policy, are text to CloudFormation.
_Loader.add_constructor("tag:yaml.org,2002:timestamp", _text)
