from datetime import UTC, datetime, timedelta

from aws_durable_execution_sdk_python_testing.model import Event, InvocationCompletedDetails

from localcloud.histories import _timed

START = datetime(2026, 1, 1, tzinfo=UTC)
COMPLETION = InvocationCompletedDetails(START, START + timedelta(seconds=2), "request")


def completed() -> Event:
    event = Event.create_invocation_completed(
        event_id=0,
        event_timestamp=COMPLETION.end_timestamp,
        start_timestamp=COMPLETION.start_timestamp,
        end_timestamp=COMPLETION.end_timestamp,
        request_id=COMPLETION.request_id,
    )
    return Event.from_event_with_id(event, 7)


def test_the_sdk_still_drops_the_times_else_the_module_is_not_needed() -> None:
    assert completed().invocation_completed_details is None


def test_an_invocation_gets_its_times_back() -> None:
    timed = _timed(completed(), {COMPLETION.end_timestamp: COMPLETION})

    assert timed.invocation_completed_details == COMPLETION
    assert timed.event_id == 7


def test_other_events_stay_as_they_are() -> None:
    event = Event(event_type="StepStarted", event_timestamp=START)

    assert _timed(event, {}) is event
