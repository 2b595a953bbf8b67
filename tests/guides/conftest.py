"""The guides' readers have the pipeline on a local cloud, as the end-to-end tests do."""

from tests.e2e.conftest import settings, stack

__all__ = ["settings", "stack"]
