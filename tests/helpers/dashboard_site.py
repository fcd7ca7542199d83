"""A small world: servers well and broken, exporters, load generators, a Prometheus with our rules."""

import os
import re
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager

import httpx
import uvicorn
from dashboard_files import GRAFANA
from dashboard_past import write_past
from own_master import free_port, own_master
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from waiting import until
from watch_stack import thresholds

from astrometer import bundled
from astrometer.probing.probe_files import load_folder
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulated_faults import Planned, fault_kind
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import (
    MessengerConfig,
    SimulatedRateLimit,
    SimulatorConfig,
)

SCRAPE_S = 1
QUICK = {"ttft_s": 0.02, "gap_s": 0.002, "tokens": 30}
ALL = ("chat", "config", "file", "im")
ALL_PROBES = tuple(sorted(load_folder(bundled.folder("probes")).probes))
MORE = {
    "im_chat": 'timeout = "2s"\n'
    'options = { question = "[[ttft=0.02 gap=0 tokens=1]] {nonce}", quiet_s = 0.05, reset = false }'
}
STREAM_FAULTS = ("truncated", "blocked", "follow_up_captured", "malformed")


class World(ExitStack):
    """Starts parts; everything ends with it. Each exporter and generator is a job of Prometheus."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder
        self.jobs = {}
        self.keys = {}
        self.messengers = {}

    def simulator(self, *faults, tls=None, model=None):
        """(URL, keys) of a simulated AstrBot; its messenger is in `messengers`."""
        app = Simulator(
            SimulatorConfig(
                messenger=MessengerConfig(),
                model=ModelScript(**{**QUICK, **(model or {})}),
                rate_limit=SimulatedRateLimit(strategy="off"),
                faults=tuple(Planned(**fault) for fault in faults),
            )
        )
        url = self.enter_context(serve(app) if tls is None else serve_tls(app, *tls))
        self.messengers[url] = app.messenger
        return url, {name: key.secret for name, key in app.config.keys.items()}

    def exporter(self, job, probes, *tables, rest=None, environment=None):
        """`astrometer probe` with these probes, name -> interval, and these tables of its config.

        `rest`: the interval of all other probes; None: these probes alone.
        """
        config = self.folder / f"{job}.toml"
        only = [part for name in probes for part in ("--probe", name)] if rest is None else []
        if rest is not None:
            probes = {**dict.fromkeys(ALL_PROBES, rest), **probes}
        intervals = [
            f'[probes.{name}]\ninterval = "{interval}"\n{MORE.get(name, "")}'
            for name, interval in probes.items()
        ]
        config.write_text("\n".join(["[exporter]\nmax_series = 20000", *tables, *intervals]))
        process = self.program(
            ["-m", "astrometer", "probe", "--config", config, "--listen", "127.0.0.1:0", *only],
            {**self.keys, **(environment or {})},
            stderr=subprocess.PIPE,
        )
        said = []
        while not (found := re.search(r"probes on http://(127\.0\.0\.1:\d+)", said[-1] if said else "")):
            said.append(process.stderr.readline())
            assert said[-1], f"no exporter: {''.join(said)}"
        self.jobs[job] = found[1]
        # Its pipe must not fill.
        threading.Thread(target=process.stderr.read, daemon=True).start()

    def target(self, name, url, keys, more=""):
        """A table of the config; `keys`: name -> (secret, scopes)."""
        lines = [f'[targets.{name}]\nurl = "{url}"', more]
        for key, (secret, scopes) in keys.items():
            variable = f"KEY_{name}_{key}".upper()
            self.keys[variable] = secret
            lines.append(f'[targets.{name}.keys.{key}]\nenv = "{variable}"\nscopes = {list(scopes)}')
        return "\n".join(lines)

    def messenger(self, name, url):
        """A table of the config: the messenger of the simulator at `url`, for the target `name`."""
        adapter, variable = self.messengers[url], f"MESSENGER_{name}".upper()
        self.keys[variable] = adapter.token
        return f'[targets.{name}.messenger]\nurl = "{adapter.url}"\nenv = "{variable}"'

    def load(self, job, url, key, *options):
        """A headless load test with live metrics, at the port of `job`."""
        address = self.jobs.setdefault(job, f"127.0.0.1:{free_port()}")
        return self.program(
            [
                *("-m", "locust", "-f", bundled.find("locustfiles", "mixed"), "--host", url, "--headless"),
                *("--only-summary", "--astrometer-out", self.folder / job, *own_master(options), *options),
                *("--astrometer-metrics-port", address.rsplit(":", 1)[1]),
            ],
            {"ASTRBOT_API_KEY": key},
            stderr=subprocess.DEVNULL,
        )

    def program(self, command, environment, stderr):
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("ASTRBOT", "LOCUST"))
        }
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            env={**clean, **environment},
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            text=True,
        )
        self.callback(stop, process)
        return process

    def prometheus(self):
        """Its URL. Our rules, evaluated each second; and a past."""
        built = self.folder / "rules"
        quick = {("evaluation", "short"): "1s", ("evaluation", "long"): "1s"}
        (self.folder / "thresholds.toml").write_text(thresholds(quick))
        build = [sys.executable, GRAFANA / "build" / "rules.py", "--out", built]
        subprocess.run(
            [*build, "--thresholds", self.folder / "thresholds.toml"],
            check=True,
            capture_output=True,
            timeout=60,
        )
        scraped = "".join(
            f"  - job_name: {job}\n    static_configs: [{{targets: ['{address}']}}]\n"
            for job, address in self.jobs.items()
        )
        (self.folder / "prometheus.yml").write_text(
            f"global: {{scrape_interval: {SCRAPE_S}s, scrape_timeout: {SCRAPE_S}s, evaluation_interval: "
            f"1s}}\nrule_files: ['{built}/*.yaml']\nscrape_configs:\n{scraped}"
        )
        write_past(self.folder / "data", self.jobs, int(time.time()))
        address = f"127.0.0.1:{free_port()}"
        process = subprocess.Popen(
            [
                *("prometheus", f"--config.file={self.folder}/prometheus.yml", "--log.level=error"),
                *(f"--storage.tsdb.path={self.folder}/data", f"--web.listen-address={address}"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.callback(stop, process)
        until(lambda: is_ready(address), "Prometheus is ready")
        return f"http://{address}"


def is_ready(prometheus):
    try:
        return httpx.get(f"http://{prometheus}/-/ready", trust_env=False, timeout=2).is_success
    except httpx.TransportError:
        return False


def fault(kind, rate=1.0, endpoint=None):
    return {"kind": fault_kind(kind), "rate": rate, "endpoint": endpoint}


def says_no():
    """A server whose every answer is HTTP 200 with `status: error`."""

    def answer(_request):
        return JSONResponse({"status": "error", "message": "no"})

    return Starlette(routes=[Route("/{path:path}", answer, methods=["GET", "POST", "DELETE"])])


def certificate(folder):
    """(certificate, key) for 127.0.0.1, its own authority."""
    paths = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "30", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-out", paths[0], "-keyout", paths[1]),
        ],
        check=True,
        capture_output=True,
        timeout=20,
    )
    return paths


@contextmanager
def serve_tls(app, cert, key):
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_level="error", access_log=False, ssl_certfile=cert, ssl_keyfile=key)
    config.timeout_graceful_shutdown = 1
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    until(lambda: server.started)  # its messenger has its port then
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)
        listener.close()


def stop(process):
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(5)
    if process.stderr is not None:
        process.stderr.close()
