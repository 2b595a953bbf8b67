from __future__ import annotations

import json

import pytest

from pipelinectl.errors import UsageError
from pipelinectl.verify.promises import LINES
from pipelinectl.verify.sent import OBJECTS, checked_prefix, new_prefix
from tests.unit.pipelinectl.verify.runs import NAMES, PREFIX

SENT = sorted({name for line in LINES for name in line.needs} - {"refused-event"})


def test_a_new_prefix_is_one_that_can_be_cleaned() -> None:
    assert checked_prefix(new_prefix())
    assert new_prefix() != new_prefix()


@pytest.mark.parametrize(
    "text", ["", "verify-", "verify-0a1b2c3", "verify-0a1b2c3d4", "input", "*"]
)
def test_nothing_else_is_cleaned(text: str) -> None:
    with pytest.raises(UsageError, match="not what a run of verify is called"):
        checked_prefix(text)


@pytest.mark.parametrize("name", SENT)
def test_all_that_is_sent_bears_the_prefix(name: str) -> None:
    places = [NAMES.objects[name].key] if name in OBJECTS else []

    assert any(PREFIX in text for text in (NAMES.body(name), *places))


def test_objects_of_one_run_have_names_of_their_own() -> None:
    assert len({place.path for place in NAMES.objects.values()}) == len(OBJECTS)


def test_what_is_mended_lacks_nothing_any_more() -> None:
    right = json.loads(NAMES.mended)

    assert right["processing_type"] == "standard"
    assert right["record_id"] == NAMES.record_id("redriven")
