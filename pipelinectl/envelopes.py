"""What a message says, where it came through SNS without raw delivery: by the reader's rules."""

from __future__ import annotations

from pipelinectl import exact_json


def unwrapped(body: str) -> str:
    """The message that SNS has put into its envelope, or `body` itself if there is none."""
    # Most bodies have none, and then need not be parsed.
    if '"Notification"' not in body:
        return body
    try:
        envelope = exact_json.parse(body)
    except exact_json.NotJsonError:
        return body
    match envelope:
        case {
            "Type": "Notification",
            "TopicArn": str(),
            "MessageId": str(),
            "Message": str(message),
        }:
            return message
    return body
