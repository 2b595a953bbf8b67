"""Rules about alarms, and about who hears of them."""

from collections.abc import Iterator

from pipelinectl.diagnosis.facts import Alarm, Facts, Read, Topic, known
from pipelinectl.diagnosis.findings import Finding, ok, rule, warning
from pipelinectl.diagnosis.rules import subjects

_ALARMS = "https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html"
_CONFIRM = "https://docs.aws.amazon.com/sns/latest/dg/SendMessageToHttp.confirm.html"


def _alarms(facts: Facts) -> Iterator[tuple[str, Alarm]]:
    for _, stack in subjects.stacks(facts):
        yield from ((alarm.name, alarm) for alarm in known(stack.alarms))


def _operators(facts: Facts) -> Iterator[tuple[str, Read[Topic]]]:
    for _, stack in subjects.stacks(facts):
        for arn, topic in subjects.resources(facts).topics.items():
            if arn == stack.operators:
                yield arn.rpartition(":")[2], topic


@rule("alarms", says="no alarm is in ALARM", source=_ALARMS, of=_alarms)
def alarms(alarm: Alarm, _: Facts) -> Finding:
    """Its description says what it is about."""
    if alarm.state != "ALARM":
        return ok(alarm.name, alarm.state)
    remedy = f"see what it is about: aws cloudwatch describe-alarms --alarm-names {alarm.name}"
    return warning(alarm.name, f"ALARM {alarm.reason}".strip(), remedy)


@rule("alarm-actions", says="every alarm tells somebody", source=_ALARMS, of=_alarms)
def alarm_actions(alarm: Alarm, _: Facts) -> Finding:
    """One without actions changes its colour on a page that nobody looks at."""
    if alarm.actions:
        return ok(alarm.name, "tells " + ", ".join(a.rpartition(":")[2] for a in alarm.actions))
    remedy = f"deploy again, or aws cloudwatch enable-alarm-actions --alarm-names {alarm.name}"
    return warning(alarm.name, "tells nobody", remedy)


@rule(
    "operators",
    says="somebody has subscribed to the operators' topic, and confirmed it",
    source=_CONFIRM,
    of=_operators,
)
def operators(topic: Topic, facts: Facts) -> Finding:
    """On a local cloud nobody need be told: it sends no mail, and its alarms keep still."""
    if topic.unconfirmed:
        remedy = "open the mail that SNS sent there, and confirm"
        return warning(topic.name, f"unconfirmed: {', '.join(topic.unconfirmed)}", remedy)
    if topic.subscriptions:
        return ok(topic.name, f"{len(topic.subscriptions)} subscribed")
    if facts.stack and facts.stack.local:
        return ok(topic.name, "nobody, which is no fault on a local cloud")
    remedy = "deploy with OperatorsEmail, OperatorsPhone or AlarmTopicArn"
    return warning(topic.name, "nobody hears of alarms and failed objects", remedy)
