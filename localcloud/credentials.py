"""The credentials of a local cloud's root user: random, and kept where nobody else reads them."""

from __future__ import annotations

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BYTES = 10
_SECRET_BYTES = 30


@dataclass(frozen=True)
class Credentials:
    """An access key, its secret, and the token of a session."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def make(path: Path) -> None:
    """Write new credentials to `path`, for this user's eyes only; those that are there stay.

    Only one process at a time may do so.
    """
    if path.exists():
        return
    # Of as many characters as AWS's, but of none that could be taken for AWS's.
    random = base64.b32encode(secrets.token_bytes(_KEY_BYTES)).decode()
    made = Credentials(f"LOCL{random}", secrets.token_urlsafe(_SECRET_BYTES))
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        json.dump({"access_key": made.access_key, "secret_key": made.secret_key}, file)
    draft.replace(path)


def read(path: Path) -> Credentials:
    """Return the credentials in a file; FileNotFoundError or ValueError if it has none."""
    try:
        document = json.loads(path.read_text())
        return Credentials(str(document["access_key"]), str(document["secret_key"]))
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} has no credentials") from error
