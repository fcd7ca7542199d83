"""Rules and dashboards -> Kubernetes manifests on stdout, ready for `kubectl apply -f -`.

    python grafana/build/kubernetes.py [--namespace monitoring] | kubectl apply -f -

One PrometheusRule (Prometheus operator) and a ConfigMap per dashboard, labelled `grafana_dashboard` for the
sidecar of Grafana's Helm chart. Generated when they are needed, so that there is no second copy to forget.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import yaml

GRAFANA = Path(__file__).resolve().parent.parent
LABELS = {"app.kubernetes.io/name": "astrometer"}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--namespace", help="of every manifest; without it kubectl's own applies")
    options = parser.parse_args()
    yaml.safe_dump_all(manifests(options.namespace), sys.stdout, sort_keys=False, allow_unicode=True)


def manifests(namespace: str | None) -> list[dict[str, Any]]:
    """The PrometheusRule first, then the dashboards by name."""
    return [
        rules(namespace),
        *(dashboard(path, namespace) for path in sorted(GRAFANA.glob("dashboards/*.json"))),
    ]


def rules(namespace: str | None) -> dict[str, Any]:
    groups = [
        group
        for path in sorted(GRAFANA.glob("rules/*.yaml"))
        for group in yaml.safe_load(path.read_text("utf-8"))["groups"]
    ]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": metadata("astrometer", namespace, LABELS),
        "spec": {"groups": groups},
    }


def dashboard(path: Path, namespace: str | None) -> dict[str, Any]:
    labels = {**LABELS, "grafana_dashboard": "1"}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(f"astrometer-dashboard-{path.stem}".replace("_", "-"), namespace, labels),
        "data": {path.name: path.read_text("utf-8")},
    }


def metadata(name: str, namespace: str | None, labels: dict[str, str]) -> dict[str, Any]:
    return {"name": name, **({"namespace": namespace} if namespace else {}), "labels": labels}


if __name__ == "__main__":
    main()
