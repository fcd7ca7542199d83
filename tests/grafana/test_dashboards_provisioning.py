"""What Grafana reads at its start: data source, dashboard provider, and an example of a contact point."""

import pytest
import yaml
from dashboard_files import GRAFANA


@pytest.mark.parametrize(
    "path",
    sorted((GRAFANA / "provisioning").rglob("*.yaml*")),
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_provisioning_files_are_of_version_1(path):
    assert yaml.safe_load(path.read_text("utf-8"))["apiVersion"] == 1


def test_the_data_source_knows_the_scrape_interval():
    files = {path.parent.name: path for path in (GRAFANA / "provisioning").rglob("*.yaml")}
    source = yaml.safe_load(files["datasources"].read_text("utf-8"))["datasources"][0]
    scrape = yaml.safe_load((GRAFANA / "prometheus" / "prometheus.yml").read_text("utf-8"))["global"]
    assert source["type"] == "prometheus"
    assert source["isDefault"] is True
    assert source["jsonData"]["timeInterval"] == scrape["scrape_interval"]


def test_the_provider_reads_the_folder_that_compose_mounts():
    provider = yaml.safe_load((GRAFANA / "provisioning/dashboards/astrometer.yaml").read_text("utf-8"))
    compose = yaml.safe_load((GRAFANA / "compose.yaml").read_text("utf-8"))
    mounts = [volume.split(":") for volume in compose["services"]["grafana"]["volumes"]]
    assert ["./dashboards", provider["providers"][0]["options"]["path"], "ro"] in mounts
    home = compose["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['providers'][0]['options']['path']}/overview.json"


def test_the_contact_point_is_an_example_without_an_address():
    folder = GRAFANA / "provisioning" / "alerting"
    # Grafana does not start when it reads a contact point whose address is empty.
    assert list(folder.glob("*.y*ml")) == []
    contact = yaml.safe_load((folder / "contact.yaml.example").read_text("utf-8"))
    settings = [one["settings"] for point in contact["contactPoints"] for one in point["receivers"]]
    assert settings
    for setting in settings:
        assert setting["url"].startswith("${")
        assert setting["authorization_credentials"].startswith("${")
    assert {policy["receiver"] for policy in contact["policies"]} == {
        point["name"] for point in contact["contactPoints"]
    }
