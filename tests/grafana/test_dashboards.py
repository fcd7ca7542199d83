"""The committed dashboards, read as files: the dashboard linter's rules and ours."""

import itertools
import re
import subprocess
import sys

import pytest
from dashboard_files import (
    GRAFANA,
    NAMES,
    all_expressions,
    dashboard,
    metrics_in,
    panels,
    queries,
    recorded_names,
    selectors,
    variables,
)
from prometheus_client import CollectorRegistry

from astrometer.probing.exporter.metrics import ProbeMetrics, SelfMetrics

ROOT = GRAFANA.parent
OF_PROMETHEUS = {"up", "ALERTS", "ALERTS_FOR_STATE"}
OF_ITS_CLIENT = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
HAVE_UNITS = {"timeseries", "stat", "bargauge", "table", "state-timeline", "heatmap"}
each_dashboard = pytest.mark.parametrize("name", NAMES)


@pytest.mark.process
def test_the_json_is_what_the_python_builds():
    command = [sys.executable, GRAFANA / "build" / "dashboards.py", "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.stem for path in (GRAFANA / "dashboards").glob("*.json")} == set(NAMES)


@pytest.mark.process
def test_a_dashboard_that_differs_is_named(tmp_path):
    build = [sys.executable, GRAFANA / "build" / "dashboards.py", "--out", tmp_path]
    subprocess.run(build, check=True, capture_output=True, timeout=60)
    (tmp_path / "slo.json").write_text("{}")
    done = subprocess.run([*build, "--check"], check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"{tmp_path / 'slo.json'} is out of date: run python grafana/build/dashboards.py"
    ]


def test_each_dashboard_has_an_address_of_its_own():
    assert len({dashboard(name)["uid"] for name in NAMES}) == len(NAMES)
    assert len({dashboard(name)["title"] for name in NAMES}) == len(NAMES)


@each_dashboard
def test_it_is_a_classic_file_that_nobody_edits_in_the_browser(name):
    fields = dashboard(name)
    assert re.fullmatch(r"astrometer-[a-z]+", fields["uid"])
    assert fields["editable"] is False
    assert fields["schemaVersion"] == 39  # Grafana 10.4; later ones migrate it
    assert "astrometer" in fields["tags"]
    assert fields["description"]
    assert fields["refresh"]
    assert not {"__inputs", "__requires", "id", "iteration"} & {key for key, value in fields.items() if value}


@each_dashboard
def test_its_variables_follow_the_linter(name):
    found = variables(name)
    source = found["datasource"]
    assert (source["type"], source["label"], source["query"]) == ("datasource", "Data source", "prometheus")
    assert {"job", "instance", "target", "probe"} <= set(found)
    for chosen in ("job", "instance", "target", "probe", *({"scenario"} & set(found))):
        variable = found[chosen]
        assert variable["type"] == "query"
        assert variable["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert (variable["multi"], variable["includeAll"], variable["allValue"]) == (True, True, ".+"), chosen
        assert variable["refresh"] == 2, chosen
        assert variable["label"]
        assert variable["current"]["value"] == "$__all"


@each_dashboard
def test_every_panel_says_what_it_shows_in_which_unit(name):
    titles = set()
    for panel in panels(name):
        title = panel["title"]
        assert title not in titles, f"two panels are called {title}"
        titles.add(title)
        assert len(panel["description"]) > 30, title
        assert panel["description"].endswith("."), title
        assert panel["type"] in HAVE_UNITS, title
        assert panel["fieldConfig"]["defaults"]["unit"], title
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, title
        assert panel["targets"], title


@each_dashboard
def test_legends_are_shown_and_stats_take_the_last_real_value(name):
    for panel in panels(name):
        options = panel["options"]
        if panel["type"] in ("timeseries", "state-timeline"):
            assert options["legend"]["showLegend"] is True, panel["title"]
        if panel["type"] in ("stat", "bargauge"):
            assert options["reduceOptions"]["calcs"] == ["lastNotNull"], panel["title"]
            # What has gone is not shown as if it were there: a range query would find its last value.
            assert all(target.get("instant") for target in panel["targets"]), panel["title"]
        if panel["type"] == "table":
            assert all(target["format"] == "table" for target in panel["targets"]), panel["title"]
        if panel["type"] == "heatmap":
            assert options["yAxis"]["unit"] == "s", panel["title"]
            assert all(target["format"] == "heatmap" for target in panel["targets"]), panel["title"]


@each_dashboard
def test_ids_and_reference_letters_are_unique(name):
    ids = [panel["id"] for panel in dashboard(name)["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(name):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters), panel["title"]


@each_dashboard
def test_no_panel_overlaps_or_leaves_the_grid(name):
    places = [(panel["title"], panel["gridPos"]) for panel in dashboard(name)["panels"]]
    for title, place in places:
        assert place["x"] >= 0, title
        assert place["x"] + place["w"] <= 24, title
    for (one, a), (other, b) in itertools.combinations(places, 2):
        apart = (
            a["x"] + a["w"] <= b["x"]
            or b["x"] + b["w"] <= a["x"]
            or a["y"] + a["h"] <= b["y"]
            or b["y"] + b["h"] <= a["y"]
        )
        assert apart, f"{one} and {other} overlap"


@each_dashboard
def test_the_state_is_at_the_top_left(name):
    first = min(panels(name), key=lambda panel: (panel["gridPos"]["y"], panel["gridPos"]["x"]))
    assert first["title"] == ("Load test" if name == "load_test" else "Service")
    assert first["options"]["colorMode"] == "background_solid"
    assert first["fieldConfig"]["defaults"]["mappings"]
    assert first["gridPos"]["w"] >= 5
    assert first["gridPos"]["h"] >= 4


@each_dashboard
def test_it_links_to_the_four_others(name):
    links = {link["title"]: link for link in dashboard(name)["links"]}
    others = {dashboard(other)["uid"] for other in NAMES if other != name}
    assert {link["url"] for link in links.values()} == {f"/d/{uid}" for uid in others}
    for link in links.values():
        assert link["type"] == "link"
        assert link["keepTime"] is True
        # Grafana 12.3 and later would hide it in a menu.
        assert "placement" not in link
        # The exporter's job is none of the load generator.
        assert link["includeVars"] is ("load" not in name and not link["url"].endswith("load"))


@each_dashboard
def test_runs_of_load_are_marked(name):
    marks = {mark["name"]: mark for mark in dashboard(name)["annotations"]["list"]}
    for title, series in (("Load test starts", "run_start"), ("Load test ends", "run_stop")):
        assert f"astrbot_load_{series}_timestamp_seconds" in marks[title]["expr"]
        assert marks[title]["useValueForTime"] is True
        assert marks[title]["enable"] is True


@each_dashboard
def test_pages_are_lines_which_hide_no_graph(name):
    (pages,) = [mark for mark in dashboard(name)["annotations"]["list"] if mark["name"] == "Pages"]
    assert pages["useValueForTime"] is True
    assert pages["expr"].startswith("1000 * min by (alertname, target) (ALERTS_FOR_STATE{")


@pytest.mark.parametrize("query", queries(), ids=str)
def test_every_selector_follows_the_variables(query):
    for metric, matchers in selectors(query.expr):
        if metric.startswith("ALERTS"):  # an alert may know neither
            assert 'job=~"$job|",target=~"$target|"' in matchers
            continue
        wanted = {"job", "instance"}
        if ":" in metric:
            # Recorded series are of a target and a probe, whichever instance asked.
            wanted = {"job", "target", "probe"}
            assert metric in recorded_names()
        elif re.match(r"astrbot_load_(started|turns|in_flight|tokens|\w+_bucket|\w+_count)", metric):
            if query.panel != "CPU of the server":  # which serves all scenarios
                wanted |= {"scenario"}
        elif metric.startswith("astrbot_probe_") and "exporter_" not in metric:
            wanted |= {"target"}
            if not re.search(r"scope_|budget_|cert_|target_info|(probe|target)_state", metric):
                wanted |= {"probe"}
        if metric.startswith("astrbot_load_") and metric != "astrbot_load_build_info":
            of_any_run = (query.panel, metric) == ("Load test", "astrbot_load_run_start_timestamp_seconds")
            assert of_any_run or re.search(r'run="\$(run|before)"', matchers), metric
        for label in wanted:
            assert f'{label}=~"${label}"' in (matchers or ""), f"{metric} without {label}"


@pytest.mark.parametrize("query", queries(), ids=str)
def test_rates_follow_the_zoom_and_totals_the_range(query):
    assert re.findall(r"\b(?:rate|irate)\([^\[]*\[(?!\$__rate_interval\])", query.expr) == []
    assert re.findall(r"\bincrease\([^\[]*\[(?!\$(?:__rate_interval|__range|window)\])", query.expr) == []
    if "[$__range]" in query.expr.replace("[$__range] @ end()", ""):
        assert query.instant, "a total over the range is one number"


@each_dashboard
def test_every_metric_exists(name):
    known = OF_PROMETHEUS | OF_ITS_CLIENT | recorded_names() | probe_metrics() | load_metrics()
    for place, expr in all_expressions(name):
        found = metrics_in(expr)
        assert found, place
        assert found - known == set(), place


def probe_metrics():
    registry = CollectorRegistry()
    ProbeMetrics(registry)
    SelfMetrics(registry)
    return set(registry._names_to_collectors)


def load_metrics():
    """Out of the source: importing it would patch this process."""
    files = (ROOT / "src/astrometer/load/live").glob("*_metrics.py")
    source = "".join(path.read_text("utf-8") for path in files)
    literals = re.findall(r'"(?:\{PREFIX\}|\{p\})?([a-z0-9_]+)"', source)
    names = {f"astrbot_load_{more}{name}" for name in literals for more in ("", "generator_", "server_")}
    return names | {f"{name}_{suffix}" for name in names for suffix in ("total", "bucket", "sum", "count")}


def test_what_the_selectors_find_is_what_stands_there():
    expr = 'sum by (job) (rate(a_total{job=~"$job",x="{y}"}[5m])) / on () astrbot_x + b:c:d{target="t"}'
    assert metrics_in(expr) == {"a_total", "astrbot_x", "b:c:d"}
    assert selectors(expr) == [
        ("a_total", 'job=~"$job",x="{y}"'),
        ("astrbot_x", None),
        ("b:c:d", 'target="t"'),
    ]
