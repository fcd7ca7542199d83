"""What the five dashboards share around their panels: variables, links to each other, annotations."""

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.common import DataSourceRef

DATA_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
ALL = model.VariableOption(selected=True, text="All", value="$__all")
# uid -> title. The order is that of the links.
DASHBOARDS = {
    "astrometer-overview": "Overview",
    "astrometer-streaming": "Streaming",
    "astrometer-auth": "Auth and scopes",
    "astrometer-slo": "SLO and cost",
    "astrometer-load": "Load test",
}
LOAD = "astrometer-load"
SWITCHES = {"Load test", "New version", "Pages"}
EXPORTERS = "astrbot_probe_exporter_build_info"
GENERATORS_TOO = '{__name__=~"astrbot_load_build_info|astrbot_probe_exporter_build_info"}'


def data_source() -> build.DatasourceVariable:
    return build.DatasourceVariable("datasource").label("Data source").type("prometheus")


def of_scrape(series: str) -> list[build.QueryVariable]:
    """`job` and `instance` of what has `series`."""
    of_job = series.replace("{", '{job=~"$job",') if "{" in series else f'{series}{{job=~"$job"}}'
    return [
        several("job", "Job", f"label_values({series}, job)"),
        several("instance", "Instance", f"label_values({of_job}, instance)"),
    ]


def of_probes() -> list[build.QueryVariable]:
    """`target` and `probe`."""
    here = 'job=~"$job",instance=~"$instance"'
    runs = "astrbot_probe_runs_total"
    return [
        several("target", "Target", f"label_values({runs}{{{here}}}, target)"),
        several("probe", "Probe", f'label_values({runs}{{{here},target=~"$target"}}, probe)'),
    ]


def several(name: str, label: str, query: str) -> build.QueryVariable:
    """A choice of several values out of the data, all of them at first."""
    return (
        build.QueryVariable(name)
        .label(label)
        .datasource(DATA_SOURCE)
        .query({"query": query, "refId": f"{name}-values", "qryType": 1})
        .definition(query)
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".+")
        .current(ALL)
    )


def window(choices: str = "30m,1h,6h,1d", chosen: str = "6h") -> build.CustomVariable:
    """Over how long quantiles are taken: a graph's own steps hold too few samples."""
    return (
        build.CustomVariable("window")
        .label("Quantiles over")
        .values(choices)
        .current(model.VariableOption(selected=True, text=chosen, value=chosen))
    )


def links(here: str) -> list[build.DashboardLink]:
    """To the other four. A job of the exporter is none of the load generator's: they share the time only."""
    return [
        build.DashboardLink(title)
        .type(model.DashboardLinkType.LINK)
        .url(f"/d/{uid}")
        .icon("dashboard")
        .tooltip(f"Open {title}")
        .keep_time(True)
        .include_vars(LOAD not in (uid, here))
        for uid, title in DASHBOARDS.items()
        if uid != here
    ]


def annotations() -> list[build.AnnotationQuery]:
    """When load tests ran, whoever ran them, what changed, and what was alerted: on every dashboard."""
    told = "* on (job, instance, run) group_left (scenario, target) astrbot_load_run_info"
    start, stop = "astrbot_load_run_start_timestamp_seconds", "astrbot_load_run_stop_timestamp_seconds"
    return [
        # From the first scrape to the last one: a generator that exits at once takes its end with it.
        _annotation("Load test", "semi-dark-blue")
        .expr(f"astrbot_load_run_info unless on (job, instance, run) {stop}")
        .title_format("Load test")
        .text_format("{{scenario}} on {{target}}"),
        _annotation("Load test starts", "blue")
        .expr(f"{start} {told} * 1000")
        .use_value_for_time(True)
        .title_format("Load test starts")
        .text_format("{{scenario}} on {{target}}"),
        _annotation("Load test ends", "purple")
        .expr(f"{stop} {told} * 1000")
        .use_value_for_time(True)
        .title_format("Load test ends")
        .text_format("{{scenario}} on {{target}}"),
        _annotation("Restart", "orange")
        .expr("1000 * astrbot_probe_target_start_timestamp_seconds")
        .use_value_for_time(True)
        .title_format("AstrBot started")
        .text_format("{{target}}"),
        # For five minutes after the first sample that says so.
        _annotation("New version", "green")
        .expr(_appears("astrbot_probe_target_info", "target", "version"))
        .title_format("AstrBot {{version}}")
        .text_format("{{target}} has another version"),
        _annotation("Keys", "yellow")
        .expr(_appears("astrbot_probe_scope_checks_total", "target", "key"))
        .title_format("Key {{key}}")
        .text_format("{{target}}: this key is checked from now on"),
        _annotation("Config read", "super-light-blue")
        .expr("1000 * astrbot_probe_exporter_config_last_reload_success_timestamp_seconds")
        .use_value_for_time(True)
        .title_format("Exporter: config read")
        .text_format("{{instance}}: a start or a reload; targets, keys and probes are those of now"),
        # A line where it began. As regions, the alerts of an incident would hide the graphs that explain it.
        _annotation("Pages", "red")
        .expr(f"1000 * min by (alertname, target) ({pending_since('page')})")
        .use_value_for_time(True)
        .title_format("{{alertname}}")
        .text_format("{{target}}"),
    ]


def _appears(series: str, target: str, what: str) -> str:
    """What a target has that it had not five minutes before; a target that is new has no past to differ."""
    past = f"{series} offset 5m"
    new = f"count by ({target}, {what}) ({series}) unless on ({target}, {what}) ({past})"
    return f"{new} and on ({target}) ({past})"


def firing(severity: str, alerts: str = "AstrBot.+") -> str:
    """Alerts of the chosen jobs and targets, and those that are about none: they have no such label."""
    return f'ALERTS{{alertstate="firing",{_alerts(severity, alerts)}}}'


def pending_since(severity: str) -> str:
    """When the conditions of the alerts that fire began to hold."""
    return f"ALERTS_FOR_STATE{{{_alerts(severity)}}} and ignoring (alertstate) {firing(severity)}"


def _alerts(severity: str, alerts: str = "AstrBot.+") -> str:
    return f'alertname=~"{alerts}",severity=~"{severity}",job=~"$job|",target=~"$target|"'


def _annotation(name: str, color: str) -> build.AnnotationQuery:
    """Only those of `SWITCHES` have a switch at the top: seven would push the page down."""
    query = build.AnnotationQuery().name(name).datasource(DATA_SOURCE).enable(True)
    return query.hide(name not in SWITCHES).icon_color(color)
