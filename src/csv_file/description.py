"""What a file is: its dialect, and the processing type and source of its rows."""

from __future__ import annotations

import binascii
from collections.abc import Mapping
from dataclasses import replace
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import get_args

from csv_file.contract import Cursor, EmptyCells, File, InvalidFile
from csv_file.dialect import dialect_of
from csv_file.source import Head
from csv_file.syntax import JSON_LINES, Syntax, csv_syntax
from validate.rules import processing_types

DEFAULT_TYPE = "standard"

METADATA = ("processing-type", "data-source", "delimiter", "empty-cells")


def described(head: Head) -> tuple[File, Cursor]:
    """The file that begins with ``head``, and where its first row may start.

    Raises:
        InvalidFile: the file is rejected as a whole.
    """
    given = head.metadata
    metadata = {name: _decoded(name, given[name]) for name in METADATA if name in given}
    dialect = dialect_of(replace(head, metadata=metadata))
    file: File = {
        **head.state,
        "format": dialect.format,
        "delimiter": dialect.delimiter,
        "header": dialect.header,
        "processing_type": _processing_type(head.state["key"], metadata),
        "data_source": metadata.get("data-source") or head.state["key"].rsplit("/", 1)[-1],
        "empty_cells": _empty_cells(metadata),
    }
    return file, dialect.first


def syntax_of(file: File) -> Syntax:
    """Where the file's rows and lines end."""
    return csv_syntax(file["delimiter"]) if file["format"] == "csv" else JSON_LINES


def _decoded(name: str, value: str) -> str:
    """The value as text: S3 gives what is not ASCII as RFC 2047 has it, ``=?UTF-8?B?...?=``.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
    """
    if "=?" not in value:
        return value
    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, binascii.Error, LookupError, UnicodeError):
        problem = f"the metadata {name[:100]!r} is {value[:100]!r}, which is not as RFC 2047 has it"
        raise InvalidFile(
            "InvalidMetadata", [f"{problem}; write it as =?UTF-8?B?<base64>?="]
        ) from None


def _empty_cells(metadata: Mapping[str, str]) -> EmptyCells:
    """Whether a cell without text is a field that is not there, which it is if nothing is said."""
    value = metadata.get("empty-cells") or "absent"
    for known in get_args(EmptyCells):
        if value == known:
            choice: EmptyCells = known
            return choice
    names = ", ".join(get_args(EmptyCells))
    raise InvalidFile(
        "InvalidMetadata",
        [f"the metadata 'empty-cells' is {value[:100]!r}; it must be one of: {names}"],
    )


def _processing_type(key: str, metadata: Mapping[str, str]) -> str:
    """The type in the metadata, else that of the folder below the door, else the default."""
    name = metadata.get("processing-type")
    if not name:
        folders = key.split("/")[1:-1]
        return folders[0] if folders and folders[0] in processing_types() else DEFAULT_TYPE
    if name not in processing_types():
        known = ", ".join(processing_types())
        raise InvalidFile(
            "UnknownProcessingType",
            [f"the metadata 'processing-type' is {name[:100]!r}; it must be one of: {known}"],
        )
    return name
