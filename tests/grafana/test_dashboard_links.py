"""Where a click leads: the variables that links use exist, and what they point at is there."""

import json
import re

import pytest
import yaml
from dashboard_files import GRAFANA, NAMES, dashboard, panels, variables

DOCS = GRAFANA.parent / "docs"
OF_GRAFANA = {"__url_time_range", "__dashboard.uid", "__field.labels.target", "__field.labels.reason",
              "__value.raw", "__value.text"}  # fmt: skip


def links(name):
    """(panel, matcher, url) of each link of a value."""
    return [
        (panel["title"], override["matcher"]["options"], link["url"])
        for panel in panels(name)
        for override in panel["fieldConfig"].get("overrides", [])
        for prop in override["properties"]
        if prop["id"] == "links"
        for link in prop["value"]
    ]


@pytest.mark.parametrize("name", NAMES)
def test_links_use_variables_of_their_dashboard(name):
    for place, _, url in links(name):
        used = {found.split(":")[0] for found in re.findall(r"\$\{([^}]*)\}", url)}
        assert used - OF_GRAFANA <= set(variables(name)), place
        assert url.startswith(("${docs}/", "${exporter}/history?", "/d/${__dashboard.uid}?")), place


def test_each_kind_of_link_is_there():
    urls = {url for name in NAMES for _, _, url in links(name)}
    assert any("var-target=" in url for url in urls)
    assert any(re.fullmatch(r"\$\{exporter\}/history\?target=.*&failed=true", url) for url in urls)
    assert any("/reference/outcomes.md#" in url for url in urls)
    assert (DOCS / "reference/outcomes.md").exists()


def test_a_runbook_link_leads_to_the_section_of_the_alert():
    (panel,) = [panel for panel in panels("overview") if panel["title"] == "What fires"]
    (runbook,) = [
        {prop["id"]: prop["value"] for prop in override["properties"]}
        for override in panel["fieldConfig"]["overrides"]
        if override["matcher"]["options"] == "Runbook"
    ]
    shown = {name: told["text"] for name, told in runbook["mappings"][0]["options"].items()}
    headings = set(re.findall(r"^## (AstrBot\w+)$", (DOCS / "runbooks.md").read_text("utf-8"), re.MULTILINE))
    assert shown == {name: name.lower() for name in headings}


def test_exemplars_that_are_asked_for_are_kept_by_the_prometheus_of_compose():
    assert any('"exemplar": true' in json.dumps(dashboard(name)) for name in NAMES)
    compose = yaml.safe_load((GRAFANA / "compose.yaml").read_text("utf-8"))
    assert "--enable-feature=exemplar-storage" in compose["services"]["prometheus"]["command"]
