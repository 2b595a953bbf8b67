"""Pictures: what stands in them, and where."""

import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

from pipelinectl.console import drawing
from pipelinectl.console.drawing import Flow, Lane, Node, flow, lane_bar, lanes
from pipelinectl.objects import FileRange
from pipelinectl.timeline import Operation, Timeline

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOSTILE = '<script>alert(1)</script>" onload="alert(2)'


def operation(
    name: str,
    *children: Operation,
    start: float = 0,
    end: float | None = 1,
    status: str = "SUCCEEDED",
    kind: str = "ChainedInvoke",
) -> Operation:
    return Operation(
        operation_id=name,
        name=name,
        kind=kind,
        status=status,
        started_at=START + timedelta(seconds=start),
        ended_at=None if end is None else START + timedelta(seconds=end),
        starts=1,
        attempt=1,
        failure=None,
        function_name=None,
        payload_in=None,
        payload_out=None,
        children=children,
    )


def timeline(*operations: Operation, seconds: float = 10) -> Timeline:
    end = START + timedelta(seconds=seconds)
    return Timeline(
        "e", "SUCCEEDED", START, end, end, 1, 0, None, None, None, operations, Counter()
    )


def shown(found: list[Lane]) -> list[tuple[str, int, int]]:
    return [(lane.label, lane.depth, lane.attempts) for lane in found]


def bars(lane: Lane, of: Timeline) -> list[tuple[str, float, float]]:
    rects = ET.fromstring(lane_bar(lane, of)).iter("rect")
    return [(r.attrib["class"], float(r.attrib["x"]), float(r.attrib["width"])) for r in rects]


def test_attempts_and_the_waits_between_them_are_one_lane() -> None:
    first = operation("validate", start=0, end=2, status="FAILED")
    wait = operation("validate-backoff-1", start=2, end=3, kind="Wait")
    second = operation("validate attempt 2", start=3, end=5)
    after = operation("transform", start=5, end=6)

    found = list(lanes([first, wait, second, after]))

    assert shown(found) == [("validate", 0, 2), ("transform", 0, 1)]
    assert bars(found[0], timeline()) == [
        ("waited", 200.0, 100.0),
        ("failed", 0.0, 200.0),
        ("succeeded", 300.0, 200.0),
    ]


def test_halves_are_set_in_below_the_whole() -> None:
    names = ["transform", "transform 1-4", "transform 1-2", "transform 3-4", "transform 5-8"]

    assert shown(list(lanes(operation(name) for name in names))) == [
        ("transform", 0, 1),
        ("transform, records 1 to 4", 1, 1),
        ("transform, records 1 to 2", 2, 1),
        ("transform, records 3 to 4", 2, 1),
        ("transform, records 5 to 8", 1, 1),
    ]


def test_chunks_are_set_in_below_what_maps_them() -> None:
    chunk = operation("chunk-1 validate")
    mapped = operation("chunks", operation("0", chunk, kind="Context"), kind="Context")

    assert shown(list(lanes([mapped]))) == [
        ("chunks", 0, 1),
        ("0", 1, 1),
        ("chunk-1 validate", 2, 1),
    ]


def test_what_runs_reaches_to_the_end_of_what_is_known() -> None:
    running = operation("store", start=4, end=None, status="RUNNING")

    assert bars(Lane("store", 0, (running,)), timeline()) == [("running", 400.0, 600.0)]


def test_however_short_something_is_seen_and_inside() -> None:
    short = operation("clock", start=10, end=10)

    ((_, x, width),) = bars(Lane("clock", 0, (short,)), timeline())

    assert width > 0
    assert x + width <= 1000


def test_an_execution_that_took_no_time_is_drawn() -> None:
    assert bars(Lane("a", 0, (operation("a", end=0),)), timeline(seconds=0))


def test_names_stay_text() -> None:
    node = Node(HOSTILE, HOSTILE, HOSTILE, f"/x?{HOSTILE}")
    pictures = [
        *flow(Flow([node, node], node, [HOSTILE], [node])),
        lane_bar(Lane(HOSTILE, 0, (operation(HOSTILE),)), timeline()),
    ]

    for picture in pictures:
        for element in ET.fromstring(picture).iter():
            assert element.tag in ("svg", "a", "rect", "text", "title", "path")
            assert "onload" not in element.attrib


def test_the_flow_leads_to_each_page_in_both_shapes() -> None:
    inputs = [Node(f"q{n}", "1", "2", f"/q{n}") for n in range(4)]
    outputs = [Node("Items", "1", "", "/items"), Node("Dead", "1", "a\nb", "/dead", "bad")]

    for picture in flow(Flow(inputs, Node("f", "1", "2", "/f"), ["a", "b", "c"], outputs)):
        links = re.findall(r'href="([^"]+)"', picture)
        assert sorted(links) == sorted(["/q0", "/q1", "/q2", "/q3", "/f", "/items", "/dead"])
        assert "<svg" in picture
        assert 'class="node bad"' in picture


def test_no_box_reaches_out_of_its_picture() -> None:
    inputs = [Node(f"q{n}", "1", "2", "/") for n in range(4)]
    outputs = [Node("Items", "1", "", "/"), Node("Dead", "1", "", "/")]

    for picture in flow(Flow(inputs, Node("f", "1", "2", "/f"), ["a", "b", "c"], outputs)):
        root = ET.fromstring(picture)
        _, _, width, height = map(float, root.attrib["viewBox"].split())
        for rect in root.iter("rect"):
            x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + w <= width
            assert 0 <= y <= y + h <= height


def test_ranges_stand_where_they_are_in_the_file() -> None:
    picture = drawing.ranges([FileRange(0, 50, 10, 0), FileRange(150, 200, 10, 5)], 200)
    rects = [
        (r.attrib["class"], float(r.attrib["x"]), float(r.attrib["height"]))
        for r in ET.fromstring(picture).iter("rect")
    ]

    assert rects == [("rest", 0, 16), ("done", 0, 16), ("done", 750, 16), ("rejected", 750, 8)]
