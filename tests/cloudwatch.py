"""What the template's alarms, dashboard and saved queries name."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from localcloud.cloudformation_yaml import load

RESOURCES: dict[str, Any] = load(Path(__file__).parents[1] / "template.yaml")["Resources"]

OURS = "DurablePipeline"


class Metric(NamedTuple):
    """A metric, with the names and values of its dimensions."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    def __str__(self) -> str:
        return " ".join([self.namespace, self.name, *(f"{n}={v}" for n, v in sorted(self[2]))])


def of_type(kind: str) -> dict[str, Any]:
    """The properties of the template's resources of one type."""
    return {name: r["Properties"] for name, r in RESOURCES.items() if r["Type"] == kind}


def alarmed(stack: str) -> dict[str, Metric]:
    """The metric of each alarm; a dimension that refers to a resource has its logical id."""
    return {
        name: Metric(
            alarm["Namespace"],
            alarm["MetricName"],
            frozenset((d["Name"], _value(d["Value"], stack)) for d in alarm["Dimensions"]),
        )
        for name, alarm in of_type("AWS::CloudWatch::Alarm").items()
    }


def dashboard(stack: str) -> dict[str, Any]:
    """The dashboard's body; what refers to a resource is its logical id."""
    body, lists = RESOURCES["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    text: str = body.replace("${AWS::StackName}", stack).replace("${AWS::Region}", "eu-central-2")
    for name, value in lists.items():
        text = text.replace(f"${{{name}}}", _text(value, stack))
    document: dict[str, Any] = json.loads(re.sub(r"\$\{(\w+)(?:\.\w+)?\}", r"\1", text))
    return document


def _text(value: Any, stack: str) -> str:
    """What stands in the body, as in a stack that has all that a stack may have of its own."""
    if isinstance(chosen := _with_all(value), str):
        return chosen
    separator, values = chosen["Fn::Join"]
    names = [_value(each, stack) for v in values if isinstance(each := _with_all(v), Mapping)]
    return str(separator).join(names)


def _with_all(value: Any) -> Any:
    """``value`` where each condition holds; what is no name of ours then is its text, or None."""
    chosen = value["Fn::If"][1] if "Fn::If" in value else value
    if "Fn::Sub" in chosen:
        return chosen["Fn::Sub"]
    return None if "Fn::Select" in chosen else chosen


def shown(stack: str) -> set[Metric]:
    """The metrics that the dashboard shows, those of its searches without what they leave open."""
    return {
        metric
        for widget in dashboard(stack)["widgets"]
        for entry in widget["properties"].get("metrics", ())
        for metric in _metrics(entry)
    }


def _metrics(entry: list[Any]) -> Iterator[Metric]:
    texts = [part for part in entry if isinstance(part, str)]
    if texts:
        yield Metric(texts[0], texts[1], frozenset(zip(texts[2::2], texts[3::2], strict=True)))
    for part in entry:
        if isinstance(part, Mapping) and "expression" in part:
            yield from _searched(part["expression"])


# CloudWatch takes no longer one.
LONGEST_SEARCH = 1024
_TERM = r'"[^"]*"'
_SEARCH = re.compile(
    rf"""SEARCH\('\{{(?P<namespace>[\w/]+),(?P<names>[\w,]+)\}} MetricName="(?P<metric>\w+)\""""
    rf"""(?P<given>(?: \w+={_TERM})*)(?: \((?P<either>{_TERM}(?: OR {_TERM})*)\))?'"""
    r""", '(?P<statistic>\w+)', 300\)"""
)


def _searched(expression: str) -> Iterator[Metric]:
    """The metrics that a search finds: dimensions it only names have an empty value.

    Values in parentheses are of its one dimension that is not given otherwise, each in a metric.
    """
    found = _SEARCH.fullmatch(expression)
    if found is None:
        raise ValueError(f"not a search: {expression}")
    given = dict(re.findall(r'(\w+)="([^"]*)"', found["given"]))
    dimensions = dict.fromkeys(found["names"].split(","), "") | given
    if len(dimensions) > found["names"].count(",") + 1:
        raise ValueError(f"values of dimensions that are not searched: {expression}")
    if found["either"] is None:
        yield Metric(found["namespace"], found["metric"], frozenset(dimensions.items()))
        return
    (open_one,) = (name for name, value in dimensions.items() if not value)
    for value in re.findall(r'"([^"]*)"', found["either"]):
        chosen = dimensions | {open_one: value}
        yield Metric(found["namespace"], found["metric"], frozenset(chosen.items()))


def queries() -> dict[str, str]:
    """The text of each saved query, without its comments, and of the dashboard's own."""
    texts = {
        name: query["QueryString"] for name, query in of_type("AWS::Logs::QueryDefinition").items()
    }
    for widget in dashboard("stack")["widgets"]:
        if widget["type"] == "log":
            texts[widget["properties"]["title"]] = widget["properties"]["query"].split("|", 1)[1]
    return {name: re.sub(r"(?m)^#.*\n", "", text) for name, text in texts.items()}


def fields_of(query: str) -> set[str]:
    """The fields that a query reads from log lines, without those it makes and CloudWatch's own."""
    made = set(re.findall(r"\bas (\w+)", query))
    fields: set[str] = set()
    for command in (part.strip() for part in query.split("|")):
        word, _, rest = command.partition(" ")
        if word == "fields":
            fields |= {name.strip() for name in rest.split(",")}
        if word == "filter":
            fields.add(rest.split()[0])
        if word == "sort":
            fields.add(rest.split()[0])
        if word == "stats":
            fields |= {name.strip() for name in rest.rsplit(" by ", 1)[1].split(",")}
    return {name for name in fields - made if not name.startswith("@")}


def messages_of(query: str) -> set[str]:
    """The log lines, by their message, that a query asks for."""
    found = re.search(r"filter message (?:=|in) (.*)", query)
    return set(re.findall(r"[\"']([^\"']+)[\"']", found.group(1).split("|")[0])) if found else set()


def _value(value: Any, stack: str) -> str:
    if isinstance(value, str):
        return value
    name = str(value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0])
    return stack if name == "AWS::StackName" else name
