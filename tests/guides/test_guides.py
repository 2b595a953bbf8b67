"""What the guides tell their readers to type does what is said of it, on the local cloud."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.documents import ROOT, Document
from tests.e2e.conftest import Stack
from tests.e2e.walkthrough import (
    ANYTHING,
    ITEM,
    KILL,
    SENT,
    TIMELINE,
    Shell,
    Walkthrough,
    reader_of,
    walk,
)
from tests.events import ORDER, standard

GUIDES = ROOT / "docs" / "guides"
UPLOADS = Document(GUIDES / "uploads-api.md")
CLAIM_CHECKS = Document(GUIDES / "claim-checks.md")

UPLOADED = r"uploaded orders\.csv"
A_HUNDRED_OR_MORE = r"^[1-9]\d\d+$"
LOCAL = 'eval "$(pipelinectl local env)"'
AWS_ONLY = "asks, and needs an AWS account; the local cloud is deployed by the same tool"
IN_A_COPY = "test_add_a_processing_type.py takes these steps in a copy of the project"
RIGHTS = "test_verify.py has these rights in force"
NONE_FAILED = "none has failed; test_operator_tools.py has one that did"

OUTPUTS = {
    "INPUT_BUCKET": "InputBucketName",
    "PAYLOAD_BUCKET": "PayloadBucketName",
    "QUEUE_URL": "DataProcessingQueueUrl",
    "DEAD_LETTER_QUEUE_URL": "DeadLetterQueueUrl",
    "FIFO_QUEUE_URL": "FifoQueueUrl",
    "UPLOADS_API": "UploadsApiUrl",
    "AUDIT_LOG_GROUP": "AuditLogGroupName",
}
"""The variables by which guides speak of outputs."""

A_CLAIM_CHECK_THAT_IS_WRONG = """
jq '.processing_type = "order"' large.json | pipelinectl send -
until ID=$(pipelinectl dlq list --json | jq -er '.[] | select(.payload) | .message_id'); do
  sleep 1
done
"""

RECORDS_TO_FOLLOW = """
pipelinectl send --file events/orders.jsonl --record-id-prefix guide
pipelinectl send '{"data_source": "test.csv", "processing_type": "standard"}'
pipelinectl upload orders.csv --wait
until pipelinectl items --id guide-00001 && pipelinectl items --source TEST.CSV | grep TEST.CSV; do
  sleep 1
done
"""

A_TENANTS_DEAD_LETTER = """
jq -c 'select(.order_id == "A-1001") | .quantity = 0' events/orders.jsonl |
  pipelinectl send --file - --group tenant-7
until pipelinectl dlq list --group tenant-7 | grep ValidationError; do sleep 1; done
"""

A_DEAD_LETTER_IN_ORDER = """
jq -c 'select(.order_id == "A-1001") | .quantity = 0' events/orders.jsonl |
  pipelinectl send --file - --door fifo --group customer-7
until pipelinectl dlq list --group customer-7 | grep ValidationError; do sleep 1; done
"""

AN_UPLOAD = "\n".join(UPLOADS.blocks("bash"))


@dataclass(frozen=True)
class Guide:
    """A guide's commands, and what its reader has done before, as a script."""

    walkthrough: Walkthrough
    before: str = ""


def guide(
    name: str, shows: dict[str, str], left_out: dict[str, str] | None = None, before: str = ""
) -> Guide:
    """The guide ``name``, with what its commands show and why others are not run."""
    return Guide(Walkthrough(Document(GUIDES / f"{name}.md"), shows, left_out or {}), before)


EVERY = [
    guide(
        "choose-a-door",
        {"pipelinectl send": SENT, "pipelinectl upload orders.csv": UPLOADED},
    ),
    guide(
        "claim-checks",
        {
            "pipelinectl send": r"by claim check",
            "payload=": ANYTHING,
            'aws s3 cp "$payload"': "download:",
            "$EDITOR": ANYTHING,
            "aws s3 cp payload.json": "upload:",
            'pipelinectl dlq redrive --id "$ID"': SENT,
        },
        before=A_CLAIM_CHECK_THAT_IS_WRONG,
    ),
    guide(
        "files-and-results",
        {
            "printf": ANYTHING,
            "pipelinectl upload orders.csv": r"done 2 rows, 1 result, 1 reject[^$]*^exit code 4$",
            "pipelinectl upload orders.csv --type order --data-source rows": "1 item, 1 reject",
            "pipelinectl items": "-row-1",
            "aws s3 cp": "upload:",
            "pipelinectl objects list": r"input/orders\.csv",
            "pipelinectl objects show": "row 2, line 3",
            "pipelinectl download --results": '"row": ?1',
            "pipelinectl download --rejects": "quantity must be bigger than",
            "pipelinectl download input": ANYTHING,
        },
    ),
    guide("console", {}, {"pipelinectl console": "runs until Ctrl-C; test_console.py opens it"}),
    guide("observe", {}, {"sam deploy": AWS_ONLY}),
    guide(
        "add-a-stage",
        {"python -m pytest": "1 passed", "pipelinectl doctor": "0 problems"},
        {"sam deploy": AWS_ONLY},
    ),
    guide(
        "take-results-elsewhere",
        {"pipelinectl doctor": "0 problems"},
        {
            "sam deploy": AWS_ONLY,
            "sam build": "test_sinks.py builds and deploys it",
            "psql": "test_sinks.py runs the file on a Postgres of its own",
        },
    ),
    guide(
        "redrive-dead-letters",
        {
            "pipelinectl dlq list": "ValidationError",
            "pipelinectl dlq show": "quantity must be bigger than",
            "pipelinectl dlq redrive": SENT,
            "id=": ANYTHING,
            'pipelinectl dlq show "$id" --json': SENT,
            "pipelinectl dlq redrive --reason TooManyRequestsException --dry-run": "would send",
            "pipelinectl executions list --status FAILED": r"\d+ executions?",
        },
        {
            "pipelinectl dlq discard": "asks; test_discard.py answers",
            "pipelinectl executions show NAME": NONE_FAILED,
            "pipelinectl executions retry NAME": NONE_FAILED,
        },
    ),
    guide(
        "follow-a-record",
        {
            "pipelinectl record guide-00001": "stored",
            "pipelinectl record input/orders.csv --json": '"object"',
            "pipelinectl logs --record guide-00001": "batch received",
            "pipelinectl reprocess --type order --since 2026-03-01 --dry-run": "would send",
            "pipelinectl reprocess --source TEST.CSV --wait": r"sent (\d+) of \1 record",
            "pipelinectl reprocess guide-00001 --wait": "unchanged",
            "aws logs filter-log-events": '"events"',
        },
        {
            "pipelinectl record 7f3c": "is the beginning of an id of the reader's",
            "pipelinectl logs --follow": "runs until Ctrl-C; test_observing.py follows",
        },
        before=RECORDS_TO_FOLLOW,
    ),
    guide(
        "send-and-inspect",
        {
            "pipelinectl send": SENT,
            "tail -n 2 events/orders.jsonl | pipelinectl send": SENT,
            "pipelinectl items --id guide-00001": r'"execution_id": "guide-00001"',
            "pipelinectl items --source TEST.CSV": ITEM,
            "pipelinectl items --source LOAD --count": A_HUNDRED_OR_MORE,
            "pipelinectl executions list": "SUCCEEDED",
            "pipelinectl executions show last": TIMELINE,
            LOCAL: ANYTHING,
            "output() {": ANYTHING,
            "aws sqs send-message": '"MessageId"',
            "aws dynamodb get-item": '"execution_id"',
            "ARN=": ANYTHING,
            "aws lambda get-durable-execution-history": '"ExecutionStarted"',
        },
    ),
    guide(
        "resume-after-a-failure",
        {
            "pipelinectl send": SENT,
            KILL: ANYTHING,
            "pipelinectl executions list": r"\d+ executions?",
            "pipelinectl executions show last": TIMELINE,
            "pipelinectl items --source LOAD --count": A_HUNDRED_OR_MORE,
        },
        {
            "pipelinectl executions show NAME": NONE_FAILED,
            "pipelinectl executions retry NAME": NONE_FAILED,
        },
    ),
    guide(
        "tune-batch-size",
        {
            "pipelinectl send": SENT,
            "pipelinectl executions show last": TIMELINE,
            "pipelinectl cost last": "durable operations",
        },
        {"pipelinectl local up": "the cloud of these tests has parameters of its own"},
    ),
    guide(
        "local-cloud",
        {"pipelinectl local status": "gateway"},
        {
            "pipelinectl local up": "the cloud of these tests has parameters of its own",
            "pipelinectl local logs": "never ends by itself",
            "pipelinectl local down": "the other guides need it",
        },
    ),
    guide(
        "upgrade-with-executions-in-flight",
        {
            "aws lambda get-function-configuration": r'"20"',
            "pipelinectl pause --wait": "no execution is running",
            "pipelinectl resume": "resumed messages, objects, internal, files",
            "aws lambda list-versions-by-function": r'"Version": "1"',
        },
        {
            "sam deploy": AWS_ONLY,
            "aws lambda update-alias": "there is one version; test_redeployment.py has two",
        },
    ),
    guide(
        "tenants",
        {
            "pipelinectl send": SENT,
            "aws sqs send-message": '"MessageId"',
            "pipelinectl dlq list --by-group": r"\d+ +tenant-7",
            "pipelinectl dlq list --group": "ValidationError",
            "pipelinectl dlq redrive": "would send",
            "pipelinectl reprocess": "would send",
            "pipelinectl items --by-group": r"\d+ +tenant-7",
            "pipelinectl items --group tenant-7 --count": r"^[1-9]\d*$",
        },
        before=A_TENANTS_DEAD_LETTER,
    ),
    guide(
        "keep-order",
        {
            "pipelinectl send": SENT,
            "aws sqs send-message": '"SequenceNumber"',
            "pipelinectl dlq list": "ValidationError",
            "pipelinectl dlq redrive": "would send",
        },
        {"sam deploy": AWS_ONLY},
        before=A_DEAD_LETTER_IN_ORDER,
    ),
    guide("uploads-api", {"pipelinectl download": r'"n": 1'}, before=AN_UPLOAD),
    guide(
        "deploy",
        {
            "aws sqs send-message": '"MessageId"',
            "aws dynamodb scan": ITEM,
            "pipelinectl executions show last": TIMELINE,
            "pipelinectl verify": r"\d+ promises, \d+ holds, 1 cannot be seen",
        },
        {"sam": AWS_ONLY},
    ),
    guide(
        "first-day-on-aws",
        {
            "pipelinectl doctor": "0 problems",
            "pipelinectl verify --report": r"\d+ promises, \d+ holds, 1 cannot be seen",
        },
        {
            "sed": RIGHTS,
            "aws iam": RIGHTS,
            "sam": AWS_ONLY,
            "pipelinectl verify --probe-stack": "test_verify.py has the probe",
        },
    ),
    guide(
        "add-a-processing-type",
        {},
        dict.fromkeys(("make up", "pipelinectl send", "pipelinectl items"), IN_A_COPY),
    ),
    guide(
        "doctor",
        {"pipelinectl doctor": "0 problems"},
        {"pipelinectl --stack-name prod": "there is no such stack"},
    ),
    guide(
        "cost",
        {"pipelinectl cost": "durable operations"},
        {
            'pipelinectl cost "$ARN" "$ARN2"': "test_cost.py asks for some by their ARN",
        },
    ),
    guide(
        "inject-faults",
        {f"{KILL} {part}": ANYTHING for part in ("runner", "gateway")}
        | {"pipelinectl executions show last": "operation"},
        {
            "pip install": "test_installed.py does, outside of the project",
            KILL: "there is no work; resume-after-a-failure has some",
            "make chaos": "is a suite of its own",
            "CHAOS_SEED": "is a suite of its own",
        },
    ),
]
BY_NAME = pytest.mark.parametrize("guide", EVERY, ids=lambda g: g.walkthrough.document.path.stem)


def test_every_guide_is_walked_through() -> None:
    walked = {guide.walkthrough.document.path for guide in EVERY}

    assert set(GUIDES.glob("*.md")) == walked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the guides' readers have."""
    for name in ("events", "examples"):
        (tmp_path / name).symlink_to(ROOT / name)
    header = ",".join(name for name in ORDER if name not in {"data_source", "processing_type"})
    (tmp_path / "orders.csv").write_text(f"{header}\n", "utf-8")
    (tmp_path / "large.json").write_text(standard(text="x" * 200_000), "utf-8")
    (tmp_path / "records.jsonl").write_text(f"{standard(text='x' * 160_000)}\n", "utf-8")
    return tmp_path


@pytest.fixture
def shell(stack: Stack, folder: Path) -> Iterator[Shell]:
    """A shell in ``folder``, as someone has it who has credentials and knows the outputs."""
    outputs = {name: stack.outputs[output] for name, output in OUTPUTS.items()}
    editor = {"EDITOR": 'sed -i s/"order"/"standard"/'}
    credentials = stack.cloud.settings.client_environment()
    with Shell(reader_of(stack) | editor | outputs | credentials, folder) as shell:
        yield shell


@BY_NAME
def test_each_command_is_run_or_left_out_for_a_reason(guide: Guide) -> None:
    assert guide.walkthrough.unknown() == []
    assert guide.walkthrough.stale() == set()


@BY_NAME
@pytest.mark.timeout(300)
def test_the_commands_do_what_is_said(guide: Guide, stack: Stack, shell: Shell) -> None:
    walk(guide.walkthrough, stack, shell, guide.before)


@pytest.mark.parametrize("document", [CLAIM_CHECKS, UPLOADS], ids=str)
@pytest.mark.timeout(300)
def test_the_programs_in_python_run_as_they_are(
    document: Document, shell: Shell, folder: Path
) -> None:
    (folder / "program.py").write_text("\n".join(document.blocks("python")), "utf-8")

    ran = shell.run("python program.py")

    assert ran.exit_code == 0, ran.output
    assert ran.output.strip(), "it prints an identifier"
