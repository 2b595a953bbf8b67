"""Rules about the stack as a whole."""

from pipelinectl.diagnosis.facts import Facts, StackFacts, UnreadError, known
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule, warning
from pipelinectl.diagnosis.rules import subjects
from pipelinectl.stack import OUTPUTS

_STATUSES = "https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/view-stack-events.html"
_DEPLOY = "deploy template.yaml again ('pipelinectl local up' or 'sam deploy')"


@rule(
    "stack-found",
    says="the stack exists where the AWS environment leads to",
    source="pipelinectl/stack.py",
    of=lambda facts: [("", facts)],
)
def stack_found(facts: Facts, _facts: Facts) -> Finding:
    """The absence's own line has the remedy: it depends on what is missing."""
    if facts.stack is None:
        what, _, how = facts.absence.partition(": ")
        return problem("", what, how or "check the AWS environment variables and --stack-name")
    place = "a local cloud" if facts.stack.local else "AWS"
    return ok(facts.stack.name, f"on {place}")


@rule(
    "stack-status",
    says="the last deployment went through",
    source=_STATUSES,
    of=subjects.stacks,
)
def stack_status(stack: StackFacts, _: Facts) -> Finding:
    """A rollback leaves what was there before; of a failed first deployment, nothing."""
    found = f"{stack.status} {stack.status_reason}".strip()
    events = f"aws cloudformation describe-stack-events --stack-name {stack.name}"
    if stack.status.endswith("_IN_PROGRESS"):
        return warning(stack.name, found, "wait until it is through, and ask again")
    if stack.status == "UPDATE_ROLLBACK_COMPLETE":
        remedy = f"the version before runs: see why with '{events}', then deploy again"
        return warning(stack.name, found, remedy)
    if stack.status.endswith("FAILED") or "ROLLBACK" in stack.status:
        remedy = f"see why with '{events}', then mend or delete the stack and deploy again"
        return problem(stack.name, found, remedy)
    return ok(stack.name, found)


@rule(
    "stack-outputs",
    says="the stack has every output that pipelinectl looks for",
    source="pipelinectl/stack.py",
    of=subjects.stacks,
)
def stack_outputs(stack: StackFacts, _: Facts) -> Finding:
    """An older template has fewer of them."""
    if stack.missing_outputs:
        missing = f"no {', '.join(stack.missing_outputs)}"
        return problem(stack.name, missing, f"the stack is older than this tool: {_DEPLOY}")
    return ok(stack.name, f"all {len(OUTPUTS)}")


@rule(
    "resources",
    says="what the stack made still exists",
    source="https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/using-cfn-stack-drift.html",
    of=subjects.stacks,
)
def resources(stack: StackFacts, _: Facts) -> Finding:
    """CloudFormation does not notice what was deleted by hand."""
    found = known(stack.resources)
    if found.gone:
        remedy = (
            "it was deleted behind the stack's back: delete the stack and deploy it anew, or "
            "make it again under its name"
        )
        return problem(stack.name, f"gone: {', '.join(found.gone)}", remedy)
    for unread in found.unread:
        raise UnreadError(unread.why)
    return ok(stack.name, f"all {found.count} queues, functions, mappings, topics and buckets")
