"""What a file is: its dialect, and the processing type and source of its rows."""

from __future__ import annotations

from collections.abc import Mapping

from csv_file.contract import Cursor, File, InvalidFile
from csv_file.dialect import dialect_of
from csv_file.source import Head
from csv_file.syntax import JSON_LINES, Syntax, csv_syntax
from validate.rules import processing_types

DEFAULT_TYPE = "standard"


def described(head: Head) -> tuple[File, Cursor]:
    """The file that begins with ``head``, and where its first row may start.

    Raises:
        InvalidFile: the file is rejected as a whole.
    """
    dialect = dialect_of(head)
    file: File = {
        **head.state,
        "format": dialect.format,
        "delimiter": dialect.delimiter,
        "header": dialect.header,
        "processing_type": _processing_type(head.state["key"], head.metadata),
        "data_source": head.metadata.get("data-source") or head.state["key"].rsplit("/", 1)[-1],
    }
    return file, dialect.first


def syntax_of(file: File) -> Syntax:
    """Where the file's rows and lines end."""
    return csv_syntax(file["delimiter"]) if file["format"] == "csv" else JSON_LINES


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
