"""Pictures as SVG, made here: colours come from the stylesheet, by class."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from markupsafe import Markup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pipelinectl.objects import FileRange
    from pipelinectl.timeline import Operation, Timeline


@dataclass(frozen=True)
class Node:
    """A place in the picture of the flow; `tone` is good, busy, bad or nothing."""

    name: str
    value: str
    note: str
    href: str
    tone: str = ""


@dataclass(frozen=True)
class Flow:
    """The places of the flow: what comes in, what works, what comes of it."""

    inputs: Sequence[Node]
    work: Node
    stages: Sequence[str]
    outputs: Sequence[Node]


@dataclass(frozen=True)
class _Box:
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.x + self.width / 2

    @property
    def centre(self) -> float:
        return self.y + self.height / 2


def flow(picture: Flow) -> tuple[Markup, Markup]:
    """The flow from left to right for a wide page, and from top to bottom for a narrow one."""
    return _wide(picture), _tall(picture)


_WIDE = (1000, 386)
_TALL = (360, 586)


def _wide(picture: Flow) -> Markup:
    svg = _svg(*_WIDE, "flow wide", "The flow from the queues to items and dead letters")
    inputs = list(_column(picture.inputs, 1, 250, 84, 16))
    work = _Box(360, 102, 280, 180)
    outputs = list(_column(picture.outputs, 749, 250, 106, 60, top=57))
    for box in inputs:
        _arrow(svg, (box.x + box.width, box.centre), (work.x, _clamped(box.centre, work)))
    for box in outputs:
        _arrow(svg, (work.x + work.width, _clamped(box.centre, work)), (box.x, box.centre))
    _nodes(svg, picture, inputs, work, outputs)
    return _markup(svg)


def _tall(picture: Flow) -> Markup:
    svg = _svg(*_TALL, "flow tall", "The flow from the queues to items and dead letters")
    inputs = [
        _Box(1 + 182 * (index % 2), 1 + 96 * (index // 2), 176, 86)
        for index in range(len(picture.inputs))
    ]
    work = _Box(30, 232, 300, 172)
    outputs = [_Box(1 + 182 * index, 470, 176, 112) for index in range(len(picture.outputs))]
    for box in inputs[-2:]:
        _arrow(svg, (box.middle, 1 + 96 + 86), (box.middle, work.y), down=True)
    for box in outputs:
        _arrow(svg, (box.middle, work.y + work.height), (box.middle, box.y), down=True)
    _nodes(svg, picture, inputs, work, outputs)
    return _markup(svg)


def _column(
    nodes: Sequence[Node], x: float, width: float, height: float, gap: float, top: float = 1
) -> Iterator[_Box]:
    return (_Box(x, top + index * (height + gap), width, height) for index in range(len(nodes)))


def _clamped(y: float, box: _Box) -> float:
    return min(max(y, box.y + 24), box.y + box.height - 24)


def _nodes(
    svg: ET.Element, picture: Flow, inputs: list[_Box], work: _Box, outputs: list[_Box]
) -> None:
    for node, box in zip([*picture.inputs, *picture.outputs], [*inputs, *outputs], strict=True):
        _node(svg, node, box)
    link = _node(svg, picture.work, work)
    width = (work.width - 32 - 8 * (len(picture.stages) - 1)) / len(picture.stages)
    for index, stage in enumerate(picture.stages):
        pill = _Box(work.x + 16 + index * (width + 8), work.y + work.height - 50, width, 32)
        _rect(link, pill, "stage", radius=16)
        _text(link, pill.middle, pill.centre + 5, stage, "stage-name")


def _node(svg: ET.Element, node: Node, box: _Box) -> ET.Element:
    link = ET.SubElement(svg, "a", {"href": node.href, "class": f"node {node.tone}".strip()})
    link.set("id", f"flow-{svg.get('class', '').split()[-1]}-{_slug(node.name)}")
    _rect(link, box, "box", radius=8)
    _text(link, box.x + 16, box.y + 25, node.name, "name")
    _text(link, box.x + 16, box.y + 25 + 24, node.value, "value")
    for index, line in enumerate(node.note.split("\n") if node.note else []):
        _text(link, box.x + 16, box.y + 25 + 24 + 20 * (index + 1), line, "note")
    return link


def _slug(name: str) -> str:
    return re.sub(r"[^a-z]+", "-", name.lower()).strip("-")


def _rect(parent: ET.Element, box: _Box, kind: str, *, radius: float) -> None:
    ET.SubElement(
        parent,
        "rect",
        {
            "x": _n(box.x),
            "y": _n(box.y),
            "width": _n(box.width),
            "height": _n(box.height),
            "rx": _n(radius),
            "class": kind,
        },
    )


def _text(parent: ET.Element, x: float, y: float, content: str, kind: str) -> None:
    ET.SubElement(parent, "text", {"x": _n(x), "y": _n(y), "class": kind}).text = content


def _arrow(
    svg: ET.Element, start: tuple[float, float], end: tuple[float, float], *, down: bool = False
) -> None:
    (x1, y1), (x2, y2) = start, end
    if down:
        curve = f"M{_n(x1)},{_n(y1)} L{_n(x2)},{_n(y2 - 2)}"
        head = f"M{_n(x2 - 5)},{_n(y2 - 8)} L{_n(x2)},{_n(y2 - 2)} L{_n(x2 + 5)},{_n(y2 - 8)}"
    else:
        middle = (x1 + x2) / 2
        curve = (
            f"M{_n(x1)},{_n(y1)} C{_n(middle)},{_n(y1)} {_n(middle)},{_n(y2)} {_n(x2 - 2)},{_n(y2)}"
        )
        head = f"M{_n(x2 - 8)},{_n(y2 - 5)} L{_n(x2 - 2)},{_n(y2)} L{_n(x2 - 8)},{_n(y2 + 5)}"
    ET.SubElement(svg, "path", {"d": curve, "class": "arrow"})
    ET.SubElement(svg, "path", {"d": head, "class": "arrow"})


@dataclass(frozen=True)
class Lane:
    """What a timeline shows in one line: an operation with all of its attempts.

    `depth` is how far it is set in; `waits` are the pauses between its attempts.
    """

    label: str
    depth: int
    operations: tuple[Operation, ...]
    waits: tuple[Operation, ...] = ()

    @property
    def last(self) -> Operation:
        """The attempt that decided."""
        return self.operations[-1]

    @property
    def attempts(self) -> int:
        """How many tries it took."""
        return max(max(one.attempts for one in self.operations), len(self.operations))


_ATTEMPT = re.compile(r"(?P<name>.+) attempt \d+")
_BACKOFF = re.compile(r"(?P<name>.+)-backoff-\d+")
_PART = re.compile(r"(?P<name>.+) (?P<first>\d+)-(?P<last>\d+)")
_CHUNK = re.compile(r"(?P<chunk>chunk-\d+) (?P<name>.+)")


def lanes(operations: Iterable[Operation], depth: int = 0) -> Iterator[Lane]:
    """A lane for each operation with its attempts; chunks and halves are set in below theirs."""
    grouped: dict[str, list[Operation]] = {}
    waits: dict[str, list[Operation]] = {}
    for operation in operations:
        if found := _BACKOFF.fullmatch(operation.name):
            waits.setdefault(found["name"], []).append(operation)
        else:
            again = _ATTEMPT.fullmatch(operation.name)
            grouped.setdefault(again["name"] if again else operation.name, []).append(operation)
    seen: list[str] = []
    for name, attempts in grouped.items():
        pauses = tuple(waits.pop(name, ()))
        label, inner = _label(name, seen)
        seen.append(name)
        yield Lane(label, depth + inner, tuple(attempts), pauses)
        for attempt in attempts:
            yield from lanes(attempt.children, depth + inner + 1)
    for name, alone in waits.items():
        yield Lane(name, depth, tuple(alone))


def _label(name: str, before: Sequence[str]) -> tuple[str, int]:
    """What a lane is called, and how far it is set in: a half of records below the whole."""
    part = _PART.fullmatch(name)
    if part is None:
        return name, 0
    enclosing = sum(_encloses(other, part) for other in before)
    return f"{part['name']}, records {part['first']} to {part['last']}", enclosing


def _encloses(other: str, part: re.Match[str]) -> bool:
    if other == part["name"]:
        return True
    outer = _PART.fullmatch(other)
    return (
        outer is not None
        and outer["name"] == part["name"]
        and int(outer["first"]) <= int(part["first"])
        and int(outer["last"]) >= int(part["last"])
    )


_SCALE = 1000
_BAR_HEIGHT = 16
_SHORTEST = 3


def lane_bar(lane: Lane, timeline: Timeline) -> Markup:
    """When the attempts of a lane ran, beside the whole execution; it stretches to its cell."""
    svg = _svg(_SCALE, _BAR_HEIGHT, "bar", lane.label)
    svg.set("preserveAspectRatio", "none")
    for operation in lane.waits:
        _segment(svg, operation, timeline, "waited", inset=6)
    for operation in lane.operations:
        _segment(svg, operation, timeline, operation.status.lower().replace("_", "-"), inset=2)
    return _markup(svg)


def _segment(
    svg: ET.Element, operation: Operation, timeline: Timeline, tone: str, *, inset: int
) -> None:
    total = timeline.seconds or 1
    end = operation.ended_at or timeline.ended_at or timeline.last_event_at
    x = timeline.offset(operation.started_at) / total * _SCALE
    width = max(timeline.offset(end) / total * _SCALE - x, _SHORTEST)
    box = _Box(min(x, _SCALE - _SHORTEST), inset, width, _BAR_HEIGHT - 2 * inset)
    _rect(svg, box, tone, radius=0)
    ET.SubElement(svg[-1], "title").text = f"{operation.name}: {operation.status}"


def ranges(found: Sequence[FileRange], size: int) -> Markup:
    """Which parts of a file are done, by their place in it, and the share of rows rejected."""
    done = sum(one.end - one.start for one in found)
    svg = _svg(_SCALE, _BAR_HEIGHT, "bar ranges", f"{done:,} of {size:,} bytes are done")
    svg.set("preserveAspectRatio", "none")
    _rect(svg, _Box(0, 0, _SCALE, _BAR_HEIGHT), "rest", radius=0)
    for one in found:
        x = one.start / size * _SCALE
        width = max((one.end - one.start) / size * _SCALE - 1, 1)
        _rect(svg, _Box(x, 0, width, _BAR_HEIGHT), "done", radius=0)
        if one.rejects:
            height = max(one.rejects / max(one.rows, 1) * _BAR_HEIGHT, 2)
            _rect(svg, _Box(x, _BAR_HEIGHT - height, width, height), "rejected", radius=0)
    return _markup(svg)


def _svg(width: float, height: float, kind: str, title: str) -> ET.Element:
    return ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {_n(width)} {_n(height)}",
            "class": kind,
            "role": "img",
            "aria-label": title,
        },
    )


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


def _markup(svg: ET.Element) -> Markup:
    # ElementTree has escaped what stands in it.
    return Markup(ET.tostring(svg, encoding="unicode"))  # noqa: S704 - ElementTree escapes
