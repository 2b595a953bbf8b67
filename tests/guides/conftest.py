"""The guides' readers have the pipeline on a local cloud, as the end-to-end tests do."""

from tests.e2e.conftest import built, settings, stack

__all__ = ["built", "settings", "stack"]
