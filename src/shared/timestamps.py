"""ISO-8601 times with an offset: the only ones that name a moment."""

from __future__ import annotations

from datetime import UTC, datetime


def parse_timestamp(text: str) -> datetime:
    """The moment that ``text`` names, in UTC.

    Raises:
        ValueError: not ISO-8601, or without an offset from UTC.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("no offset from UTC")
    return moment.astimezone(UTC)


def is_timestamp(text: str) -> bool:
    """Whether ``text`` names a moment."""
    try:
        parse_timestamp(text)
    except (ValueError, OverflowError):
        return False
    return True
