"""No record's size can harm its neighbours: whatever its script and its shape, it is stored.

AWS's limits hold here (`localcloud.quotas`): an invoke, a result, a message or an item that AWS
would not take fails as there.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
import simplejson
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.events import STANDARD, sns_envelope, sqs_event_of, standard
from tests.integration.conftest import Pipeline

MIB = 1024 * 1024
MAX_EVENT_BYTES = 6 * MIB
"""Of one invocation, and so of a batch."""


def filled(field: str, size: int) -> str:
    """A standard record of at most ``size`` bytes, of which ``field`` is the repeated part.

    What is a JSON value is repeated in a list, what is not is repeated in a text.
    """
    head = json.dumps(STANDARD)[:-1]
    unit = field.encode()
    count = max(0, size - len(head) - 20) // len(unit)
    if field.endswith(","):
        return f'{head}, "x": [{(field * count)[:-1]}]}}'
    return f'{head}, "x": "{field * count}"}}'


FILLINGS = {
    "ASCII": "x",
    "Cyrillic": "\u0416",
    "CJK": "\u6578",
    "emoji": "\U0001f469",
    "combining": "e\u0301",
    "escaped Cyrillic": "\\u0416",
    "control characters": "\\u0001",
    "quotes": '\\"',
    "backslashes": "\\\\",
    "newlines": "\\n",
    "deletes": "\x7f",
    "short strings": '"",',
    "digits": "1,",
    "numbers": "-1.5e-7,",
    "38 digits": f"{'9' * 38},",
    "objects": '{"a":1},',
    "lists": "[],",
    "nulls": "null,",
}
LISTS = [kind for kind, field in FILLINGS.items() if field.endswith(",")]
TEXTS = [kind for kind in FILLINGS if kind not in LISTS]

any_size = (
    st.integers(1, 2000)
    | st.integers(1, MIB)
    | st.sampled_from([32_768, 100_000, 162_000, 204_800, 262_144, 380_000, 409_600, MIB - 1])
)
bodies = st.tuples(st.sampled_from(TEXTS), any_size) | st.tuples(
    # moto takes seconds for an item of ten thousand elements; one larger is none of an item's.
    st.sampled_from(LISTS),
    st.integers(1, 10_000) | st.integers(400_000, MIB),
)


def original(pipeline: Pipeline, item: Any) -> Any:
    """What the item's record was, wherever that lies."""
    if "original_data" in item:
        return item["original_data"]
    pointer = item["original_data_pointer"]
    body = pipeline.s3.get_object(Bucket=pointer["bucket"], Key=pointer["key"])["Body"].read()
    assert pointer["bucket"] == "output"  # what lies among the payloads expires
    return json.loads(body, parse_float=Decimal)


def check(pipeline: Pipeline, batch: list[tuple[str, int]]) -> None:
    texts, total = [standard(neighbour=True)], 0
    for kind, size in batch:
        text = filled(FILLINGS[kind], size)
        total += len(json.dumps(text))
        if total < MAX_EVENT_BYTES - 10_000:
            texts.append(text)
    result = pipeline.run(sqs_event_of(texts))

    assert result.status.value == "SUCCEEDED", (batch, result.error)
    summary = json.loads(str(result.result))["summary"]
    assert summary["stored"] == len(texts), (batch, summary, pipeline.dead_letters)
    items = pipeline.items
    for index, text in enumerate(texts):
        found = original(pipeline, items[f"test-m-{index}"])
        assert exact(found) == json.loads(text, parse_float=Decimal)


def exact(value: Any) -> Any:
    """``value`` as boto3 or a pointer's content has it, as JSON has it."""
    return json.loads(simplejson.dumps(value, use_decimal=True), parse_float=Decimal)


@settings(
    max_examples=15,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example writes its items anew
        HealthCheck.too_slow,  # moto is slow with large ones
    ],
)
@given(st.lists(bodies, min_size=1, max_size=8))
@example([("Cyrillic", 162_000)])
@example([("short strings", 380_000), ("numbers", 100_000)])
@example([("control characters", MIB - 1), ("ASCII", 10)])
@example([(kind, 200_000) for kind in TEXTS])
@example([(kind, 250_000) for kind in TEXTS])
def test_every_size_of_every_script_is_stored(
    pipeline: Pipeline, batch: list[tuple[str, int]]
) -> None:
    check(pipeline, batch)


@pytest.mark.parametrize("kind", FILLINGS)
def test_a_body_as_large_as_a_message_may_be_is_stored_whatever_its_script(
    pipeline: Pipeline, kind: str
) -> None:
    check(pipeline, [(kind, MIB - 1)])


@pytest.mark.parametrize("kind", ["quotes", "Cyrillic"])
def test_a_large_document_that_came_through_a_topic_is_stored_without_its_envelope(
    pipeline: Pipeline, kind: str
) -> None:
    text = filled(FILLINGS[kind], 250_000)  # SNS takes 256 KiB

    response = pipeline.process(sqs_event_of([sns_envelope(text)]))

    assert response["summary"]["stored"] == 1
    assert exact(original(pipeline, pipeline.items["test-m-0"])) == json.loads(text)
