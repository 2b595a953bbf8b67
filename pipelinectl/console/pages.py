"""What each page shows: asks the library, as the commands do, and changes nothing."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeAlias, cast, get_args

from pipeline_core.catalog import State
from pipelinectl import cost, errors, local, objects, redrive, status, timeline
from pipelinectl.aws import FUNCTION_ROLES
from pipelinectl.commands import dlq
from pipelinectl.commands import record as lives
from pipelinectl.commands.executions import Status, execution_document, timeline_document
from pipelinectl.commands.output import age
from pipelinectl.console import drawing
from pipelinectl.console.session import COSTED
from pipelinectl.console.snapshots import FIRST_WAIT_SECONDS
from pipelinectl.dead_letters import Filter, grouped, meant
from pipelinectl.doctor.stack import Level
from pipelinectl.doors import queues_of
from pipelinectl.errors import NotFoundError, OperationFailedError, UsageError
from pipelinectl.exact_json import dumps
from pipelinectl.logs import FunctionLogs, LogEvent
from pipelinectl.logs import groups as log_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline_core.catalog import CatalogEntry
    from pipelinectl.audit import Line
    from pipelinectl.console.session import Job, Session
    from pipelinectl.console.snapshots import Seen
    from pipelinectl.dead_letters import DeadLetter, Letters
    from pipelinectl.deliveries import Delivery
    from pipelinectl.doors import DoorName
    from pipelinectl.executions import Execution
    from pipelinectl.items import Item
    from pipelinectl.record import Life
    from pipelinectl.redrive import Redelivery

Query: TypeAlias = Mapping[str, str]
"""What stands behind the question mark of an address."""

HIDDEN = "hidden: start the console with --show-content to see it"
SAMPLE = '{"data_source": "test.csv", "processing_type": "standard"}'
EVERY_SECONDS = 5
WAIT = "wait"
"""What of a query says how long to wait; the twins of pages have it, and nobody else."""


@dataclass(frozen=True)
class Page:
    """What a template shows.

    `command` are the arguments of pipelinectl for the same; `document` is what .json answers;
    `shown` is what the template needs beside it. A page that is `every` seconds old is asked for
    again; 0 is never.
    """

    template: str
    title: str
    command: Sequence[str]
    document: Any
    shown: Mapping[str, Any] = field(default_factory=dict)
    every: int = EVERY_SECONDS


def overview(session: Session, query: Query) -> Page:
    """What lies where, what became of the last hour, what the doctor finds."""
    seen = session.status.look(_wait(query))
    patience = _wait(query) if WAIT in query else 0
    letters = session.letters.look(patience)
    checks = session.doctor.look(patience)
    now = seen.value
    bad = [result for result in checks.value or () if result.level is not Level.OK]
    return Page(
        "overview.html",
        "Overview",
        ("status",),
        {
            "status": status.document(now) if now else None,
            "dead_letters": len(letters.value.letters) if letters.value else None,
            "doctor": [result.document for result in checks.value] if checks.value else None,
        },
        {
            "status": now,
            "stack_name": session.options.stack_name,
            "filled": [queue for queue in now.queues if queue.depth] if now else [],
            "empty": [queue for queue in now.queues if not queue.depth] if now else [],
            "seen": seen,
            "pictures": drawing.flow(_flow(session, now, letters)) if now else None,
            "checks": checks,
            "bad": bad,
            "sample": SAMPLE,
            "doors": tuple(queues_of(session.pipeline.stack)),
        },
    )


_TITLES: Mapping[DoorName, str] = {
    "messages": "Messages",
    "objects": "S3 objects",
    "internal": "Sent again",
    "files": "Files to go on with",
    "fifo": "Messages in order",
    "fifo-internal": "Sent again in order",
}


def _flow(session: Session, now: status.Status, letters: Seen[Letters]) -> drawing.Flow:
    stack = session.pipeline.stack
    doors = [(_TITLES[door], url, door) for door, url in queues_of(stack).items()]
    running, failed = _counted_up_to(now.running), _counted_up_to(now.failed)
    return drawing.Flow(
        [_queue_node(name, now.queue(url), paused=door in now.paused) for name, url, door in doors],
        drawing.Node(
            "Durable function",
            f"{running} running",
            f"{failed} failed as a whole in the last hour",
            "/executions",
            "bad" if now.failed else "busy" if now.running else "",
        ),
        ("validate", "transform", "store"),
        [
            _items_node(now),
            _dead_letters_node(
                now,
                [
                    queue
                    for url in (stack.dead_letter_queue_url, stack.fifo_dead_letter_queue_url)
                    if (queue := now.queue(url))
                ],
                letters,
            ),
        ],
    )


def _queue_node(name: str, queue: status.QueueState | None, *, paused: bool) -> drawing.Node:
    if queue is None:
        return drawing.Node(name, "?", "the stack has no such queue", "/overview", "bad")
    oldest = "" if queue.oldest_seconds is None else f", oldest {_lasted(queue.oldest_seconds)}"
    waiting = f"{queue.waiting:,} waiting"
    note = f"{queue.in_flight:,} in flight{oldest}"
    if paused:
        return drawing.Node(name, f"{waiting}, paused", note, "/overview#intake", "warn")
    return drawing.Node(name, waiting, note, "/overview#queues", "busy" if queue.depth else "")


def _items_node(now: status.Status) -> drawing.Node:
    stored = now.last_hour.stored
    value = "not counted" if stored is None else f"{stored:,} stored"
    return drawing.Node("Items", value, "in the last hour", "/record", "good" if stored else "")


def _dead_letters_node(
    now: status.Status, queues: Sequence[status.QueueState], letters: Seen[Letters]
) -> drawing.Node:
    known = letters.value.letters if letters.value else ()
    count = sum(queue.depth for queue in queues) if queues else len(known)
    recent = now.last_hour.dead_letters
    if recent is None:
        recent = sum(letter.failed_at >= now.at - status.HOUR for letter in known)
    note = f"{recent:,} in the last hour"
    if known:
        note += f"\noldest {age(min(letter.failed_at for letter in known), now.at)}"
    return drawing.Node("Dead letters", f"{count:,}", note, "/dead-letters", "bad" * bool(count))


def _counted_up_to(found: Sequence[Execution]) -> str:
    return f"{len(found):,}" + (" or more" if len(found) == status.MOST else "")


def _lasted(seconds: float) -> str:
    now = datetime.now(UTC)
    return age(now - timedelta(seconds=seconds), now)


SHOWN_LETTERS = 50


def dead_letters(session: Session, query: Query) -> Page:
    """Dead letters in groups by stage and reason, and those of one group or filter."""
    seen = session.letters.look(_wait(query))
    if query.get("read") == "again":
        session.letters.refresh()
    only = _filter(query)
    letters = seen.value.letters if seen.value else ()
    matching = [letter for letter in letters if only.takes(letter)]
    limit = _limit(query, SHOWN_LETTERS)
    return Page(
        "dead_letters.html",
        "Dead letters",
        ("dlq", "list", *_filter_options(only)),
        {
            "read_at": seen.at,
            "complete": bool(seen.value and seen.value.complete),
            "dead_letters": [letter_document(session, letter) for letter in matching],
        },
        {
            "seen": seen,
            "groups": grouped(letters),
            "only": only,
            "narrowed": only != Filter(),
            "matching": len(matching),
            "letters": matching[:limit],
            "limit": limit,
            "total": len(letters),
            "filters": _filter_query(only),
        },
    )


def dead_letter(session: Session, query: Query) -> Page:
    """All of one dead letter."""
    letter = find_letter(session, query)
    again = _again(session, letter)
    return Page(
        "dead_letter.html",
        f"Dead letter {letter.message_id[:8]}",
        ("dlq", "show", letter.message_id),
        letter_document(session, letter),
        {
            "letter": letter,
            "again": again,
            "body": dlq.readable(letter.body) if session.show_content else None,
            "producers": _attributes(letter) if session.show_content else None,
            "producers_count": len(letter.producers_attributes),
        },
    )


def _attributes(letter: DeadLetter) -> dict[str, str]:
    return {name: dlq.attribute(value) for name, value in letter.producers_attributes.items()}


def edit(session: Session, query: Query) -> Page:
    """A dead letter's body to edit, with the reasons beside it."""
    letter = find_letter(session, query)
    if not session.show_content:
        msg = f"the body of {letter.message_id[:8]} cannot be edited unseen, and it is {HIDDEN}"
        raise OperationFailedError(msg)
    return edit_page(letter, dlq.readable(letter.body))


def edit_page(
    letter: DeadLetter, text: str, *, difference: Sequence[str] | None = None, problem: str = ""
) -> Page:
    """The form; with the `difference` from what it was, once that was asked for."""
    return Page(
        "edit.html",
        f"Edit dead letter {letter.message_id[:8]}",
        ("dlq", "redrive", "--id", letter.message_id, "--edit"),
        {"message_id": letter.message_id, "body": text},
        {"letter": letter, "text": text, "difference": difference, "problem": problem},
        every=0,
    )


def redrive_plan(session: Session, query: Query) -> Page:
    """What a redrive would send: nothing is sent yet."""
    only = _filter(query)
    chosen = chosen_letters(session, query)
    reference = query.get("id")
    options = ["--id", reference] if reference else _filter_options(only) or ["--all"]
    return Page(
        "redrive.html",
        "Send again",
        ("dlq", "redrive", *options, "--dry-run"),
        [letter_document(session, letter) for letter in chosen],
        {
            "chosen": chosen[:SHOWN_LETTERS],
            "count": len(chosen),
            "groups": grouped(chosen),
            "fields": {"id": reference} if reference else _filter_query(only),
            "back": "/dead-letters",
        },
        every=0,
    )


def chosen_letters(session: Session, query: Query) -> list[DeadLetter]:
    """The dead letters that an id or a filter means, as they were read last.

    Raises:
        NotFoundError: none.
    """
    if query.get("id"):
        return [find_letter(session, query)]
    only = _filter(query)
    chosen = [letter for letter in _known_letters(session, query) if only.takes(letter)]
    if not chosen:
        raise NotFoundError("no dead letter is meant: choose a group, or clear the filter")
    return chosen


def find_letter(session: Session, query: Query) -> DeadLetter:
    """The dead letter that the query's `id` means.

    Raises:
        NotFoundError: it is not, or no longer, in the queue as it was read last.
        UsageError: it means several.
    """
    reference = query.get("id", "")
    found = meant(_known_letters(session, query), [reference])
    if len(found) > 1:
        msg = f"'{reference}' means {len(found)} dead letters: choose one of them by its message id"
        raise UsageError(msg)
    return found[0]


def _known_letters(session: Session, query: Query) -> Sequence[DeadLetter]:
    seen = session.letters.look(_wait(query))
    if seen.value is None:
        still = "the dead-letter queue is still being read: ask again in a moment"
        raise seen.failure_again or OperationFailedError(still)
    return seen.value.letters


def _again(session: Session, letter: DeadLetter) -> Redelivery:
    pipeline = session.pipeline
    return redrive.of_letter(letter, pipeline.stack.environment, read=pipeline.read_payload)


def letter_document(session: Session, letter: DeadLetter) -> dict[str, Any]:
    """A dead letter as `pipelinectl dlq show --json` has it, without its content where hidden."""
    document = dlq.document(letter)
    if not session.show_content:
        document |= {"body": None, "attributes": None, "content": HIDDEN}
    return document


def _wait(query: Query) -> float:
    """Seconds to wait for what is not known yet: a page hardly does, its twin does."""
    return float(query.get(WAIT, FIRST_WAIT_SECONDS))


def _filter(query: Query) -> Filter:
    return Filter(query.get("stage") or None, query.get("reason") or None)


def _filter_options(only: Filter) -> list[str]:
    options = [("--stage", only.stage), ("--reason", only.reason)]
    return [part for name, value in options if value for part in (name, value)]


def _filter_query(only: Filter) -> dict[str, str]:
    return {n: value for n, value in (("stage", only.stage), ("reason", only.reason)) if value}


_DIGITS = 13  # of any number that somebody could mean here
_MOST_LISTED = 1000


def _limit(query: Query, default: int) -> int:
    text = query.get("limit", "")
    short = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    return min(int(text), _MOST_LISTED) if short and int(text) else default


SHOWN_EXECUTIONS = 50


def executions(session: Session, query: Query) -> Page:
    """Executions by status, name and time, the newest first."""
    limit = _limit(query, SHOWN_EXECUTIONS)
    chosen = query.get("status") or None
    if chosen is not None and chosen not in tuple(Status):
        msg = f"'{chosen}' is no status of an execution: choose one of {', '.join(Status)}"
        raise UsageError(msg)
    since, until = _moment(query, "since"), _moment(query, "until")
    name = query.get("name") or None
    found = list(
        session.pipeline.executions.newest(
            statuses=[chosen] if chosen else (), name=name, since=since, until=until, limit=limit
        )
    )
    options = ["--status", chosen] if chosen else []
    counts = session.counts(found, _wait(query)).value or {}
    return Page(
        "executions.html",
        "Executions",
        ("executions", "list", *options, "--limit", str(limit)),
        [execution_document(one) | {"records": counts.get(one.arn)} for one in found],
        {
            "executions": found,
            "counts": counts,
            "statuses": list(Status),
            "query": {k: v for k, v in query.items() if k in ("status", "name", "since", "until")},
            "limit": limit,
            "more": len(found) == limit,
        },
    )


def _moment(query: Query, name: str) -> datetime | None:
    """A local time as a browser's field has it, or one in ISO 8601."""
    text = query.get(name)
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError as error:
        msg = f"{name} '{text}' is no time: write it as 2026-03-01T12:00"
        raise UsageError(msg) from error


def execution(session: Session, query: Query) -> Page:
    """One execution: its timeline in lanes, what it used, and its records."""
    found = session.pipeline.executions
    arn = found.resolve(query.get("arn", ""))
    events = list(found.history(arn))
    try:
        drawn = timeline.build_timeline(events)
    except timeline.NoHistoryError as error:
        msg = f"execution '{arn}': {error}: its retention period may be over"
        raise NotFoundError(msg) from error
    lanes = list(drawing.lanes(drawn.operations))
    usage = cost.usage_of(events, found.function_name)
    return Page(
        "execution.html",
        f"Execution {drawn.name}",
        ("executions", "show", arn),
        timeline_document(drawn, arn),
        {
            "arn": arn,
            "timeline": drawn,
            "lanes": [(lane, drawing.lane_bar(lane, drawn)) for lane in lanes],
            "failures": [op for _, op in drawn.walk() if op.failure],
            "usage": usage,
            "bill": _bill(session, usage) if usage and drawn.ended_at else None,
            "records": _records(session, events),
        },
        every=EVERY_SECONDS if drawn.ended_at is None else 0,
    )


def _bill(session: Session, usage: cost.Usage) -> Mapping[str, Any]:
    deployment = _deployment(session)
    sizes = cost.sizes_of(session.pipeline.connection.lambda_, usage.calls)
    return cost.bill(usage, replace(deployment, sizes=sizes))


def _records(session: Session, events: Sequence[Mapping[str, Any]]) -> list[Redelivery]:
    """What came in, as a retry would send it again; nothing where that is no longer known."""
    for event in events:
        details = event.get("ExecutionStartedDetails") or {}
        if payload := details.get("Input", {}).get("Payload"):
            try:
                return redrive.of_event(payload, session.pipeline.stack.environment)
            except errors.PipelinectlError:
                return []
    return []


def record(session: Session, query: Query) -> Page:
    """The life of a record, by any of its ids."""
    reference = query.get("id", "").strip()
    if not reference:
        return Page("record.html", "Record", ("record", "ID"), None, {"reference": ""}, every=0)
    seen = session.life(reference, _wait(query))
    life = seen.value
    if life is None and (failure := seen.failure_again):
        raise failure
    return Page(
        "record.html",
        f"Record {life.execution_id if life else reference}",
        ("record", reference),
        life_document(session, life) if life else None,
        {
            "reference": reference,
            "seen": seen,
            "life": life,
            "chapters": chapters(life) if life else [],
            "item": dumps(item_document(session, life.item)) if life and life.item else None,
            "reason": objects.reason_of(life.entry) if life and life.entry else "",
        },
        every=_again_after(session, seen, datetime.now(UTC)),
    )


_JUST_NOW = timedelta(minutes=2)


def _again_after(session: Session, seen: Seen[Life], now: datetime) -> int:
    """Seconds; of what was found before something was done here there may be news soon."""
    if seen.value is None or seen.asking:
        return 1
    just_now = any(one.ended_at is None or now - one.ended_at < _JUST_NOW for one in session.jobs)
    return EVERY_SECONDS if just_now else soon(seen.value, now)


_SLOWEST_SECONDS = 600
_SHARE_OF_REST = 20


def soon(life: Life, now: datetime) -> int:
    """After how many seconds to look for it again: each time takes many requests.

    Never where it has ended; else ever more seldom while nothing happens to it.
    """
    if not life.goes_on:
        return 0
    times = [chapter.at for chapter in chapters(life) if chapter.at]
    rests = (now - max(times)).total_seconds() if times else 0
    return int(min(max(EVERY_SECONDS, rests / _SHARE_OF_REST), _SLOWEST_SECONDS))


def life_document(session: Session, life: Life) -> dict[str, Any]:
    """A life as `pipelinectl record --json` has it, without content where hidden."""
    document = lives.document(life)
    document["item"] = item_document(session, life.item) if life.item else None
    document["dead_letters"] = [letter_document(session, one) for one in life.dead_letters]
    return document


@dataclass(frozen=True)
class Chapter:
    """Something that happened to a record: one of the three."""

    at: datetime | None
    delivery: Delivery | None = None
    letter: DeadLetter | None = None
    act: Line | None = None


def chapters(life: Life) -> list[Chapter]:
    """What happened, in order of time."""
    found = [Chapter(one.started_at, delivery=one) for one in life.deliveries]
    found += [Chapter(one.failed_at, letter=one) for one in life.dead_letters]
    found += [Chapter(datetime.fromisoformat(one["at"]), act=one) for one in life.acts]
    return sorted(found, key=lambda one: one.at or datetime.min.replace(tzinfo=UTC))


_CONTENT = ("original_data", "transformed_data")


def item_document(session: Session, item: Item) -> dict[str, Any]:
    """An item as `pipelinectl items --json` has it, without its documents where hidden."""
    document = dict(item.attributes)
    if not session.show_content:
        document |= {name: HIDDEN for name in _CONTENT if name in document}
    return document


SHOWN_FILES = 50
_STATES: tuple[State, ...] = get_args(State)
_KINDS = get_args(objects.Kind)
_RANGES = 500
_REJECTS_READ = 1000
_REJECTS_SHOWN = 20


def files(session: Session, query: Query) -> Page:
    """The objects that the pipeline knows, those that changed last first."""
    limit = _limit(query, SHOWN_FILES)
    state = query.get("state") or None
    if state is not None and state not in _STATES:
        msg = f"'{state}' is no state of an object: choose one of {', '.join(_STATES)}"
        raise UsageError(msg)
    found = objects.newest(session.pipeline.catalog, limit, state)
    stack = session.pipeline.stack
    return Page(
        "files.html",
        "Files",
        ("objects", "list", *(["--state", state] if state else []), "--limit", str(limit)),
        found,
        {
            "entries": [
                (objects.reference_to(objects.object_of(entry), stack), entry) for entry in found
            ],
            "reason_of": objects.reason_of,
            "states": _STATES,
            "state": state,
            "limit": limit,
            "more": len(found) == limit,
        },
    )


def file(session: Session, query: Query) -> Page:
    """One object: how far it is, range by range, what came of it and what was rejected."""
    reference = query.get("object", "")
    pipeline = session.pipeline
    entry = objects.find(pipeline.catalog, objects.resolve(reference, pipeline.stack))
    size = entry.get("size", 0)
    done = pipeline.results.ranges(entry, _RANGES) if size else []
    rejects = _rejects(session, entry) if any(one.rejects for one in done) else []
    reasons = Counter(reason for one in rejects for reason in one.reasons)
    return Page(
        "file.html",
        reference,
        ("objects", "show", reference, "--rejects"),
        {**entry} | {"ranges": [vars(one) for one in done], "reasons": reasons},
        {
            "reference": reference,
            "entry": entry,
            "ranges": done,
            "picture": drawing.ranges(done, size) if done else None,
            "errors": entry["reason"].get("errors") or [objects.reason_of(entry)]
            if "reason" in entry
            else [],
            "done_bytes": sum(one.end - one.start for one in done),
            "rows": sum(one.rows for one in done),
            "rejected": sum(one.rejects for one in done),
            "all_ranges": len(done) < _RANGES,
            "reasons": reasons.most_common(_REJECTS_SHOWN),
            "reasons_of": len(rejects),
            "rejects": rejects[:_REJECTS_SHOWN],
        },
    )


def _rejects(session: Session, entry: CatalogEntry) -> list[objects.Reject]:
    results = session.pipeline.results
    lines = results.lines(results.parts(entry, "rejects"))
    return [objects.read(line) for line in itertools.islice(lines, _REJECTS_READ)]


def download(session: Session, query: Query) -> tuple[str, Iterator[bytes]]:
    """A name for the file to save, and its content.

    Raises:
        OperationFailedError: content is hidden.
    """
    if not session.show_content:
        raise OperationFailedError(f"results and rejects are content, which is {HIDDEN}")
    kind = query.get("kind", "")
    if kind not in _KINDS:
        raise UsageError(f"'{kind}' is nothing to download: choose one of {', '.join(_KINDS)}")
    pipeline = session.pipeline
    object_id = objects.resolve(query.get("object", ""), pipeline.stack)
    entry = objects.find(pipeline.catalog, object_id)
    parts = pipeline.results.parts(entry, cast("objects.Kind", kind))
    stem = entry["key"].rpartition("/")[2].rpartition(".")[0]
    return f"{stem}.{kind}.jsonl", pipeline.results.chunks(parts)


_MOST_RECORDS = 10**12
_MOST_BATCH = 10_000


def costs(session: Session, query: Query) -> Page:
    """What the newest executions used and cost, and what a month would."""
    seen = session.usage.look(_wait(query))
    month = _month(session, query)
    report = None
    if seen.value:
        lambda_ = session.pipeline.connection.lambda_
        report = cost.report(lambda_, seen.value, _deployment(session), month)
    options = ["--records", str(month[0]), "--batch-size", str(month[1])] if month else []
    return Page(
        "cost.html",
        "Cost",
        ("cost", *options),
        report,
        {
            "seen": seen,
            "report": report,
            "costed": COSTED,
            "records": query.get("records", ""),
            "batch_size": query.get("batch_size", ""),
            "per_million": cost.MILLION,
        },
        every=EVERY_SECONDS if seen.asking or seen.value is None else 60,
    )


def _month(session: Session, query: Query) -> tuple[int, int] | None:
    records = query.get("records", "").replace(",", "").strip()
    if not records:
        return None
    parameters = session.pipeline.stack.parameters
    size = query.get("batch_size", "").strip() or parameters.get("BatchSize", "10")
    return (
        _whole("records", records, _MOST_RECORDS),
        _whole("records in a batch", size, _MOST_BATCH),
    )


def _whole(what: str, text: str, most: int) -> int:
    short = text.isascii() and text.isdecimal() and len(text) <= _DIGITS
    if not (short and 1 <= int(text) <= most):
        raise UsageError(f"'{text}' {what}: give a whole number from 1 to {most:,}")
    return int(text)


def _deployment(session: Session) -> cost.Deployment:
    pipeline = session.pipeline
    return cost.Deployment(
        stack_name=pipeline.stack.name,
        region=pipeline.connection.lambda_.meta.region_name,
        is_local=pipeline.connection.at is not None,
        retention_days=int(pipeline.stack.parameters.get("ExecutionRetentionInDays", 14)),
        durable_function=pipeline.executions.function_name,
    )


_LOG_LINES = 100
_LOG_AGE = timedelta(minutes=15)
DEFAULT_LOG = "durable-pipeline"


def local_cloud(session: Session, query: Query) -> Page:
    """The processes of the local cloud, and one log of it."""
    name = query.get("log", DEFAULT_LOG)
    machine = session.machine
    processes = local.processes(machine) if machine else []
    names = [*FUNCTION_ROLES, *(one.name for one in processes), local.SUPERVISOR]
    if machine and name not in names:
        raise NotFoundError(f"no log '{name}': choose one of {', '.join(names)}")
    return Page(
        "local.html",
        "Local",
        ("local", "logs", name, "--follow") if machine else ("local", "status"),
        [vars(process) for process in processes],
        {
            "processes": processes,
            "names": names,
            "log": name,
            "lines": list(_log_lines(session, name)) if machine else [],
            "functions": FUNCTION_ROLES,
            "log_age": _LOG_AGE,
        },
        every=2,
    )


def _log_lines(session: Session, name: str) -> Iterable[local.LogLine | LogEvent]:
    """Its last lines; of a function those of the last minutes, for there may be very many."""
    assert session.machine is not None  # noqa: S101 - the caller has asked
    if path := local.log_file(session.machine, name):
        return local.FileLog(path).lines(_LOG_LINES)
    groups = log_groups(session.options.stack_name, name)
    log = FunctionLogs(session.pipeline.connection.logs, groups)
    try:
        return list(log.lines(datetime.now(UTC) - _LOG_AGE, limit=_LOG_LINES))
    except NotFoundError:
        return []  # it has not run


def job(session: Session, query: Query) -> Page:
    """What the console does or did, and what became of the records it sent."""
    found = session.jobs.find(query.get("number", ""))
    outcomes = _outcomes(session, found)
    ended = found.ended_at
    settled = ended is not None and (
        "on its way" not in outcomes.values() or datetime.now(UTC) - ended > _FOLLOWED_FOR
    )
    return Page(
        "job.html",
        found.title,
        (),
        found.document() | {"outcomes": outcomes},
        {"job": found, "outcomes": outcomes, "command": found.command},
        every=0 if settled else 1,
    )


_FOLLOWED = 100
_FOLLOWED_FOR = timedelta(minutes=30)
"""So long after its end a page is asked for again by itself, for what is on its way still."""


def _outcomes(session: Session, found: Job) -> dict[str, str]:
    """What became of each record that was sent: an item, a dead letter again, or nothing yet."""
    messages = found.followed[:_FOLLOWED]
    if found.following is None or not messages:
        return {}
    seen = session.letters.look(0)
    known = seen.value.letters if seen.value else ()
    became = found.following.now(messages, known)
    return {one.message.execution_id: one.fate for one in became}


def jobs(session: Session, _query: Query) -> Page:
    """All that this console did."""
    found = list(session.jobs)
    return Page(
        "jobs.html",
        "Done here",
        (),
        [one.document() for one in found],
        {"jobs": found, "command": ""},
    )


PAGES: Mapping[str, Callable[[Session, Query], Page]] = {
    "/overview": overview,
    "/dead-letters": dead_letters,
    "/dead-letters/show": dead_letter,
    "/dead-letters/edit": edit,
    "/dead-letters/redrive": redrive_plan,
    "/executions": executions,
    "/executions/show": execution,
    "/record": record,
    "/files": files,
    "/files/show": file,
    "/cost": costs,
    "/local": local_cloud,
    "/done": jobs,
    "/done/show": job,
}
"""Each page by its address; with .json behind it, the address is of the page's twin."""

NAVIGATION = (
    ("/overview", "Overview"),
    ("/dead-letters", "Dead letters"),
    ("/executions", "Executions"),
    ("/record", "Record"),
    ("/files", "Files"),
    ("/cost", "Cost"),
    ("/local", "Local"),
)
