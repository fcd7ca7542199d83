"""Container, systemd and Kubernetes files: what can be held without an engine, a boot and a cluster."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from required import needs

from astrometer import __version__
from astrometer.config import loader

ROOT = Path(__file__).parents[2]
GRAFANA = ROOT / "grafana"
KUBERNETES = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
COMPOSE = yaml.safe_load((GRAFANA / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]


def manifests():
    return [item for path in KUBERNETES for item in yaml.safe_load_all(path.read_text())]


def manifest(kind):
    return next(item for item in manifests() if item["kind"] == kind)


@pytest.mark.parametrize("name", SERVICES)
def test_a_container_is_pinned_watched_and_without_rights(name):
    service = SERVICES[name]
    assert re.search(r":v?\d+\.\d+\.\d+$", service["image"]), "pin the whole version"
    assert service["user"].split(":")[0] not in {"0", "root"}
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["healthcheck"]["test"][0] == "CMD"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:"), "publish on the loopback only"


def test_secrets_are_files_and_no_environment_holds_one():
    for service in SERVICES.values():
        for name, value in service.get("environment", {}).items():
            if re.search("KEY|PASSWORD|TOKEN|SECRET", name):
                assert value.startswith("/run/secrets/")
        for secret in service.get("secrets", []):
            assert secret in COMPOSE["secrets"]
    assert "grafana/secrets/" in (ROOT / ".gitignore").read_text()


def test_the_commands_of_compose_make_every_secret_and_say_who_reads_it():
    header = (GRAFANA / "compose.yaml").read_text().partition("\nname:")[0]
    for name, secret in COMPOSE["secrets"].items():
        assert re.search(rf"(> |tee ){re.escape(secret['file'].removeprefix('./'))}\b", header), name
    for service in SERVICES.values():
        if service.get("secrets"):
            assert service["user"].split(":")[0] in header


def key_paths():
    """How the exporter runs -> where it sees its key."""
    unit = (ROOT / "deploy/systemd/astrometer-probe.service").read_text()
    (credential,) = re.findall(r"^LoadCredential=(\w+):", unit, re.MULTILINE)
    (secret,) = SERVICES["exporter"]["secrets"]
    (container,) = manifest("Deployment")["spec"]["template"]["spec"]["containers"]
    (mount,) = [mount["mountPath"] for mount in container["volumeMounts"] if mount["name"] == "keys"]
    (entry,) = re.findall(r"--from-file=(\w+)=", (ROOT / "deploy/kubernetes/exporter.yaml").read_text())
    return {
        "systemd": f"/run/credentials/astrometer-probe.service/{credential}",
        "Compose": f"/run/secrets/{secret}",
        "Kubernetes": f"{mount}/{entry}",
    }


def test_the_how_to_for_production_names_the_key_where_each_service_sees_it_and_no_place_for_state():
    page = (ROOT / "docs/how-to/watch-production.md").read_text()
    stated = re.findall(r"^\| \[(\w+)\].*\| `(/run/\S+)` \|$", page, re.MULTILINE)
    assert dict(stated) == key_paths()
    shipped = {
        "Compose": (GRAFANA / "astrometer.example.toml").read_text(),
        "Kubernetes": manifest("ConfigMap")["data"]["astrometer.toml"],
    }
    for name, text in shipped.items():
        assert tomllib.loads(text)["targets"]["prod"]["keys"]["main"]["file"] == key_paths()[name]
    taught = re.search(r"```toml\n(.*?)```", page, re.DOTALL)[1]
    for text in (taught, *shipped.values()):
        # It would win over $STATE_DIRECTORY, and lie beside a configuration that cannot be written to.
        assert "state_dir" not in tomllib.loads(text)


def test_every_file_that_a_container_mounts_is_here():
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source == "./astrometer.toml":
                source = "./astrometer.example.toml"  # the operator's copy of it
            if source.startswith("."):
                assert (GRAFANA / source).exists(), source
            else:
                assert source in COMPOSE["volumes"]


def test_our_images_carry_this_version_everywhere():
    texts = [(GRAFANA / "compose.yaml").read_text(), *(path.read_text() for path in KUBERNETES)]
    for text in texts:
        assert set(re.findall(r"image: astrometer(?:-locust)?:(\S+)", text)) <= {__version__}


def test_the_image_has_what_the_wheel_needs_and_its_ports_are_the_exporters():
    text = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text()
    for source in re.findall(r"^COPY (?!--)(.+) \S+$", text, re.MULTILINE):
        for path in source.split():
            assert (ROOT / path).exists()
            assert f"!{path}" in ignored
    assert "USER 10001" in text
    assert "EXPOSE 16185" in text


@pytest.mark.process
@pytest.mark.parametrize("text", [
    (GRAFANA / "astrometer.example.toml").read_text(),
    manifest("ConfigMap")["data"]["astrometer.toml"],
])  # fmt: skip
def test_a_shipped_configuration_is_one_that_the_exporter_takes(text, tmp_path):
    (tmp_path / "key").write_text("abk_example")
    path = tmp_path / "astrometer.toml"
    path.write_text(re.sub(r'file = "[^"]+"', 'file = "key"', text))
    assert tomllib.loads(text)["targets"]["prod"]["url"].startswith("http")
    assert list(loader.load(path, {}).targets) == ["prod"]
    done = subprocess.run(
        [sys.executable, "-m", "astrometer", "probe", "--check", "--config", str(path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_exporter_of_the_cluster_runs_without_rights_and_is_found_by_its_monitor():
    pod = manifest("Deployment")["spec"]["template"]
    assert pod["spec"]["securityContext"]["runAsNonRoot"] is True
    assert pod["spec"]["automountServiceAccountToken"] is False
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    service, monitor = manifest("Service"), manifest("ServiceMonitor")
    assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
    assert monitor["spec"]["selector"]["matchLabels"].items() <= service["metadata"]["labels"].items()
    ports = {port["name"] for port in service["spec"]["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= ports


def test_the_load_test_of_the_cluster_is_found_by_its_monitor_at_a_port_that_the_locust_operator_declares():
    master, monitor = manifest("LocustTest")["spec"]["master"], manifest("PodMonitor")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= master["labels"].items()
    # `MasterPorts` of its internal/resources/ports.go; Prometheus knows the declared ports of a pod only.
    assert {endpoint["portNumber"] for endpoint in monitor["podMetricsEndpoints"]} <= {5557, 5558, 8089}


def test_the_locust_master_waits_until_its_workers_can_hear_it_quit():
    """A Locust worker that was told to stop listens again only after its stop timeout."""
    master = manifest("LocustTest")["spec"]["master"]
    stop_timeout = int(re.search(r"--stop-timeout (\d+)", master["command"])[1])
    assert master["autoquit"]["timeout"] > stop_timeout


@pytest.mark.process
def test_the_unit_starts_the_exporter_and_systemd_finds_no_fault_in_it():
    path = ROOT / "deploy/systemd/astrometer-probe.service"
    text = path.read_text()
    assert "LoadCredential=" in text
    for line in re.findall(r"^Exec(?:Start|StartPre)=(.+)$", text, re.MULTILINE):
        command = shlex.split(line)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "astrometer", *command, "--help"],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    done = subprocess.run(
        ["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False, timeout=60
    )
    complaints = [line for line in done.stderr.splitlines() if "is not executable" not in line]
    assert complaints == []


@pytest.mark.process
@pytest.mark.promtool
def test_prometheus_takes_its_configuration():
    needs("promtool", "promtool")
    done = subprocess.run(
        ["promtool", "check", "config", str(GRAFANA / "prometheus/prometheus.yml")],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.process
def test_rules_and_dashboards_become_manifests_with_nothing_left_out():
    made = subprocess.run(
        [sys.executable, str(GRAFANA / "build/kubernetes.py"), "--namespace", "monitoring"],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    items = list(yaml.safe_load_all(made.stdout))
    groups = sum(len(yaml.safe_load(path.read_text())["groups"]) for path in GRAFANA.glob("rules/*.yaml"))
    assert items[0]["kind"] == "PrometheusRule"
    assert len(items[0]["spec"]["groups"]) == groups > 0
    dashboards = {path.name: path.read_text() for path in GRAFANA.glob("dashboards/*.json")}
    assert {name: text for item in items[1:] for name, text in item["data"].items()} == dashboards
    assert {item["metadata"]["namespace"] for item in items} == {"monitoring"}
    for item in items[1:]:
        assert len(yaml.safe_dump(item).encode()) < 1024 * 1024, "a ConfigMap holds 1 MiB"
