"""What makes a record well-formed: the JSON Schema all share, and that of its processing type."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema

from pipeline_core import exact_json
from pipeline_core.contract import InvalidRecord, Result, StageRecord, ok, shortened
from pipeline_core.messages import NOT_ALLOWED, usable_record_id
from pipeline_core.payloads import read
from pipeline_core.values import MINOR_UNITS, is_timestamp

CONTROL = re.compile(r"[\x00-\x1f\x7f]")

SCHEMAS = Path(__file__).with_name("schemas")

MAX_NAMES = 10
MAX_NAME_CHARACTERS = 40
"""Of the names that one error tells, and of each of them; the document is the producer's."""

FORMATS: dict[str, Callable[[str], bool]] = {
    "text without control characters": lambda text: not CONTROL.search(text),
    # What `usable_record_id` would pass over, without a word.
    "text that SQS takes": lambda text: not CONTROL.search(text) and not NOT_ALLOWED.search(text),
    "ISO 4217 currency code": lambda text: text.upper() in MINOR_UNITS,
    "ISO-8601 time with an offset": is_timestamp,
}
"""What a schema's ``format`` can ask for beside the standard ones."""


def validate(record: StageRecord) -> Result:
    """Accept ``record`` or raise every reason why not.

    Of a record that is only a pointer, nobody before this stage has seen the content: the answer
    tells the ``record_id`` in it, right or wrong as the rest may be, and the pointer pinned to what
    was found right. What is written over it from now on is not what was validated, and no later
    stage takes it for that.

    Raises:
        InvalidRecord: of type InvalidJson, UnknownProcessingType or ValidationError.
        InvalidRecord, Superseded, Unavailable: the content is not available (`read`).
    """
    text, pinned = read(record)
    document = parse(text)
    identity = _identity(document) if "pointer" in record else None
    try:
        check(document)
    except InvalidRecord as invalid:
        invalid.data = identity
        raise
    return ok(record["id"], identity, pinned)


def _identity(document: Any) -> str | None:
    """The ``record_id`` that the producer gave, as JSON text; None if it is none to go by."""
    record_id = usable_record_id(document)
    return record_id and json.dumps({"record_id": record_id}, ensure_ascii=False)


def check(document: Any) -> None:
    """Raise every reason why ``document`` is not well-formed.

    Raises:
        InvalidRecord: of type UnknownProcessingType or ValidationError.
    """
    if errors := schema_errors(type_of(document), document):
        raise InvalidRecord("ValidationError", errors)


def parse(body: str) -> Any:
    """The document in ``body``, with exact numbers.

    Raises:
        InvalidRecord: of type InvalidJson.
    """
    try:
        return exact_json.loads(body)
    except exact_json.JsonError as error:
        raise InvalidRecord("InvalidJson", [f"body: {error}"]) from None


@cache
def processing_types() -> list[str]:
    """The processing types there are: one schema each, but for the one they all share."""
    return sorted(path.stem for path in SCHEMAS.glob("*.json") if path.stem != "base")


def type_of(document: Any) -> str:
    """The processing type of ``document``; "base" where the base schema will say what is wrong.

    Raises:
        InvalidRecord: of type UnknownProcessingType.
    """
    name = document.get("processing_type") if isinstance(document, dict) else None
    if not isinstance(name, str) or not name:
        return "base"
    if name not in processing_types():
        known = ", ".join(processing_types())
        raise InvalidRecord(
            "UnknownProcessingType",
            [f"processing_type {name[:100]!r} is unknown; it must be one of: {known}"],
        )
    return name


def schema_errors(processing_type: str, document: Any) -> list[str]:
    """Every way in which ``document`` breaks the base schema and that of its type."""
    errors = _errors(_validator("base"), document)
    if processing_type != "base" and isinstance(document, dict):
        errors += _errors(_validator(processing_type), document)
    return list(dict.fromkeys(errors))


def _errors(validator: Callable[[Any], Any], document: Any) -> list[str]:
    try:
        validator(document)
    except fastjsonschema.JsonSchemaValuesException as found:
        return [_readable(error) for error in found.errors]
    return []


def _readable(error: fastjsonschema.JsonSchemaValueException) -> str:
    """The validator calls the document "data"; whoever reads a dead letter calls it the record."""
    if error.rule == "required":
        missing = [key for key in error.rule_definition if key not in error.value]
        return f"{_place(error)} must contain {', '.join(missing)}"
    if error.rule == "format":
        return f"{_place(error)} must be a valid {error.rule_definition}"
    if error.rule == "additionalProperties":
        return f"{_place(error)} must not contain {_listed(_unknown(error))}"
    return _place(error) + error.message.removeprefix(error.name or "")


def _unknown(error: fastjsonschema.JsonSchemaValueException) -> list[str]:
    """The properties that the schema does not allow, in the document's order.

    The validator's own message has them as a set, in another order in each process.
    """
    known = error.definition.get("properties", {})
    patterns = error.definition.get("patternProperties", {})
    return [
        name
        for name in error.value
        if name not in known and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _listed(names: list[str]) -> str:
    told = [shortened(name, MAX_NAME_CHARACTERS) for name in names[:MAX_NAMES]]
    if more := len(names) - len(told):
        told.append(f"and {more} more")
    return ", ".join(told)


def _place(error: fastjsonschema.JsonSchemaValueException) -> str:
    names = [shortened(name, MAX_NAME_CHARACTERS) for name in error.path[1:]]
    if len(names) > MAX_NAMES:
        names[MAX_NAMES // 2 : -MAX_NAMES // 2] = ["..."]
    return ".".join(names) or "record"


@cache
def _validator(name: str) -> Callable[[Any], Any]:
    validator: Callable[[Any], Any] = fastjsonschema.compile(
        _schema(name),
        formats=FORMATS,
        use_default=False,
        detailed_exceptions=True,
        fast_fail=False,
    )
    return validator


def is_valid(processing_type: str, document: Any) -> bool:
    """Whether `schema_errors` finds none, told faster: at the first error it stops."""
    try:
        _quick_validator("base")(document)
        if processing_type != "base":
            _quick_validator(processing_type)(document)
    except fastjsonschema.JsonSchemaValueException:
        return False
    return True


@cache
def property_types(processing_type: str) -> dict[str, frozenset[str]]:
    """The JSON types that the schema allows each property it gives a type to."""
    properties = _schema(processing_type).get("properties", {})
    return {
        name: frozenset([rule["type"]] if isinstance(rule["type"], str) else rule["type"])
        for name, rule in properties.items()
        if isinstance(rule, dict) and "type" in rule
    }


@cache
def _quick_validator(name: str) -> Callable[[Any], Any]:
    validator: Callable[[Any], Any] = fastjsonschema.compile(
        _schema(name), formats=FORMATS, use_default=False, detailed_exceptions=False
    )
    return validator


def _schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    return schema
