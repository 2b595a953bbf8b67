"""Rules about functions and how many of them run at once."""

from collections.abc import Iterator

from pipelinectl.diagnosis.facts import Facts, Function, Read, StackFacts, Unread, known
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule, warning
from pipelinectl.diagnosis.rules import subjects

_STATES = "https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html"
_ALIASES = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-aliases.html"
_RESERVED = "https://docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html"
_SCALING = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-scaling.html"
_ACCOUNT = "https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"


@rule(
    "function-state",
    says="every function is Active and its last update went through",
    source=_STATES,
    of=subjects.functions,
)
def function_state(function: Function, _: Facts) -> Finding:
    """Inactive is a function that Lambda put to rest: the next invocation wakes it."""
    again = "mend what it says and deploy again"
    if function.state == "Failed":
        return problem(function.name, f"Failed {function.state_reason}".strip(), again)
    if function.last_update == "Failed":
        found = f"last update Failed {function.last_update_reason}".strip()
        return problem(function.name, found, again)
    if function.state == "Pending" or function.last_update == "InProgress":
        found = f"{function.state}, last update {function.last_update}"
        return warning(function.name, found, "wait until it is through, and ask again")
    return ok(function.name, function.state)


def _used_aliases(facts: Facts) -> Iterator[tuple[str, Read[tuple[Function, str]]]]:
    for name, function in subjects.durable_functions(facts):
        if isinstance(function, Unread):
            yield name, function
            continue
        used = {mapping.qualifier for mapping in subjects.mappings_to(facts, name)}
        used.add(facts.stack.alias if facts.stack else None)
        for alias in sorted(filter(None, used)):
            if alias != "$LATEST" and not alias.isdecimal():
                yield name, (function, alias)


@rule(
    "alias",
    says="the alias by which the durable function is invoked exists",
    source=_ALIASES,
    of=_used_aliases,
)
def alias(used: tuple[Function, str], _: Facts) -> Finding:
    """Without it, every invocation is refused, and messages come back until they are given up."""
    function, name = used
    if name in known(function.qualifiers):
        return ok(function.name, name)
    remedy = (
        f"aws lambda create-alias --function-name {function.name} --name {name} "
        "--function-version VERSION"
    )
    return problem(function.name, f"no alias {name}", remedy)


@rule(
    "reserved-concurrency",
    says="no function is throttled for good by a reserved concurrency of 0",
    source=_RESERVED,
    of=subjects.functions,
)
def reserved_concurrency(function: Function, _: Facts) -> Finding:
    """Zero is the emergency brake that somebody may have pulled, and forgotten."""
    reserved = known(function.reserved_concurrency)
    if reserved == 0:
        remedy = f"aws lambda delete-function-concurrency --function-name {function.name}"
        return problem(function.name, "0: it never runs", remedy)
    return ok(function.name, _reserved(reserved))


def _consumers(facts: Facts) -> Iterator[tuple[str, Read[Function]]]:
    for name, function in subjects.functions(facts):
        if subjects.mappings_to(facts, name):
            yield name, function
    for uuid, mapping in subjects.mappings(facts):
        if isinstance(mapping, Unread):
            yield uuid, mapping


@rule(
    "mapping-concurrency",
    says="a function's reserved concurrency is at least the MaximumConcurrency of its event source "
    "mappings together",
    source=_SCALING,
    of=_consumers,
)
def mapping_concurrency(function: Function, facts: Facts) -> Finding:
    """Messages that were received for an invocation that is throttled lose a delivery."""
    reserved = known(function.reserved_concurrency)
    limits = [m.maximum_concurrency for m in subjects.mappings_to(facts, function.name)]
    wanted = sum(limit for limit in limits if limit is not None)
    bounded = None not in limits
    found = f"{wanted if bounded else 'no maximum'}, {_reserved(reserved)} reserved"
    if reserved is None or (bounded and wanted <= reserved):
        return ok(function.name, found)
    remedy = (
        f"aws lambda delete-function-concurrency --function-name {function.name}, or deploy with a "
        "MaximumConcurrency that fits"
    )
    return (problem if bounded else warning)(function.name, found, remedy)


def _reserved(reserved: int | None) -> str:
    return "none" if reserved is None else str(reserved)


@rule(
    "account-concurrency",
    says="the account leaves room for the MaximumConcurrency of all event source mappings whose "
    "functions reserve nothing",
    source=_ACCOUNT,
    of=subjects.stacks,
)
def account_concurrency(stack: StackFacts, facts: Facts) -> Finding:
    """New accounts begin with 10, and what is left is shared with every other function."""
    account = known(stack.account)
    mappings = [known(mapping) for _, mapping in subjects.mappings(facts)]
    wanted = sum(
        mapping.maximum_concurrency or 0
        for mapping in mappings
        if known(subjects.function_of(facts, mapping.function).reserved_concurrency) is None
    )
    found = f"{wanted} of {account.unreserved} unreserved, {account.concurrency} in all"
    if wanted <= account.unreserved:
        return ok("", found)
    remedy = (
        "deploy with a smaller MaximumConcurrency, or ask for more 'Concurrent executions' in "
        "Service Quotas"
    )
    return problem("", found, remedy)
