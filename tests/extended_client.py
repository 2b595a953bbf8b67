"""The Amazon SQS Extended Client Library for Python, without what importing it does to boto3."""

from __future__ import annotations

import importlib
from typing import Any

import boto3


def session_class() -> Any:
    """Its session.

    The package replaces boto3's own sessions when it is imported: every SQS client of the process
    would then receive payloads instead of the pointers that were sent. Here it is undone at once.
    """
    before = boto3.session.Session, boto3.Session, boto3.DEFAULT_SESSION
    try:
        module = importlib.import_module("sqs_extended_client")
    finally:
        boto3.session.Session, boto3.Session, boto3.DEFAULT_SESSION = before  # type: ignore[misc]  # classes
    return module.SQSExtendedClientSession
