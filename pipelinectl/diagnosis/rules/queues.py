"""Rules about queues and their dead letters."""

from pipelinectl.diagnosis.facts import Facts, Queue
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule, warning
from pipelinectl.diagnosis.rules import subjects

_SQS_FOR_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
_DEAD_LETTERS = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
    "sqs-dead-letter-queues.html"
)
_RETENTION = (
    "https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/"
    "setting-up-dead-letter-queue-retention.html"
)
_DAY = 86400
_LONGEST_RETENTION = 14 * _DAY
_FEWEST_DELIVERIES = 2
_ADVISED_DELIVERIES = 5


@rule(
    "redrive-policy",
    says="a queue that a function reads has a dead-letter queue, and that exists",
    source=_DEAD_LETTERS,
    of=subjects.consumed_queues,
)
def redrive_policy(queue: Queue, facts: Facts) -> Finding:
    """Without one, a message that always fails comes back until its retention ends, and is lost."""
    if queue.redrive is None:
        remedy = "deploy template.yaml again, or give the queue a RedrivePolicy"
        return problem(queue.name, "no redrive policy", remedy)
    target = queue.redrive.dead_letter_queue
    if target not in subjects.resources(facts).queues:
        remedy = "make the dead-letter queue again, or name one that exists in the RedrivePolicy"
        return problem(queue.name, f"gives up to {target}, which the stack does not have", remedy)
    return ok(queue.name, f"to {target}")


@rule(
    "max-receive-count",
    says=f"a message gets at least {_ADVISED_DELIVERIES} deliveries before it is a dead letter, "
    "and the durable function knows how many",
    source=_SQS_FOR_LAMBDA,
    of=lambda facts: (
        (name, queue)
        for name, queue in subjects.consumed_queues(facts)
        if not (isinstance(queue, Queue) and queue.redrive is None)
    ),
)
def max_receive_count(queue: Queue, facts: Facts) -> Finding:
    """The function gives the reason at the last delivery; SQS, when it is first, gives none."""
    count = queue.redrive.max_receive_count if queue.redrive else 0
    remedy = "deploy with a larger MaxReceiveCount"
    if count < _FEWEST_DELIVERIES:
        return problem(queue.name, f"{count}: one hiccup and a message is a dead letter", remedy)
    for believed in _believed_counts(queue, facts):
        if believed != count:
            found = f"{count}, but the durable function counts to {believed}"
            redeploy = "change it by deploying with MaxReceiveCount, which sets both"
            judge = problem if count < believed else warning
            return judge(queue.name, found, redeploy)
    if count < _ADVISED_DELIVERIES:
        return warning(queue.name, f"{count}: throttling alone may use them up", remedy)
    return ok(queue.name, str(count))


def _believed_counts(queue: Queue, facts: Facts) -> list[int]:
    readers = (
        subjects.function_of(facts, mapping.function)
        for mapping in subjects.mappings_of(facts, queue.name)
    )
    counts = (subjects.number(reader, "MAX_RECEIVE_COUNT") for reader in readers)
    return [count for count in counts if count is not None]


@rule(
    "dead-letter-retention",
    says="a dead-letter queue keeps messages longer than the queue before it, or for the longest "
    "time there is (14 days): a message's age counts from when it was first sent",
    source=_RETENTION,
    of=lambda facts: (
        (name, queue)
        for name, queue in subjects.consumed_queues(facts)
        if not (isinstance(queue, Queue) and queue.redrive is None)
    ),
)
def dead_letter_retention(queue: Queue, facts: Facts) -> Finding:
    """What was given up late in a queue's retention is deleted soon after, or at once."""
    target = subjects.queue_of(facts, queue.redrive.dead_letter_queue if queue.redrive else "")
    found = f"{_days(target.retention)} after {_days(queue.retention)}"
    remedy = (
        f"aws sqs set-queue-attributes --queue-url {target.url} "
        f"--attributes MessageRetentionPeriod={_LONGEST_RETENTION}"
    )
    if target.retention < queue.retention:
        return problem(queue.name, found, remedy)
    if target.retention == queue.retention != _LONGEST_RETENTION:
        return warning(queue.name, found, remedy)
    return ok(queue.name, found)


@rule(
    "dead-letters",
    says="no dead letters wait",
    source="docs/guides/redrive-dead-letters.md",
    of=subjects.dead_letter_queues,
)
def dead_letters(queue: Queue, facts: Facts) -> Finding:
    """The pipeline's own have reasons; the others are events of objects."""
    if queue.messages == 0:
        return ok(queue.name, "0")
    if facts.stack and queue.url == facts.stack.dead_letter_queue_url:
        remedy = "see why with 'pipelinectl dlq list', mend, then 'pipelinectl dlq redrive'"
    else:
        remedy = f"aws sqs receive-message --queue-url {queue.url} --max-number-of-messages 10"
    return warning(queue.name, str(queue.messages), remedy)


@rule(
    "queue-senders",
    says="the queue of S3's events refuses all other senders; those in which the pipeline is "
    "believed refuse all but its operators, if these are named (OperatorRoleArns)",
    source="docs/decisions/0011-trust-by-door.md",
    of=subjects.closed_queues,
)
def queue_senders(queue: Queue, _: Facts) -> Finding:
    """Who may send there can write another's item anew, or bury an object."""
    if queue.refuses_strangers:
        return ok(queue.name, "refuses strangers")
    found = "takes messages of whomever IAM allows it, and believes them"
    return problem(
        queue.name, found, "deploy template.yaml again under another name, or restore it"
    )


def _days(seconds: int) -> str:
    return f"{seconds / _DAY:g} d"
