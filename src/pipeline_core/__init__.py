"""The one contract: what functions, command line, local cloud and tests all hold to."""

from __future__ import annotations
