"""The committed dashboards -> what tests ask about: panels, queries, metric names, selectors."""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

GRAFANA = Path(__file__).resolve().parents[2] / "grafana"
NAMES = ("overview", "streaming", "auth", "slo", "load_test")
# A metric: a name before braces, or one that is spelled like ours, recorded, Prometheus' own or its client's.
METRIC = re.compile(
    r"(?<![\w:$])(?:([a-zA-Z_:][\w:]*)(?:\{([^}]*)\})|((?:astrbot_|process_|ALERTS|up\b)[\w:]*|[a-zA-Z_]\w*:[\w:]+)(?![\w:{(]))"
)


@dataclass(frozen=True, kw_only=True)
class Query:
    """One query of one panel, as it is in the file."""

    dashboard: str
    panel: str
    ref: str
    expr: str
    instant: bool

    def __str__(self):
        return f"{self.dashboard}: {self.panel} [{self.ref}]"


@cache
def dashboard(name):
    return json.loads((GRAFANA / "dashboards" / f"{name}.json").read_text("utf-8"))


def panels(name):
    """Without rows. Ours are not collapsed: none has panels inside."""
    return [panel for panel in dashboard(name)["panels"] if panel["type"] != "row"]


def queries():
    return [
        Query(
            dashboard=name,
            panel=panel["title"],
            ref=target["refId"],
            expr=target["expr"],
            instant=bool(target.get("instant")),
        )
        for name in NAMES
        for panel in panels(name)
        for target in panel["targets"]
    ]


def variables(name):
    return {variable["name"]: variable for variable in dashboard(name)["templating"]["list"]}


def all_expressions(name):
    """Of panels, annotations and variables, with a place for messages."""
    found = [(str(query), query.expr) for query in queries() if query.dashboard == name]
    found += [
        (f"{name}: annotation {annotation['name']}", annotation["expr"])
        for annotation in dashboard(name)["annotations"]["list"]
        if "expr" in annotation
    ]
    for variable in variables(name).values():
        if variable["type"] == "query":
            found.append((f"{name}: variable {variable['name']}", variable["query"]["query"]))
    return found


def metrics_in(expr):
    """Names of metrics in a PromQL text, or in a variable's query."""
    listed = re.findall(r'__name__=~"([^"]+)"', expr)
    bare = re.sub(r'"(?:\\.|[^"\\])*"', '""', expr)
    found = {match[1] or match[3] for match in METRIC.finditer(bare)}
    return found.union(*(names.split("|") for names in listed))


def selectors(expr):
    """(metric, matchers) of each selector; None where a metric stands without braces."""
    bare = re.sub(r'"(?:\\.|[^"\\])*"', lambda text: "x" * len(text[0]), expr)
    return [
        (match[1] or match[3], expr[match.start(2) : match.end(2)] if match[2] is not None else None)
        for match in METRIC.finditer(bare)
    ]


@cache
def recorded_names():
    groups = yaml.safe_load((GRAFANA / "rules" / "recording.yaml").read_text("utf-8"))["groups"]
    return {rule["record"] for group in groups for rule in group["rules"]}
