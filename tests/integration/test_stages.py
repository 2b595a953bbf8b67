"""The stages one after the other, as their contract has them chained: sizes, numbers, states."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

import boto3
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pipeline_core.payloads
import store.handler
import transform.handler
import validate.handler
from pipeline_core import exact_json
from pipeline_core.attribute_values import attributes_of
from pipeline_core.contract import (
    MAX_ANSWER_BYTES,
    Result,
    StageRecord,
    StageResponse,
    check_response,
)
from pipeline_core.sizes import (
    MAX_TRANSFORMED_BYTES,
    POINTED_BYTES,
    answer_size,
    checkpoint_size,
)
from tests.events import ORDER, STANDARD, standard
from tests.integration.batches import CONTEXT
from tests.integration.conftest import Pipeline

NOW = "2026-03-01T08:30:00.000000Z"
MAX_BODY_BYTES = 400 * 1024

on_moto = settings(
    deadline=None,
    max_examples=40,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example writes its items anew
        HealthCheck.too_slow,  # moto is slow with large ones
    ],
)


class Stages:
    """The three handlers, and what S3 and DynamoDB hold."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.s3 = pipeline.s3
        self.put = pipeline.put
        self.dynamodb = boto3.client("dynamodb")

    def validate(self, *records: StageRecord) -> dict[str, Result]:
        return self._invoke(validate.handler.handler, records)

    def transform(self, *records: StageRecord) -> dict[str, Result]:
        return self._invoke(transform.handler.handler, records)

    def store(self, transformed: Mapping[str, Result], *records: StageRecord) -> dict[str, Result]:
        return self._invoke(
            store.handler.handler, [to_store(record, transformed) for record in records]
        )

    def run(self, *records: StageRecord) -> dict[str, Result]:
        """Each record's result of the last stage that it came to."""
        validated = self.validate(*records)
        valid = [pinned(record, validated) for record in records if passed(record, validated)]
        transformed = self.transform(*valid)
        ready = [record for record in valid if passed(record, transformed)]
        return validated | transformed | self.store(transformed, *ready)

    def item(self, key: str) -> dict[str, Any] | None:
        response = self.dynamodb.get_item(TableName="table", Key={"execution_id": {"S": key}})
        return response.get("Item")

    def documents(self, key: str) -> tuple[Any, Any]:
        """What an item has, or points to: the original, and what became of it."""
        attributes = attributes_of(self.item(key) or {})
        original, transformed = (
            attributes.get(name) or self.read(attributes[f"{name}_pointer"])
            for name in ("original_data", "transformed_data")
        )
        return original, transformed

    def read(self, pointer: Mapping[str, Any]) -> Any:
        """The document that lies at ``pointer``, in just the state that it is pinned to."""
        response = self.s3.get_object(**pipeline_core.payloads.pinned(pointer))  # type: ignore[arg-type]  # as it came out of the table
        content = response["Body"].read()
        assert len(content) == pointer["size"]
        return exact_json.loads(content.decode())

    def _invoke(
        self, handler: Callable[..., StageResponse], records: Sequence[StageRecord]
    ) -> dict[str, Result]:
        answer = handler({"records": json.loads(json.dumps(records))}, CONTEXT)
        assert answer_size(answer) <= MAX_ANSWER_BYTES
        return check_response(json.loads(json.dumps(answer)), [record["id"] for record in records])


def passed(record: StageRecord, results: Mapping[str, Result]) -> bool:
    return results[record["id"]]["outcome"] == "ok"


def pinned(record: StageRecord, validated: Mapping[str, Result]) -> StageRecord:
    result = validated[record["id"]]
    return record | {"pointer": result["pointer"]} if "pointer" in result else record


def to_store(record: StageRecord, transformed: Mapping[str, Result]) -> StageRecord:
    result = transformed[record["id"]]
    to_store: StageRecord = record | {
        "execution_id": record["id"],
        "message_id": record["id"],
        "sent_timestamp": 1,
        "by_producer": False,
        "transformed": result["data"],
        "processed_at": NOW,
    }
    return (
        to_store | {"transformed_pointer": result["pointer"]} if "pointer" in result else to_store
    )


def inline(body: str, key: str = "m-1") -> StageRecord:
    return {"id": key, "body": body}


def with_field(text: str) -> str:
    """A standard record with one more field, written as given."""
    return f'{json.dumps(STANDARD)[:-1]}, "x": {text}}}'


@pytest.fixture
def stages(pipeline: Pipeline) -> Iterator[Stages]:
    events, event = pipeline_core.payloads.s3().meta.events, "before-parameter-build.s3.CopyObject"
    events.register_first(event, _if_source_matches)
    yield Stages(pipeline)
    events.unregister(event, _if_source_matches)


def _if_source_matches(params: dict[str, Any], **_: Any) -> None:
    """What S3 does first: moto copies whatever CopySourceIfMatch says."""
    if etag := params.pop("CopySourceIfMatch", None):
        pipeline_core.payloads.s3().head_object(**params["CopySource"], IfMatch=etag)


# Numbers

SIGNIFICANT = st.text("0123456789", max_size=45) | st.sampled_from(["0" * 60, "9" * 38, "9" * 39])
NUMBERS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-"]),
    st.from_regex(r"0|[1-9][0-9]{0,45}", fullmatch=True),
    st.just("") | SIGNIFICANT.filter(bool).map(".{}".format),
    st.just("")
    | st.builds(
        "{}{}".format,
        st.sampled_from(["e", "E+", "e-"]),
        st.integers(0, 10_000)
        | st.sampled_from([124, 125, 126, 127, 128, 129, 130, 131, 166, 167]),
    ),
)
ODD_NUMBERS = [
    *("0", "-0", "-0.0", "0e-999", "0e500", "0e126", "0e127", "0e-166", "0e999999999999"),
    *("1.2345678901234567890123456789012345678E-130", "1e-130", "1e-131", "9.9e125", "1e126"),
    *("1e40", "1" + "0" * 40, "1.5" + "0" * 60, "0." + "0" * 130 + "1", "1e999999999999999999"),
    *("9" * 38, "9" * 39, "-" + "9" * 38 + "e87", "9" * 38 + "e88", "1e-999999999999999999"),
]


@on_moto
@given(st.lists(NUMBERS | st.sampled_from(ODD_NUMBERS), min_size=1, max_size=20))
def test_whatever_number_json_can_write_is_stored_exactly_or_refused(
    stages: Stages, numbers: list[str]
) -> None:
    records = [inline(with_field(number), f"m-{n}") for n, number in enumerate(numbers)]

    results = stages.run(*records)

    for record, number in zip(records, numbers, strict=True):
        result = results[record["id"]]
        if held_by_dynamodb(number):
            assert result["outcome"] == "ok"
            original, transformed = stages.documents(record["id"])
            assert original["x"] == transformed["x"] == Decimal(number)
        else:
            assert result["reason"]["type"] == "NotStorable"
            assert "send it as text" in result["reason"]["message"]


def held_by_dynamodb(number: str) -> bool:
    """38 digits from the first to the last that is not 0, and between 1E-130 and 9.9...E+125."""
    digits = number.lower().partition("e")[0].replace("-", "").replace(".", "").strip("0")
    return not digits or (
        len(digits) <= 38 and Decimal("1e-130") <= Decimal(number).copy_abs() < Decimal("1e126")
    )


@pytest.mark.parametrize(
    "ways",
    [("1e40", "1" + "0" * 40), ("1.5", "1.5" + "0" * 50), ("0", "-0.0", "0e500"), ("12", "1.2e1")],
)
def test_all_ways_to_write_a_number_give_the_same_item(
    stages: Stages, ways: tuple[str, ...]
) -> None:
    stages.run(*(inline(with_field(number), f"m-{n}") for n, number in enumerate(ways)))

    items = [stages.item(f"m-{n}") or {} for n in range(len(ways))]
    assert len({str(item["original_data"]) for item in items}) == 1


@pytest.mark.parametrize("field", ["quantity", "unit_price"])
@pytest.mark.parametrize("number", ODD_NUMBERS)
def test_an_odd_number_in_an_order_is_stored_or_refused(
    stages: Stages, field: str, number: str
) -> None:
    fields = json.dumps({name: value for name, value in ORDER.items() if name != field})

    (result,) = stages.run(inline(f'{fields[:-1]}, "{field}": {number}}}')).values()

    assert result["outcome"] in ("ok", "rejected")


# Sizes

SCRIPTS = {
    "ASCII": "x",
    "Cyrillic": "\u0416",
    "CJK": "\u8a9e",
    "emoji": "\U0001f600",
    "control characters": "\x01",
    "quotes": '"',
    "backslashes": "\\",
    "line breaks": "\n",
    "line separators": "\u2028",
}
TEXTS = st.builds(
    lambda script, size, escape: largest(
        lambda count: with_field(json.dumps(SCRIPTS[script] * count, ensure_ascii=escape)), size
    ),
    st.sampled_from(sorted(SCRIPTS)),
    st.integers(1, MAX_BODY_BYTES) | st.just(MAX_BODY_BYTES),
    st.booleans(),
)


def largest(body: Callable[[int], str], size: int) -> str:
    """The ``body`` of as many elements as fit into ``size`` bytes of UTF-8."""
    empty, ten = (len(body(count).encode()) for count in (1, 11))
    return body(max(1, (size - empty) * 10 // (ten - empty)))


def size_in_dynamodb(value: Mapping[str, Any]) -> int:
    """Bytes of a value by the rules that DynamoDB documents."""
    ((kind, content),) = value.items()
    size: int = 1
    match kind:
        case "S":
            size = len(content.encode())
        case "N":
            digits = Decimal(content).as_tuple().digits
            size = (len(digits) + 1) // 2 + 1 + content.startswith("-")
        case "L":
            size = 3 + sum(1 + size_in_dynamodb(element) for element in content)
        case "M":
            size = 3 + sum(1 + len(k.encode()) + size_in_dynamodb(v) for k, v in content.items())
    return size


@on_moto
@given(TEXTS)
def test_a_text_of_any_size_and_script_is_stored_whole(stages: Stages, body: str) -> None:
    is_stored_whole(stages, body)


@pytest.mark.parametrize("element", ["1", '"abcdefgh"'])
def test_a_list_that_fills_a_body_is_stored_whole(stages: Stages, element: str) -> None:
    is_stored_whole(
        stages,
        largest(lambda count: with_field(f"[{','.join([element] * count)}]"), MAX_BODY_BYTES),
    )


def is_stored_whole(stages: Stages, body: str) -> None:
    (result,) = stages.run(inline(body)).values()

    assert result["outcome"] == "ok"
    item = stages.item("m-1") or {}
    assert size_in_dynamodb({"M": item}) - 3 - len(item) <= 409_600
    original, transformed = stages.documents("m-1")
    assert original == exact_json.loads(body)
    assert transformed["x"] == original["x"]


def test_of_what_is_too_large_for_an_item_the_larger_goes_to_s3_first(stages: Stages) -> None:
    stages.run(inline(with_field(json.dumps("x" * 210_000))))

    item = attributes_of(stages.item("m-1") or {})
    assert "original_data" in item
    assert item["transformed_data_pointer"]["bucket"] == "output"
    assert item["transformed_data_pointer"]["key"].startswith("payloads/")
    assert item["transformed_data_pointer"]["key"].endswith("/transformed.json")


def test_both_go_to_s3_where_one_alone_is_too_large(stages: Stages) -> None:
    body = with_field(f"[{','.join(['1'] * 150_000)}]")

    stages.run(inline(body))

    item = attributes_of(stages.item("m-1") or {})
    pointers = [item[f"{name}_pointer"]["key"] for name in ("original_data", "transformed_data")]
    folder = pointers[0].removesuffix("original.json")
    assert pointers == [f"{folder}original.json", f"{folder}transformed.json"]


@pytest.mark.parametrize(
    ("pointed", "most"), [(True, POINTED_BYTES), (False, MAX_TRANSFORMED_BYTES)]
)
@pytest.mark.parametrize("more", [0, 1])
def test_a_document_travels_up_to_its_limit_on_the_wire(
    stages: Stages, pointed: bool, most: int, more: int
) -> None:
    def transformed_of(count: int) -> Result:
        body = with_field(json.dumps('\u0416\U0001f600"\\\n' + "x" * count))
        record = inline(body)
        if pointed:
            record = {"id": "m-1", "pointer": stages.put("uuid", body, bucket="payloads")}
            del record["pointer"]["sequencer"]  # type: ignore[typeddict-item]  # a message's has none
        return stages.transform(record)["m-1"]

    room = most - checkpoint_size(transformed_of(0)["data"])

    result = transformed_of(room + more)

    assert ("pointer" in result) == bool(more)
    if not more:
        assert checkpoint_size(result["data"]) == most
    else:
        assert json.loads(result["data"]) == {
            "data_source": "TEST.CSV",
            "processing_type": "standard",
        }


@on_moto
@given(
    st.lists(st.integers(0, 60_000), min_size=1, max_size=100),
    st.sampled_from(sorted(SCRIPTS)),
)
def test_an_answer_has_room_for_all_documents_or_for_where_they_lie(
    stages: Stages, lengths: list[int], script: str
) -> None:
    texts = [SCRIPTS[script] * length for length in lengths]
    records = [inline(standard(text=text), f"m-{n}") for n, text in enumerate(texts)]

    results = stages.transform(*records)

    for record, text in zip(records, texts, strict=True):
        result = results[record["id"]]
        document = json.loads(result["data"])
        if "pointer" in result:
            document = stages.read(result["pointer"])
        assert document["text"] == text


def test_no_document_is_put_aside_where_all_fit(stages: Stages) -> None:
    records = [inline(standard(text="x" * 8_000), f"m-{n}") for n in range(100)]

    assert not any("pointer" in result for result in stages.transform(*records).values())


def test_a_document_that_s3_does_not_take_fails_alone(stages: Stages) -> None:
    large, small = inline(with_field(json.dumps("x" * 310_000)), "large"), inline(standard(), "m-2")
    stages.s3.delete_bucket(Bucket="output")

    results = stages.run(large, small)

    assert results["large"]["outcome"] == "failed"
    assert results["large"]["reason"]["type"] == "NoSuchBucket"
    assert results["m-2"]["outcome"] == "ok"


# Errors

HOSTILE = {
    "unknown fields": json.dumps(ORDER | {f"{'k' * 100}{n}": n for n in range(2_000)}),
    "long unknown fields": json.dumps(ORDER | {str(n) + "\u0416" * 30_000: n for n in range(3)}),
    "one very long name": json.dumps(ORDER | {"\U0001f600" * 60_000: 1}),
    "emoji as names": json.dumps(ORDER | {"\U0001f600" * n: n for n in range(1, 200)}),
    "all wrong": json.dumps(dict.fromkeys(ORDER, [0] * 5_000) | {"processing_type": "order"}),
    "a long type": standard(processing_type="t" * 200_000),
    "a long number": with_field("9" * 900),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hundred_records_with_errors_without_end_are_rejected_in_one_answer(
    stages: Stages, case: str
) -> None:
    results = stages.run(*(inline(HOSTILE[case], f"m-{n}") for n in range(100)))

    assert {result["outcome"] for result in results.values()} == {"rejected"}
    assert all(len(error) <= 500 for error in results["m-0"]["reason"]["errors"])


def test_of_many_unknown_fields_the_first_are_named_and_how_many_there_are_more(
    stages: Stages,
) -> None:
    body = json.dumps(ORDER | {"a" * 100: 1} | {f"b{n}": n for n in range(19_999)})

    (result,) = stages.run(inline(body)).values()

    (error,) = result["reason"]["errors"]
    assert error.startswith(f"record must not contain {'a' * 37}..., b0, b1, ")
    assert error.endswith("b8, and 19990 more")


@pytest.mark.parametrize("source", ["\u00df", "\u0149", "\u0390", "\ufb03", "\U0001f600", '"'])
def test_a_source_that_grows_in_upper_case_is_stored(stages: Stages, source: str) -> None:
    records = [inline(standard(data_source=source * 1024), f"m-{n}") for n in range(30)]

    results = stages.run(*records)

    assert {result["outcome"] for result in results.values()} == {"ok"}
    assert (stages.item("m-0") or {})["data_source"] == {"S": (source * 1024).upper()}


@pytest.mark.parametrize("depth", [31, 32, 33, 200, 201, 400, 511, 512, 513, 986, 1_500, 100_000])
def test_a_document_of_any_depth_is_stored_or_refused_and_its_neighbour_stored(
    stages: Stages, depth: int
) -> None:
    # The document itself is the first level.
    body = with_field("[" * (depth - 1) + '"\u0416"' + "]" * (depth - 1))

    results = stages.run(inline(body), inline(standard(), "m-2"))

    assert results["m-2"]["outcome"] == "ok"
    reason = results["m-1"].get("reason", {"type": ""})
    assert reason["type"] == (
        "" if depth <= 31 else "NotStorable" if depth <= exact_json.MAX_NESTING else "InvalidJson"
    )


# States of a payload


def pointer_to(bucket: str, key: str = "uuid") -> StageRecord:
    return {"id": "m-1", "pointer": {"bucket": bucket, "key": key}}


def overwrite(stages: Stages, bucket: str) -> None:
    stages.put("uuid", standard(text="another"), bucket=bucket)


def delete(stages: Stages, bucket: str) -> None:
    stages.s3.delete_object(Bucket=bucket, Key="uuid")


def repeat(stages: Stages, bucket: str) -> None:
    stages.put("uuid", standard(text="first"), bucket=bucket)


Meddling = Callable[[Stages, str], None]


def run_meddled(stages: Stages, bucket: str, moment: int, meddle: Meddling) -> Result:
    """Run a pointer through the stages, and ``meddle`` before the stage of number ``moment``."""
    stages.put("uuid", standard(text="first"), bucket=bucket)
    record = pointer_to(bucket)
    validated = stages.validate(record)
    record = pinned(record, validated)
    if moment == 1:
        meddle(stages, bucket)
    transformed = stages.transform(record)
    if not passed(record, transformed):
        return transformed["m-1"]
    if moment == 2:
        meddle(stages, bucket)
    stored = stages.store(transformed, record)
    if moment == 3:
        meddle(stages, bucket)
    return stored["m-1"]


@pytest.mark.parametrize("moment", [1, 2])
@pytest.mark.parametrize(
    ("meddle", "reason"), [(overwrite, "PayloadChanged"), (delete, "PayloadMissing")]
)
def test_a_payload_that_changes_between_stages_is_refused(
    stages: Stages, moment: int, meddle: Meddling, reason: str
) -> None:
    result = run_meddled(stages, "payloads", moment, meddle)

    assert result["outcome"] == "rejected"
    assert result["reason"]["type"] == reason
    assert "send it again" in result["reason"]["message"]
    assert stages.item("m-1") is None


@pytest.mark.parametrize("moment", [1, 2, 3])
@pytest.mark.parametrize("bucket", ["payloads", "input", "output"])
@pytest.mark.parametrize("meddle", [overwrite, delete, repeat])
def test_an_item_never_has_an_original_that_is_not_what_was_transformed(
    stages: Stages, moment: int, bucket: str, meddle: Meddling
) -> None:
    result = run_meddled(stages, bucket, moment, meddle)

    if result["outcome"] == "ok" and (bucket != "output" or meddle is repeat):
        original, transformed = stages.documents("m-1")
        assert original["text"] == transformed["text"] == "first"
    assert result["outcome"] in ("ok", "rejected")


def test_a_version_that_was_read_stays_the_original_when_a_newer_one_is_there(
    stages: Stages,
) -> None:
    assert run_meddled(stages, "input", 2, overwrite)["outcome"] == "ok"

    pointer = attributes_of(stages.item("m-1") or {})["original_data_pointer"]
    assert pointer["bucket"] == "input"
    assert stages.read(pointer)["text"] == "first"


def test_validate_pins_a_pointer_to_what_it_read(stages: Stages) -> None:
    state = stages.put("uuid", standard(record_id="mine"), bucket="payloads")

    result = stages.validate(pointer_to("payloads"))["m-1"]

    assert json.loads(result["data"]) == {"record_id": "mine"}
    assert result["pointer"] == {
        "bucket": "payloads",
        "key": "uuid",
        "etag": state["etag"],
        "size": state["size"],
    }


def test_validate_pins_the_version_where_there_are_versions(stages: Stages) -> None:
    state = stages.put("uuid", standard())

    result = stages.validate(pointer_to("input"))["m-1"]

    assert "data" not in result
    assert result["pointer"]["version_id"] == state["version_id"]


def test_a_pointer_that_is_pinned_is_not_answered_again(stages: Stages) -> None:
    state = stages.put("uuid", standard())

    assert "pointer" not in stages.validate({"id": "m-1", "pointer": state})["m-1"]


def test_a_byte_order_mark_before_a_body_is_no_fault(stages: Stages) -> None:
    pointed = pointer_to("payloads")
    stages.put("uuid", "\ufeff\ufeff" + standard(n=2), bucket="payloads")

    results = stages.run(pointed, inline("\ufeff" + standard(n=1), "m-2"))

    assert {result["outcome"] for result in results.values()} == {"ok"}
    assert stages.documents("m-1")[0]["n"] == 2
    assert stages.documents("m-2")[0] == STANDARD | {"n": 1}
