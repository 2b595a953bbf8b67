"""Makes items of a file's rows: the store stage writes them, block by block, from the range.

A range's results are written first, and name the key of each row's item. So whoever removes what a
state of the object has left behind finds every item that there can be; and a range that is
repeated, by whomever, stores what its results say, not what it would make of the rows now.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from csv_file.calling import Calling, id_of
from csv_file.documents import Verdict, json_text, original_of
from csv_file.rows import Row
from csv_file.source import Gone
from pipeline_core import exact_json
from pipeline_core.contract import InvalidRecord, StageRecord, utc_now
from pipeline_core.files import File, FileRow
from pipeline_core.messages import why_reserved
from pipeline_core.objects import ObjectId, ObjectState, Pointer
from pipeline_core.own_stage import Took
from pipeline_core.sizes import batches, wire_size
from store.items import item_of
from store.table import ROWS_AT_ONCE
from transform.processing_types import processing_metadata

STAGE = "store"

BLOCK_ROWS = 2 * ROWS_AT_ONCE
"""In one invoke, which makes transactions of them that take turns at the catalog."""

BLOCK_BYTES = 1_000_000
"""Of rows and of what they became, in one invoke. On its way JSON within JSON may double."""

MAX_RECORD_BYTES = 6_000_000
"""Of one row's record, alone in an invoke. Lambda takes 6 MiB."""

LARGE_BYTES = 400_000
"""Of a row: a smaller one never becomes a record that is too large."""

WRITE_UNIT_BYTES = 1024
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html

_RESULT = re.compile(rb'\{"row":([0-9]+),"execution_id":("(?:[^"\\]|\\.)*"),"record":(.*)\}\n?')


class Written(Took):
    """What the store stage took, and DynamoDB's write units for the items, estimated."""

    write_units: int


@dataclass
class RowItems:
    """The items of one range of ``file``, which came with the message ``message_id``.

    ``environment`` is the prefix of the ids that rows have which give themselves none.
    """

    calling: Calling
    file: File
    environment: str
    message_id: str
    write_units: int = 0

    @property
    def took(self) -> Written:
        """What it took so far."""
        return {**self.calling.took, "write_units": self.write_units}

    def judged(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """``verdicts`` with the keys that items get; a row that cannot become one is refused."""
        processed_at = utc_now()
        for verdict in verdicts:
            yield verdict if verdict.invalid else self._judged(verdict, processed_at)

    def store(self, rows: Iterable[Row], results: Iterable[bytes]) -> None:
        """Have the items stored of those of ``rows`` that ``results`` are of, both in order.

        Raises:
            Gone: a later state of the object is known.
            Unfinished: not all are stored.
        """
        records = self._records(rows, results, utc_now())
        for block in batches(records, _size, max_bytes=BLOCK_BYTES, max_entries=BLOCK_ROWS):
            self._store(block)

    def _judged(self, verdict: Verdict, processed_at: str) -> Verdict:
        verdict = verdict._replace(execution_id=self._execution_id(verdict))
        record = self._record(verdict.row, verdict.execution_id, verdict.record, processed_at)
        try:
            self._check(verdict, record, processed_at)
        except InvalidRecord as invalid:
            return verdict.refused(invalid)
        return verdict

    def _check(self, verdict: Verdict, record: StageRecord, processed_at: str) -> None:
        """Refuse what the store stage could only refuse, when results are final already."""
        if verdict.record_id and (why := why_reserved(verdict.record_id, self.environment)):
            raise InvalidRecord("ReservedId", [why])
        size = len(verdict.row.raw) + len(verdict.record)
        if size > LARGE_BYTES and (size := wire_size(record)) > MAX_RECORD_BYTES:
            most = f"{STAGE} is sent at most {MAX_RECORD_BYTES}"
            raise InvalidRecord("RecordTooLarge", [f"its record has {size} bytes; {most}"])
        item_of(record, processed_at, 0, put=_nowhere)

    def _execution_id(self, verdict: Verdict) -> str:
        return verdict.record_id or self._made(verdict.row.number)

    def _made(self, number: int) -> str:
        return ObjectId.of(self.file).row_execution_id(self.environment, number)

    def _records(
        self, rows: Iterable[Row], results: Iterable[bytes], processed_at: str
    ) -> Iterator[StageRecord]:
        by_number = iter(rows)
        for line in results:
            number, execution_id, transformed = _result(line)
            row = next(row for row in by_number if row.number == number)
            yield self._record(row, execution_id, transformed, processed_at)

    def _record(
        self, row: Row, execution_id: str, transformed: str, processed_at: str
    ) -> StageRecord:
        return {
            "id": id_of(row.number),
            "body": original_of(row, self.file),
            "execution_id": execution_id,
            "message_id": self.message_id,
            "sent_timestamp": self.file.get("sent_timestamp", 0),
            "by_producer": execution_id != self._made(row.number),
            "row": row_of(self.file, row.number),
            "transformed": _with_metadata(transformed, processed_at),
            "processed_at": processed_at,
        }

    def _store(self, records: Sequence[StageRecord]) -> None:
        results = self.calling.results(records)
        self.write_units += _write_units(records)
        for record in records:
            result = results[record["id"]]
            if result["outcome"] == "superseded":
                raise Gone(f"a later state is known of {ObjectId.of(self.file).path}")
            if result["outcome"] == "rejected":
                reason = result["reason"]
                raise self.calling.unfinished([record], reason["type"], reason["message"])


def row_of(state: ObjectState, number: int) -> FileRow:
    """Row ``number`` of ``state``, without what else is known of the file."""
    return {
        "bucket": state["bucket"],
        "key": state["key"],
        "sequencer": state["sequencer"],
        "number": number,
    }


def result_line(verdict: Verdict) -> bytes:
    """The line of an accepted row in its range's results; with its item's key if it becomes one."""
    if not verdict.execution_id:
        return f'{{"row":{verdict.row.number},"record":{verdict.record}}}\n'.encode()
    execution_id = json.dumps(verdict.execution_id)
    return (
        f'{{"row":{verdict.row.number},"execution_id":{execution_id},"record":{verdict.record}}}\n'
    ).encode()


def _result(line: bytes) -> tuple[int, str, str]:
    """Number, key and JSON text of the record in a line that `result_line` has made."""
    if not (found := _RESULT.fullmatch(line)):
        raise ValueError("a line of results is not as it was written")
    number, execution_id, record = found.groups()
    return int(number), json.loads(execution_id), record.decode()


def _with_metadata(transformed: str, processed_at: str) -> str:
    """As a document has it: results have no time of their own, items have."""
    document = exact_json.loads(transformed)
    metadata = processing_metadata(document, processed_at)
    return json_text(document | {"processing_metadata": metadata})


def _size(record: StageRecord) -> int:
    return len(record["body"]) + len(record["transformed"])


def _write_units(records: Sequence[StageRecord]) -> int:
    """Of transactions, which take twice as many, and each of which asks the catalog."""
    units = sum(math.ceil(wire_size(record) / WRITE_UNIT_BYTES) for record in records)
    return 2 * (units + math.ceil(len(records) / ROWS_AT_ONCE))


def _nowhere(key: str, text: str) -> Pointer:
    """Where a document would lie that is too large for its item, if it were put there."""
    return {"bucket": "-" * 63, "key": key, "etag": "-" * 32, "size": len(text)}
