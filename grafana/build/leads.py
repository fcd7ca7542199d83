"""Where a click on a value leads: a target's own view, its failed runs, the line in the docs, the runbook.

Two hidden variables say where these are: `docs`, and `exporter`, as a browser reaches it. An address with
`var-exporter=http://...` sets them.
"""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model
from looks import prop
from queries import THRESHOLDS

EXPORTER = "http://localhost:16185"  # as grafana/compose.yaml publishes it
DOCS = THRESHOLDS.runbooks.url.rsplit("/", 1)[0]
KEPT = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}"


def places() -> list[build.TextBoxVariable]:
    """The variables that links need."""
    return [
        _text("exporter", "Exporter", EXPORTER),
        _text("docs", "Docs", DOCS),
    ]


def to_target(target: str = "${__field.labels.target}") -> model.DynamicConfigValue:
    """This dashboard of the target alone, and the failed runs that the exporter remembers."""
    return _links(
        ("This target alone", f"/d/${{__dashboard.uid}}?{KEPT}&var-target={target}", False),
        ("Its failed runs", f"${{exporter}}/history?target={target}&failed=true", True),
    )


def to_outcome(reason: str = "${__field.labels.reason}") -> model.DynamicConfigValue:
    """Its line in the docs: a text fragment, since rows of a table have no anchor."""
    return _links(
        ("What this means", f"${{docs}}/reference/outcomes.md#:~:text={reason}", True),
        ("Failed runs", "${exporter}/history?failed=true", True),
    )


def to_runbook() -> model.DynamicConfigValue:
    """The section of an alert, whose name is shown in small letters."""
    return _links(("Runbook", "${docs}/runbooks.md#${__value.text}", True))


def _text(name: str, label: str, value: str) -> build.TextBoxVariable:
    chosen = model.VariableOption(selected=True, text=value, value=value)
    box = build.TextBoxVariable(name).label(label).default_value(value).current(chosen)
    return box.hide(model.VariableHide.HIDE_VARIABLE)


def _links(*links: tuple[str, str, bool]) -> model.DynamicConfigValue:
    """Title, address, and whether it opens beside."""
    return prop("links", [{"title": title, "url": url, "targetBlank": blank} for title, url, blank in links])
