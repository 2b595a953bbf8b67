"""The durable API as botocore's model of Lambda has it: requests recognised, read and checked.

Whatever the model says of a parameter holds here: where it is in the request, its type, whether it
is required, its length or range, pattern and values.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

from botocore.utils import parse_timestamp

from localcloud.quotas import MAX_ERROR_BYTES, utf8_length

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from botocore.model import OperationModel, ServiceModel

    # botocore's shapes have attributes by their types, which its type hints do not tell apart.
    Shape = Any

_VERSION = "/2025-12-01/"
_SURROGATE = re.compile("[\ud800-\udfff]")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS = {"true": True, "false": False}


class ParameterError(ValueError):
    """A request that is not as the model has it; the message is in Lambda's words."""


@dataclass(frozen=True)
class Call:
    """A request of the durable API: the operation and what of its parameters is in the path.

    `status` is that of the answer if all goes well.
    """

    operation: str
    path_parameters: Mapping[str, str]
    status: int


class DurableApi:
    """The durable operations of botocore's model."""

    def __init__(self, model: ServiceModel) -> None:
        """`model` is Lambda's."""
        operations = map(model.operation_model, model.operation_names)
        self._operations = {
            operation.name: operation
            for operation in operations
            if operation.http["requestUri"].startswith(_VERSION) and "Durable" in operation.name
        }
        self._paths = [
            (operation.http["method"], _path_pattern(operation), operation)
            for operation in self._operations.values()
        ]

    def recognise(self, method: str, path: str) -> Call | None:
        """Return which operation a request is of, by its path as it came; None for another API."""
        for its_method, pattern, operation in self._paths:
            match = pattern.fullmatch(path) if method == its_method else None
            if match:
                named = {name: unquote(value) for name, value in match.groupdict().items()}
                return Call(operation.name, named, operation.http.get("responseCode", 200))
        return None

    def parameters(self, call: Call, query: str, body: bytes) -> dict[str, Any]:
        """Return a request's parameters by the model's names.

        Timestamps are seconds since the epoch, blobs are text.

        Raises:
            ParameterError: one of them is not as the model has it.
        """
        shape: Shape = self._operations[call.operation].input_shape
        given = parse_qsl(query, keep_blank_values=True)
        found: dict[str, Any] = dict(call.path_parameters)
        for name, member in shape.members.items():
            if member.serialization.get("location") == "querystring":
                key = member.serialization.get("name", name)
                values = [value for its_key, value in given if its_key == key]
                if values:
                    found[name] = _from_query(name, member, values)
        found |= _from_body(shape, body)
        _check(shape, found, "")
        error = found.get("Error")
        if error and _error_bytes(error) > MAX_ERROR_BYTES:
            _refuse(error, "error", f"have combined size less than or equal to {MAX_ERROR_BYTES}")
        return found


def _path_pattern(operation: OperationModel) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", operation.http["requestUri"])
    literals, names = parts[::2], parts[1::2]
    pattern = re.escape(literals[0])
    for name, literal in zip(names, literals[1:], strict=True):
        pattern += f"(?P<{name}>[^/]+){re.escape(literal)}"
    return re.compile(pattern)


def _from_query(name: str, shape: Shape, values: Sequence[str]) -> Any:
    if shape.type_name == "list":
        return list(values)
    convert = _CONVERSIONS.get(shape.type_name, str)
    try:
        return convert(values[-1])
    except (ValueError, KeyError, RuntimeError) as error:  # botocore has several for a time
        raise ParameterError(
            f"1 validation error detected: Value '{values[-1]}' at '{_camel(name)}' is not of type "
            f"{shape.type_name}"
        ) from error


def _from_body(shape: Shape, body: bytes) -> dict[str, Any]:
    payload = shape.serialization.get("payload")
    if not body:
        return {}
    if payload and shape.members[payload].type_name == "blob":
        return {payload: _decoded(body)}
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"Could not parse request body into json: {error}") from error
    if payload:
        document = {payload: document}
    if not isinstance(document, dict):
        raise ParameterError("The request body must be a JSON object.")
    known: dict[str, Any] = _known(shape, document)
    return known


def _known(shape: Shape, value: Any) -> Any:
    """Return what of a value the model knows; what is null is not there."""
    if shape.type_name == "structure" and isinstance(value, dict):
        return {
            name: _known(member, value[name])
            for name, member in shape.members.items()
            if value.get(name) is not None
        }
    if shape.type_name == "list" and isinstance(value, list):
        return [_known(shape.member, item) for item in value]
    return value


def _decoded(body: bytes) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise ParameterError(f"The request body must be text in UTF-8: {error}") from error


def _integer(text: str) -> int:
    # Python takes more for one: 1_000, say, or digits of other scripts.
    if not _INTEGER.fullmatch(text):
        raise ValueError(text)
    return int(text)


def _seconds(text: str) -> float:
    return float(parse_timestamp(text).timestamp())


_CONVERSIONS: Mapping[str, Callable[[str], Any]] = {
    "integer": _integer,
    "boolean": lambda text: _BOOLEANS[text.lower()],
    "timestamp": _seconds,
}
_TYPES: Mapping[str, type] = {
    "structure": dict,
    "list": list,
    "string": str,
    "blob": str,
    "integer": int,
    "boolean": bool,
    "timestamp": float,
}


def _check(shape: Shape, value: Any, path: str) -> None:
    if not _is_of_type(shape, value):
        raise ParameterError(
            f"1 validation error detected: Value '{_shown(value)}' at '{path}' is not of type "
            f"{shape.type_name}"
        )
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                _refuse(None, f"{path}.{_camel(name)}".lstrip("."), "not be null")
        for name, item in value.items():
            if name in shape.members:
                _check(shape.members[name], item, f"{path}.{_camel(name)}".lstrip("."))
    elif shape.type_name == "list":
        _check_length(shape, len(value), value, path)
        for position, item in enumerate(value, start=1):
            _check(shape.member, item, f"{path}.{position}.member")
    else:
        _check_plain(shape, value, path)


def _is_of_type(shape: Shape, value: object) -> bool:
    # To Python, true is the integer 1.
    return type(value) is _TYPES[shape.type_name]


def _check_plain(shape: Shape, value: Any, path: str) -> None:
    metadata = shape.metadata
    if shape.type_name == "integer":
        for bound, word in (("max", "less"), ("min", "greater")):
            limit = metadata.get(bound)
            if limit is not None and (value > limit if bound == "max" else value < limit):
                _refuse(value, path, f"have value {word} than or equal to {limit}")
    elif shape.type_name == "blob":
        _check_length(shape, utf8_length(value), value, path)
    elif shape.type_name == "string":
        if not value.isascii() and _SURROGATE.search(value):
            _refuse(ascii(value), path, "be text, without halves of surrogate pairs")
        _check_length(shape, len(value), value, path)
        pattern = metadata.get("pattern")
        if pattern and not re.fullmatch(pattern, value):
            _refuse(value, path, f"satisfy regular expression pattern: {pattern}")
        if shape.metadata.get("enum") and value not in shape.metadata["enum"]:
            _refuse(value, path, f"satisfy enum value set: {list(shape.metadata['enum'])}")


def _check_length(shape: Shape, size: int, value: Any, path: str) -> None:
    if size > shape.metadata.get("max", size):
        _refuse(value, path, f"have length less than or equal to {shape.metadata['max']}")
    if size < shape.metadata.get("min", size):
        _refuse(value, path, f"have length greater than or equal to {shape.metadata['min']}")


_SHOWN = 100


def _shown(value: object) -> str:
    try:
        text = str(value)
    except RecursionError:
        return "..."
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _refuse(value: object, path: str, constraint: str) -> None:
    raise ParameterError(
        f"1 validation error detected: Value '{_shown(value)}' at '{path}' failed to satisfy "
        f"constraint: Member must {constraint}"
    )


def _camel(name: str) -> str:
    return name[:1].lower() + name[1:]


def _error_bytes(error: Mapping[str, Any]) -> int:
    return utf8_length(json.dumps(error, ensure_ascii=False))
