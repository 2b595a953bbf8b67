"""Rules about event source mappings: what leads messages from the queues to the functions."""

from pipelinectl.diagnosis.facts import Facts, Mapping
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule, warning
from pipelinectl.diagnosis.rules import subjects

_DURABLE_MAPPINGS = "https://docs.aws.amazon.com/lambda/latest/dg/durable-invoking-esm.html"
_MAPPINGS = "https://docs.aws.amazon.com/lambda/latest/api/API_CreateEventSourceMapping.html"
_BATCH_ITEM_FAILURES = (
    "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html"
)
_LARGEST_BATCH_WITHOUT_WINDOW = 10


def _update(mapping: Mapping, change: str) -> str:
    return f"aws lambda update-event-source-mapping --uuid {mapping.uuid} {change}"


@rule(
    "mapping-enabled",
    says="every queue's event source mapping is enabled",
    source=_MAPPINGS,
    of=subjects.mappings,
)
def mapping_enabled(mapping: Mapping, _: Facts) -> Finding:
    """Messages wait in their queue meanwhile, and are lost when its retention ends."""
    if mapping.state in ("Disabled", "Disabling"):
        return problem(mapping.queue, mapping.state, _update(mapping, "--enabled"))
    if mapping.state != "Enabled":
        return warning(mapping.queue, mapping.state, "wait until it is Enabled, and ask again")
    return ok(mapping.queue, mapping.state)


@rule(
    "mapping-qualified",
    says="an event source mapping invokes a durable function by an alias or a version",
    source=_DURABLE_MAPPINGS,
    of=subjects.mappings,
)
def mapping_qualified(mapping: Mapping, facts: Facts) -> Finding:
    """An execution replays with the code that it began with: that needs a version."""
    function = subjects.function_of(facts, mapping.function)
    if function.execution_timeout is None:
        return ok(mapping.queue, "not durable")
    alias = (facts.stack.alias if facts.stack else None) or "ALIAS"
    remedy = _update(mapping, f"--function-name {mapping.function}:{alias}")
    match mapping.qualifier:
        case None:
            return problem(mapping.queue, f"{mapping.function} without alias", remedy)
        case "$LATEST":
            return warning(mapping.queue, f"{mapping.function}:$LATEST, which changes", remedy)
    return ok(mapping.queue, f"{mapping.function}:{mapping.qualifier}")


@rule(
    "partial-batch-response",
    says="an event source mapping hears which records of a batch failed (ReportBatchItemFailures)",
    source=_BATCH_ITEM_FAILURES,
    of=subjects.mappings,
)
def partial_batch_response(mapping: Mapping, _: Facts) -> Finding:
    """Else it takes the function's answer for success and deletes the failed ones too."""
    if mapping.reports_item_failures:
        return ok(mapping.queue, "ReportBatchItemFailures")
    remedy = _update(mapping, "--function-response-types ReportBatchItemFailures")
    return problem(mapping.queue, "failed records are deleted as if they were stored", remedy)


@rule(
    "batch-window",
    says=f"batches of more than {_LARGEST_BATCH_WITHOUT_WINDOW} have a batching window of at least "
    "1 second (Lambda ends a batch at 6 MB by itself)",
    source=_MAPPINGS,
    of=subjects.mappings,
)
def batch_window(mapping: Mapping, _: Facts) -> Finding:
    """One receive brings at most 10 messages; Lambda collects more only within a window."""
    found = f"{mapping.batch_size} in {mapping.window} s"
    if mapping.batch_size > _LARGEST_BATCH_WITHOUT_WINDOW and mapping.window < 1:
        remedy = _update(mapping, "--maximum-batching-window-in-seconds 1")
        return problem(mapping.queue, found, remedy)
    return ok(mapping.queue, found)
