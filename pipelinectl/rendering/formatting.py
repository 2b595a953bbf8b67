"""Numbers as people read them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

_KIB = 1024
_MINUTE = 60
_HOUR = 3600
_DAY = 86400
_LONG_MILLISECONDS = 1
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def duration(seconds: float | None) -> str:
    """A duration with the digits that matter: `12 ms`, `3.42 s`, `2 min 05 s`, `1 h 02 min`."""
    match seconds:
        case None:
            return ""
        case _ if seconds < _LONG_MILLISECONDS:
            return f"{seconds * 1000:.0f} ms"
        case _ if seconds < _MINUTE:
            return f"{seconds:.2f} s"
        case _ if seconds < _HOUR:
            return f"{int(seconds // _MINUTE)} min {int(seconds % _MINUTE):02} s"
        case _:
            return f"{int(seconds // _HOUR)} h {int(seconds % _HOUR // _MINUTE):02} min"


def age(moment: datetime, now: datetime) -> str:
    """How long ago `moment` was, in its largest unit: `5 s`, `12 min`, `3 h`, `8 d`."""
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def size(count: int) -> str:
    """Bytes: `512 B`, `1.5 KiB`, `3.0 MiB`, `2.0 GiB`."""
    if count < _KIB:
        return f"{count} B"
    if count < _KIB**2:
        return f"{count / _KIB:.1f} KiB"
    if count < _KIB**3:
        return f"{count / _KIB**2:.1f} MiB"
    return f"{count / _KIB**3:.1f} GiB"


def clock(moment: datetime) -> str:
    """Local time of day with its date, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def shorten(text: str, width: int) -> str:
    """`text` on one line and at most `width` characters long."""
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"


def visible(text: str) -> str:
    """`text` with escapes for what a terminal would obey, or not show: anybody may have made it."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def bar(start: float, end: float, total: float, width: int) -> str:
    """A bar of `width` cells for the part from `start` to `end` of `total`, to an eighth of a cell.

    However short the part is, something of it is seen.
    """
    if total <= 0:
        return _EIGHTHS[1] + " " * (width - 1)
    first = min(int(start / total * width), width - 1)
    eighths = max(1, round((min(end, total) / total * width - first) * 8))
    full, rest = divmod(min(eighths, (width - first) * 8), 8)
    filled = _EIGHTHS[8] * full + (_EIGHTHS[rest] if rest else "")
    return (" " * first + filled).ljust(width)


def counted(count: int, noun: str) -> str:
    """A count with its noun: `1 item`, `2,000 items`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
