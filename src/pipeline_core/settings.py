"""Reads a function's settings: a frozen dataclass, whose fields are named as the variables are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Settings = TypeVar("Settings", bound="DataclassInstance")


def read_settings(kind: type[Settings], environment: Mapping[str, str]) -> Settings:
    """A ``kind`` of what ``environment`` holds; its field ``table_name`` is TABLE_NAME there.

    A field is of type str or int; one with a default need not be set.

    Raises:
        ValueError: variables are missing, or no whole numbers; it names each.
    """
    types = _types(kind)
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in fields(kind):
        name = field.name.upper()
        if name not in environment:
            if field.default is MISSING:
                wrong.append(f"{name} is not set")
            continue
        try:
            values[field.name] = types[field.name](environment[name])
        except ValueError:
            wrong.append(f"{name} is {environment[name][:50]!r}, which is no whole number")
    if wrong:
        raise ValueError(f"environment variables: {'; '.join(wrong)}; template.yaml sets them")
    return kind(**values)


@cache
def _types(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind)
