"""A Locust with its web UI, as a child process, until the end of a `with`."""

import os
import re
import signal
import subprocess
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import httpx
from own_master import free_port
from waiting import until

FAST = ("--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=10]]")


@dataclass(kw_only=True)
class Web:
    url: str
    client: httpx.Client

    def swarm(self, **form):
        """What the form's button does."""
        return self.client.post("/swarm", data={"user_count": "1", "spawn_rate": "1", **form}).json()

    def stats(self):
        return self.client.get("/stats/requests").json()

    def metrics(self):
        """Series, without the label of the run -> value."""
        return {
            re.sub(r',?run="[^"]*"', "", series).replace("{,", "{").replace("{}", ""): value
            for series, value in self.series().items()
        }

    def series(self):
        """Series -> value."""
        lines = self.client.get("/metrics").text.splitlines()
        return {
            series: float(value)
            for series, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }


@contextmanager
def web_locust(sim, file, *options):
    """`file` as for `Sim.command`; everything of a headless run is left out, the rest is the same."""
    port = free_port()
    command = sim.command(file, *FAST, "--stop-timeout", "10", *options)
    at = command.index("--headless")
    command[at : at + 7] = ["--web-host", "127.0.0.1", "--web-port", str(port)]
    child = subprocess.Popen(
        command, env=sim.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        with httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            web = Web(url=url, client=client)

            def is_up():
                assert child.poll() is None, child.stdout.read()[-3000:]
                try:
                    return client.get("/").is_success
                except httpx.TransportError:
                    return False

            until(is_up)
            yield web
            child.send_signal(signal.SIGTERM)
            child.wait(timeout=30)
    finally:
        with suppress(ProcessLookupError):  # gone, and so are its workers
            os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
