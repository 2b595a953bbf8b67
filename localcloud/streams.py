"""Event source mappings of DynamoDB streams in ministack, with what Lambda does after a failure.

ministack hands a failed batch in again for ever, or until it is too old. Here a batch ends as it
does with Lambda: a partial batch response counts, a batch is bisected, retries are limited, and
what is given up is told to the destination for failures. Each batch has a thread of its own, one
for each mapping, so that a slow function keeps no other mapping waiting. And what is in a stream is
saved with its table.
https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-batchfailurereporting.html
https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html

ministack's own interpreter runs this module: it imports nothing but the standard library.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from localcloud.ministack import wrap
from localcloud.quotas import MAX_INPUT_BYTES, utf8_length

Action = Callable[..., Any]
Mapped = dict[str, Any]
Record = Mapping[str, Any]

_FOR_EVER = -1
_DEFAULT_BATCH = 100
_MAX_EVENT_BYTES = MAX_INPUT_BYTES["RequestResponse"]
_KEPT = {"stream_records": "_stream_records", "stream_trimmed": "_stream_trimmed"}


def install(lambda_service: Any, tables: Any) -> None:
    """Have ministack read streams so; these are its modules `lambda_svc` and `dynamodb`."""
    lambda_service._poll_dynamodb_streams = Streams(lambda_service, tables).poll
    wrap(tables, "get_state", lambda get: _with_records(get, tables))
    wrap(tables, "load_persisted_state", lambda load: _restoring_records(load, tables))


def _with_records(get_state: Action, tables: Any) -> Action:
    def state() -> Mapped:
        kept = {key: copy.deepcopy(getattr(tables, name)) for key, name in _KEPT.items()}
        return {**get_state(), **kept}

    return state


def _restoring_records(load: Action, tables: Any) -> Action:
    def loaded(data: Mapped) -> None:
        load(data)
        for key, name in _KEPT.items():
            getattr(tables, name).update((data or {}).get(key) or {})

    return loaded


@dataclass
class Retries:
    """What a mapping has left of a batch that failed: the ends of its parts, the next one first."""

    ends: list[int] = field(default_factory=list)
    failures: int = 0

    def reached(self, position: int) -> None:
        """Everything before `position` is done with."""
        self.failures = 0
        self.ends = [end for end in self.ends if end > position]


class Streams:
    """Reads the streams that functions are mapped to."""

    def __init__(self, service: Any, tables: Any) -> None:
        self._service = service
        self._tables = tables
        self._retries: dict[str, Retries] = {}

    def poll(self) -> bool:
        """Hand in the next batch of each mapping that has one; tell whether any had."""
        service = self._service
        handed_in = False
        for account, region, mapping in service._iter_all_esms():
            tokens = service._request_account_id.set(account), service._request_region.set(region)
            try:
                handed_in = self._hand_in(mapping) or handed_in
            finally:
                service._request_account_id.reset(tokens[0])
                service._request_region.reset(tokens[1])
        return handed_in

    def _hand_in(self, mapping: Mapped) -> bool:
        service, name = self._service, mapping["UUID"]
        table = self._table(mapping) if mapping.get("Enabled", True) else None
        waits = service._esm_backoff_until.get(name, 0) > time.time()
        if table is None or waits or service._esm_inflight.get(name):
            return False
        function, _ = service._get_func_record_for_qualifier(
            mapping["FunctionName"], mapping.get("Qualifier")
        )
        position = self._position(mapping, table)
        batch = self._batch(mapping, table, position)
        if function is None or not batch:
            return False
        service._dispatch_esm_batch(name, self._run, mapping, function, position, batch)
        return True

    def _table(self, mapping: Mapped) -> str | None:
        """The table whose stream, as it is now, the mapping reads."""
        source = mapping.get("EventSourceArn", "")
        table_arn, is_stream, _ = source.partition("/stream/")
        name = table_arn.rpartition("/")[2]
        table = self._tables._tables.get(name) if is_stream and ":dynamodb:" in source else None
        return name if table and table.get("LatestStreamArn") == source else None

    def _position(self, mapping: Mapped, table: str) -> int:
        """Where the mapping goes on. A stream that is shorter than that has begun anew."""
        first: int = self._tables.stream_start_position(table)
        end: int = self._tables.stream_end_position(table)
        from_first = mapping.get("StartingPosition") == "TRIM_HORIZON"
        known = self._service._dynamodb_stream_positions
        with self._service._dynamodb_stream_positions_lock:
            position = int(known.get(mapping["UUID"], first if from_first else end))
            position = max(position, first) if position <= end else first
            known[mapping["UUID"]] = position
        return position

    def _batch(self, mapping: Mapped, table: str, position: int) -> list[Record]:
        """The next records: as many as the mapping takes, as fit an event, or are left together."""
        ends = self._retries_of(mapping).ends
        count = ends[0] - position if ends else int(mapping.get("BatchSize", _DEFAULT_BATCH))
        batch: list[Record] = []
        left = _MAX_EVENT_BYTES
        for record in self._tables.stream_records_since(table, position, count):
            left -= utf8_length(json.dumps(record, default=str))
            if batch and left < 0:
                break
            batch.append(record)
        return batch

    def _retries_of(self, mapping: Mapped) -> Retries:
        return self._retries.setdefault(mapping["UUID"], Retries())

    def _run(self, mapping: Mapped, function: Any, position: int, batch: list[Record]) -> None:
        records = self._service._apply_filter_criteria(batch, mapping)
        event = {"Records": records}
        result = self._service._execute_function(function, event) if records else {}
        if result.get("log"):
            name, log = mapping["FunctionName"], result["log"]
            self._service.logger.info("ESM: Lambda %s output:\n%s", name, log)
        partly = "ReportBatchItemFailures" in (mapping.get("FunctionResponseTypes") or ())
        done = done_with(batch, result, partly=partly)
        if done:
            self._reached(mapping, position + done)
        if done == len(batch):
            mapping["LastProcessingResult"] = f"OK - {len(records)} records"
            return
        mapping["LastProcessingResult"] = "FAILED"
        pause = self._service._ESM_BACKOFF_SECONDS
        self._service._esm_backoff_until[mapping["UUID"]] = time.time() + pause
        self._after_failure(mapping, function, position + done, batch[done:], result)

    def _after_failure(
        self, mapping: Mapped, function: Any, position: int, left: list[Record], result: Mapped
    ) -> None:
        retries = self._retries_of(mapping)
        if (
            len(left) > 1
            and result.get("error")
            and _is_true(mapping, "BisectBatchOnFunctionError")
        ):
            # This does not count as a retry.
            half, end = position + len(left) // 2, position + len(left)
            retries.ends = [half, *sorted({end, *retries.ends})]
            return
        retries.failures += 1
        why = why_given_up(mapping, left, retries.failures)
        if why:
            self._service._send_ddb_stream_failure_record(
                mapping, function, left, mapping["EventSourceArn"], result, why
            )
            self._reached(mapping, position + len(left))

    def _reached(self, mapping: Mapped, position: int) -> None:
        self._retries_of(mapping).reached(position)
        if mapping["UUID"] in self._service._esms:
            with self._service._dynamodb_stream_positions_lock:
                self._service._dynamodb_stream_positions[mapping["UUID"]] = position


def done_with(batch: Sequence[Record], result: Mapped, *, partly: bool) -> int:
    """How many records of a batch, from its first, are done with by the function's answer.

    Lambda goes on at the first record that is named as failed, and takes for a failure of the whole
    batch what names none of its records.
    """
    if result.get("error"):
        return 0
    failures = _answer(result).get("batchItemFailures") if partly else None
    if not failures:
        return len(batch)
    places = {str(r["dynamodb"]["SequenceNumber"]): place for place, r in enumerate(batch)}
    named = [f.get("itemIdentifier") if isinstance(f, dict) else None for f in failures]
    return min(places.get(str(name), 0) for name in named)


def _answer(result: Mapped) -> Mapped:
    body = result.get("body")
    try:
        answer = json.loads(body) if isinstance(body, (str, bytes)) else body
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def why_given_up(mapping: Mapped, left: Sequence[Record], failures: int) -> str:
    """The condition under which Lambda gives up what is `left`; empty if it is tried again."""
    oldest = min(float(r["dynamodb"]["ApproximateCreationDateTime"]) for r in left)
    age = _limit(mapping, "MaximumRecordAgeInSeconds")
    if age != _FOR_EVER and time.time() - oldest > age:
        return "MaxRecordAgeExceeded"
    attempts = _limit(mapping, "MaximumRetryAttempts")
    return "RetryAttemptsExhausted" if attempts != _FOR_EVER and failures > attempts else ""


def _limit(mapping: Mapped, name: str) -> int:
    """A number that a template may have as text."""
    return int(mapping.get(name, _FOR_EVER))


def _is_true(mapping: Mapped, name: str) -> bool:
    return str(mapping.get(name, False)).lower() == "true"
