"""Sends accepted rows through the own stage, in blocks of the size of a chunk of documents."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from csv_file.calling import Calling, id_of
from csv_file.documents import Verdict, json_text
from pipeline_core import exact_json, own_stage
from pipeline_core.contract import InvalidRecord, Reason, Result, StageRecord
from pipeline_core.sizes import MAX_CHUNK_BYTES, MAX_CHUNK_RECORDS, batches, wire_size

CONCURRENT_BLOCKS = 4
"""Of a range: more would not make a function faster that waits for a service, but throttle it."""

MAX_REQUEST_BYTES = 6_000_000
"""Of the records in one invoke, which is no checkpoint. Lambda takes 6 MiB in and out."""


@dataclass(frozen=True)
class Enriching:
    """The own stage as one range of a file uses it.

    ``folder`` is that of the file's results; with the number of a row it is the row's identity,
    however often the range is repeated.
    """

    calling: Calling
    folder: str

    @property
    def function_arn(self) -> str:
        """Of the own stage."""
        return self.calling.stage["function_arn"]

    def through(self, verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
        """``verdicts`` in their order, those of accepted rows as the own stage has it.

        Raises:
            Unfinished: rows failed, or the time is used up.
        """
        blocks = batches(verdicts, _size, max_bytes=MAX_CHUNK_BYTES, max_entries=MAX_CHUNK_RECORDS)
        waiting: deque[Future[list[Verdict]]] = deque()
        pool = ThreadPoolExecutor(CONCURRENT_BLOCKS)
        try:
            for block in blocks:
                waiting.append(pool.submit(self._block, block))
                if len(waiting) >= CONCURRENT_BLOCKS:
                    yield from waiting.popleft().result()
            for done in waiting:
                yield from done.result()
        finally:
            pool.shutdown(cancel_futures=True)

    def _block(self, verdicts: Sequence[Verdict]) -> list[Verdict]:
        records = {v.row.number: self._record(v) for v in verdicts if v.invalid is None}
        results = self._results(list(records.values()))
        return [
            _verdict(results[records[verdict.row.number]["id"]], verdict)
            if verdict.row.number in records
            else verdict
            for verdict in verdicts
        ]

    def _record(self, verdict: Verdict) -> StageRecord:
        identity = id_of(verdict.row.number)
        return {
            "id": identity,
            "body": verdict.row.raw.decode(),
            "execution_id": f"{self.folder}{identity}",
            "transformed": verdict.record,
        }

    def _results(self, records: Sequence[StageRecord]) -> dict[str, Result]:
        results = {r["id"]: _too_large(r) for r in records if wire_size(r) > MAX_REQUEST_BYTES}
        fitting = [record for record in records if record["id"] not in results]
        return results | self.calling.results(fitting)


def _size(verdict: Verdict) -> int:
    return 0 if verdict.invalid else len(verdict.row.raw) + len(verdict.record)


def _too_large(record: StageRecord) -> Result:
    message = f"{own_stage.NAME} is sent at most {MAX_REQUEST_BYTES} bytes of a row"
    reason: Reason = {"type": "RecordTooLarge", "message": message, "errors": [message]}
    return {"id": record["id"], "outcome": "rejected", "reason": reason}


def _verdict(result: Result, before: Verdict) -> Verdict:
    if result["outcome"] == "rejected":
        reason = result["reason"]
        errors = reason.get("errors") or [reason["message"]]
        return before.refused(InvalidRecord(reason["type"], errors))
    if "pointer" in result:
        message = (
            f"{own_stage.NAME} answered a pointer; what is made of a row stands in its results"
        )
        return before.refused(InvalidRecord("RecordTooLarge", [message]))
    if "data" not in result:
        return before
    return before._replace(record=json_text(exact_json.loads(result["data"])))
