"""Rules about the ways in from S3: notifications of buckets, subscriptions of topics."""

from collections.abc import Iterator

from pipelinectl.diagnosis.facts import Bucket, Facts, Read, Topic
from pipelinectl.diagnosis.findings import Finding, ok, problem, rule
from pipelinectl.diagnosis.rules import subjects

_NOTIFICATIONS = "https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventNotifications.html"
_FAN_OUT = "https://docs.aws.amazon.com/sns/latest/dg/sns-sqs-as-subscriber.html"


def _buckets_with_doors(facts: Facts) -> Iterator[tuple[str, Read[Bucket]]]:
    for name, bucket in sorted(subjects.resources(facts).buckets.items()):
        if not (isinstance(bucket, Bucket) and not bucket.expected):
            yield name, bucket


@rule(
    "bucket-notifications",
    says="each bucket announces what is put and removed below the prefixes that are doors",
    source=_NOTIFICATIONS,
    of=_buckets_with_doors,
)
def bucket_notifications(bucket: Bucket, _: Facts) -> Finding:
    """Whoever sets one notification of a bucket replaces them all."""
    missing = [door for door in bucket.expected if door not in bucket.doors]
    if missing:
        found = "nothing tells of " + ", ".join(f"{d.event} below {d.prefix}" for d in missing)
        return problem(bucket.name, found, "deploy again under another stack name, or restore them")
    return ok(bucket.name, ", ".join(f"{d.prefix} {d.event}" for d in bucket.expected))


def _topics(facts: Facts) -> Iterator[tuple[str, Read[Topic]]]:
    for arn, topic in sorted(subjects.resources(facts).topics.items()):
        if not (isinstance(topic, Topic) and not topic.expected):
            yield arn.rpartition(":")[2], topic


@rule(
    "topic-subscriptions",
    says="each topic still has the subscriptions that the stack made",
    source=_FAN_OUT,
    of=_topics,
)
def topic_subscriptions(topic: Topic, _: Facts) -> Finding:
    """What a topic has no subscription for is dropped without a trace.

    One that nobody has confirmed yet is listed without its ARN: it is not gone.
    """
    lost = topic.expected - topic.subscriptions
    found = f"{len(topic.expected) - len(lost)} of {len(topic.expected)}"
    if len(lost) > len(topic.unconfirmed):
        remedy = (
            "subscribe the queue again with 'aws sns subscribe', or delete and deploy the stack"
        )
        return problem(topic.name, f"{found}, gone: {', '.join(sorted(lost))}", remedy)
    return ok(topic.name, found)
