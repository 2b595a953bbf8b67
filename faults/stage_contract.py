"""Holds a stage's function to the contract, before a pipeline does.

What is asked of it is what a pipeline sends sooner or later: full chunks, documents that nobody
thought of, the same record again. Each rule that it breaks is named with the case that showed it.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from faults import BrokenContract
from pipeline_core import exact_json, own_stage
from pipeline_core.contract import (
    MAX_ANSWER_BYTES,
    ContractViolation,
    Result,
    StageRecord,
    check_response,
)
from pipeline_core.sizes import MAX_CHUNK_BYTES, MAX_CHUNK_RECORDS, answer_size
from pipeline_core.values import is_timestamp

Handler = Callable[[Any, Any], Any]

SECONDS = 60.0
"""The default of a pipeline's StageTimeout."""

PROBE = "contract_probe"
EXACT = Decimal("12345678901234567890.12345678901234567")
"""More digits than a float has."""

_PROBED = f'"{PROBE}":{EXACT}'

HOSTILE: Mapping[str, str] = {
    "nothing but what each document has": "{}",
    "numbers that no float holds": '{"a":1e400,"b":0.1000000000000000055511151231257827}',
    "a number of 38 digits": '{"n":12345678901234567890123456789012345678}',
    "thirty levels": '{"deep":' + "[" * 29 + "]" * 29 + "}",
    "every kind of value": '{"a":null,"b":true,"c":[],"d":{},"e":"","f":-0.0}',
    "letters of all lengths": json.dumps({"\u0416\U0001f600": "\u2028\x00\x7f\u00df\ufeff"}),
    "names that code may use": '{"id":7,"outcome":"failed","__class__":"x","data":[1]}',
    "ten thousand fields": json.dumps({f"field {n}": n for n in range(10_000)}),
}
"""Documents that transform passes as well, but for what each has, by what is odd about them."""


@dataclass(frozen=True)
class Context:
    """What a handler may ask of Lambda's context."""

    function_name: str = "stage"
    function_version: str = "1"
    invoked_function_arn: str = "arn:aws:lambda:eu-central-1:123456789012:function:stage"
    memory_limit_in_mb: int = 128
    aws_request_id: str = "00000000-0000-4000-8000-000000000000"
    log_group_name: str = "/aws/lambda/stage"
    log_stream_name: str = "1"
    seconds: float = SECONDS

    def get_remaining_time_in_millis(self) -> int:
        """As in Lambda, at the beginning of the invocation."""
        return int(self.seconds * 1000)


@dataclass
class StageContract:
    """A function, and the documents that it is meant for, as transform has made them.

    ``seconds`` is how long one invocation may take. ``broken`` is what was found so far.
    """

    handler: Handler
    documents: Sequence[Mapping[str, Any]]
    seconds: float = SECONDS
    broken: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Ask the function everything.

        Raises:
            BrokenContract: it names each rule that was broken, and in which case.
        """
        for name, records in self._cases():
            self._ask(name, records)
        self._neighbours()
        self._again()
        if self.broken:
            raise BrokenContract("\n".join(self.broken))

    def _cases(self) -> Iterator[tuple[str, list[StageRecord]]]:
        yield "no records", []
        for number, document in enumerate(self.documents):
            yield f"document {number} alone", [_record("m-1", _text(document))]
        one = _text(self.documents[0])
        yield "a document twice", [_record("m-1", one), _record("m-2", one)]
        yield "numbers to keep", [_record("m-1", _with(one, _PROBED))]
        yield "all documents", [_record(f"m-{n}", _text(d)) for n, d in enumerate(self.documents)]
        yield "a full chunk", list(self._full_chunk())
        yield "a large document", [_record("m-1", _with(one, f'"text":"{"x" * 300_000}"'))]
        yield "a document in S3", [_in_s3("m-1", self.documents[0])]
        yield "ids of any kind", [_record(id_, one) for id_ in ("", "\u0416", "__proto__", "7")]
        for name, text in HOSTILE.items():
            yield name, [_record("m-1", self._hostile(text))]

    def _full_chunk(self) -> Iterator[StageRecord]:
        """As many records, and as large, as one invoke is sent."""
        for number in range(MAX_CHUNK_RECORDS):
            text = _text(self.documents[number % len(self.documents)])
            room = MAX_CHUNK_BYTES // MAX_CHUNK_RECORDS - len(text)
            yield _record(f"m-{number}", _with(text, f'"text":"{"x" * max(1, room)}"'))

    def _hostile(self, text: str) -> str:
        head = {"data_source": "X", "processing_type": self.documents[0]["processing_type"]}
        return _text(head) if text == "{}" else f"{_text(head)[:-1]},{text[1:]}"

    def _neighbours(self) -> None:
        """What is odd about one record is nothing to the others."""
        one = _record("m-1", _text(self.documents[0]))
        alone = self._ask("a document alone", [one])
        odd = [_record(f"odd-{n}", self._hostile(t)) for n, t in enumerate(HOSTILE.values())]
        among = self._ask("a document among odd ones", [*odd[:4], one, *odd[4:]])
        if alone and among and alone["m-1"] != among["m-1"]:
            self.broken.append("a document among odd ones: it has another result than alone")

    def _again(self) -> None:
        """A record may be sent again, after whatever became of the answer."""
        records = [_record(f"m-{n}", _text(d)) for n, d in enumerate(self.documents)]
        first, second = (self._ask("the same records again", records) for _ in range(2))
        if first and second and first != second:
            self.broken.append(
                "the same records again: the answer differs, so a repetition would store another"
            )

    def _ask(self, case: str, records: Sequence[StageRecord]) -> dict[str, Result] | None:
        """The results by record id; None where there are none."""
        try:
            answer = self._answer(records)
            results = _checked(answer, records)
        except ContractViolation as violation:
            self.broken.append(f"{case}: {violation}")
            return None
        return results

    def _answer(self, records: Sequence[StageRecord]) -> Any:
        """The answer as it travels: as JSON."""
        answers: list[Any] = []
        event = json.loads(json.dumps({"durable_execution_arn": "arn", "records": records}))

        def run() -> None:
            try:
                answers.append(self.handler(event, Context(seconds=self.seconds)))
            except BaseException as error:  # whatever ends the handler is its answer
                answers.append(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        thread.join(self.seconds)
        if not answers:
            raise ContractViolation(f"no answer within {self.seconds:g} seconds")
        if isinstance(answers[0], BaseException):
            error = answers[0]
            raise ContractViolation(f"it raised {type(error).__name__}: {error}") from error
        return _travelled(answers[0])


def _travelled(answer: Any) -> Any:
    try:
        text = json.dumps(answer)
    except (TypeError, ValueError) as error:
        raise ContractViolation(f"the answer is no JSON: {error}") from None
    return json.loads(text)


def _checked(answer: Any, records: Sequence[StageRecord]) -> dict[str, Result]:
    by_id = {record["id"]: record for record in records}
    results = check_response(answer, list(by_id))
    if not is_timestamp(answer["completed_at"]):
        raise ContractViolation("'completed_at' is not an ISO-8601 time with an offset")
    if (size := answer_size(answer)) > MAX_ANSWER_BYTES:
        raise ContractViolation(f"the answer has {size} bytes; it may have {MAX_ANSWER_BYTES}")
    for key, result in results.items():
        _check_result(result, by_id[key])
    return results


def _check_result(result: Result, record: StageRecord) -> None:
    found = own_stage.checked(result, record)
    if found != result:
        raise ContractViolation(found["reason"]["message"])
    if PROBE in record["transformed"] and "data" in result:
        kept = exact_json.loads(result["data"]).get(PROBE, EXACT)
        if kept != EXACT:
            raise ContractViolation(f"the number {EXACT} was answered as {kept}")


def _record(record_id: str, transformed: str) -> StageRecord:
    return {
        "id": record_id,
        "body": transformed,
        "execution_id": f"dev-{record_id}",
        "transformed": transformed,
    }


def _in_s3(record_id: str, document: Mapping[str, Any]) -> StageRecord:
    head = {name: document[name] for name in ("data_source", "processing_type")}
    return {
        "id": record_id,
        "pointer": {"bucket": "input", "key": "input/large.json", "etag": "e", "size": 10_000_000},
        "execution_id": f"dev-{record_id}",
        "transformed": _text(head),
        "transformed_pointer": {"bucket": "output", "key": "results/large/transformed.json"},
    }


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))


def _with(text: str, member: str) -> str:
    return f"{text[:-1]},{member}}}"
