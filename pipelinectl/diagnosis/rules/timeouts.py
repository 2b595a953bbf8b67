"""Rules about how long things may take, one inside the other."""

from pipelinectl.diagnosis.facts import Facts, Function, Mapping, Unread
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule
from pipelinectl.diagnosis.rules import subjects
from pipelinectl.diagnosis.rules.subjects import Called

_SQS_FOR_LAMBDA = "https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html"
_DURABLE_INVOKING = "https://docs.aws.amazon.com/lambda/latest/dg/durable-invoking.html"
_LONGEST_EXECUTION = 900
_TIMES_THE_TIMEOUT = 6


@rule(
    "visibility-timeout",
    says="a queue hides a received message for longer than a durable execution may take, and for "
    "six times the timeout of a function that is not durable, each plus the batching window",
    source=_SQS_FOR_LAMBDA,
    of=subjects.mappings,
)
def visibility_timeout(mapping: Mapping, facts: Facts) -> Finding:
    """Else messages are delivered again while they are still in work."""
    queue = subjects.queue_of(facts, mapping.queue)
    function = subjects.function_of(facts, mapping.function)
    needed, why = _needed_visibility(function, mapping.window)
    found = f"{queue.visibility_timeout} s for {why}"
    if queue.visibility_timeout < needed:
        remedy = (
            f"deploy with a larger VisibilityTimeout, or aws sqs set-queue-attributes --queue-url "
            f"{queue.url} --attributes VisibilityTimeout={needed}"
        )
        return problem(queue.name, found, remedy)
    return ok(queue.name, found)


def _needed_visibility(function: Function, window: int) -> tuple[int, str]:
    waiting = f" after {window} s of batching" if window else ""
    if function.execution_timeout is not None:
        why = f"executions of {function.execution_timeout} s{waiting}"
        return function.execution_timeout + window + 1, why
    why = f"{_TIMES_THE_TIMEOUT} x {function.timeout} s{waiting}"
    return _TIMES_THE_TIMEOUT * function.timeout + window, why


@rule(
    "execution-timeout",
    says=f"a durable function behind a queue ends within {_LONGEST_EXECUTION} s, waits included, "
    "and its own timeout is no shorter than its executions: a queue invokes synchronously, which "
    "ends at the lower of the two",
    source=_DURABLE_INVOKING,
    of=lambda facts: (
        (name, function)
        for name, function in subjects.durable_functions(facts)
        if isinstance(function, Unread) or subjects.mappings_to(facts, name)
    ),
)
def execution_timeout(function: Function, _: Facts) -> Finding:
    """The event source mapping waits for the whole execution, and no longer than this."""
    found = f"{function.execution_timeout} s"
    seconds = function.execution_timeout or 0
    if seconds > _LONGEST_EXECUTION:
        remedy = f"deploy with an ExecutionTimeout of at most {_LONGEST_EXECUTION}"
        return problem(function.name, found, remedy)
    if function.timeout < seconds:
        remedy = "deploy template.yaml again, which sets both to ExecutionTimeout"
        return problem(function.name, f"{found}, {function.timeout} s when invoked", remedy)
    return ok(function.name, found)


@rule(
    "stage-timeout",
    says="what the durable function calls ends within half of the execution's time: its deadline "
    "lets calls begin until then, retries included",
    source="src/durable_pipeline/calls.py",
    of=subjects.called,
)
def stage_timeout(called: Called, _: Facts) -> Finding:
    """A call that begins late and hangs would take the whole execution, and its batch, with it."""
    half = (called.caller.execution_timeout or 0) / 2
    found = f"{called.function.timeout} s of {called.caller.execution_timeout} s"
    if called.function.timeout > half:
        name = "FilesTimeout" if called.setting == "FILES_TIMEOUT" else "StageTimeout"
        remedy = f"deploy with a {name} of at most {half:.0f}, or a longer ExecutionTimeout"
        return problem(called.function.name, found, remedy)
    return ok(called.function.name, found)


@rule(
    "deadline-settings",
    says="the durable function counts with the timeouts that are in force (EXECUTION_TIMEOUT, "
    "STAGE_TIMEOUT, FILES_TIMEOUT)",
    source="src/durable_pipeline/calls.py",
    of=subjects.durable_functions,
)
def deadline_settings(function: Function, facts: Facts) -> Finding:
    """It stops beginning work by them; by wrong ones, too late or too early."""
    wrong = [f"{name} {believed} is {real}" for name, believed, real in _wrong(function, facts)]
    if wrong:
        remedy = "deploy template.yaml again: its parameters set both"
        return problem(function.name, ", ".join(wrong), remedy)
    return ok(function.name, "as they are")


def _wrong(function: Function, facts: Facts) -> list[tuple[str, int, int]]:
    pairs = [("EXECUTION_TIMEOUT", function.execution_timeout or 0)]
    for name, called in subjects.called(facts):
        if isinstance(called, Called) and called.caller == function:
            pairs.append((called.setting, subjects.function_of(facts, name).timeout))
    believed = ((name, subjects.number(function, name), real) for name, real in pairs)
    return sorted({(n, b, real) for n, b, real in believed if b is not None and b != real})
