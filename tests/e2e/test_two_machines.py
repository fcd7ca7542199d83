"""A real master with two real workers that share nothing but a network: counts merge, and none is lost."""

import json
import os
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager

import pytest

from astrometer import bundled
from astrometer.measure.results import document as results_file

pytestmark = pytest.mark.process

# In a network of its own, the simulator has to be there too; TEST-NET-1 (RFC 5737) is nobody's.
MASTER, FAR = "192.0.2.1", "192.0.2.2"
SERVER = """
import json, socket, sys, uvicorn
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatedRateLimit, SimulatorConfig
app = Simulator(SimulatorConfig(rate_limit=SimulatedRateLimit(strategy="off")))
listener = socket.create_server((sys.argv[1], 0))
url = "http://%s:%s" % listener.getsockname()[:2]
print(json.dumps({"url": url, "key": app.config.keys["all"].secret}), flush=True)
uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
"""
OPTIONS = ("--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=10]]", "--stop-timeout", "10")


class Place:
    """Where processes run: a network namespace, or this machine by one of its addresses."""

    def __init__(self, address, prefix=()):
        self.address = address
        self._prefix = prefix

    @contextmanager
    def process(self, *command, **options):
        child = subprocess.Popen([*self._prefix, *command], text=True, **options)
        try:
            yield child
        finally:
            child.kill()
            child.wait()
            for pipe in (child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()


@contextmanager
def namespaces():
    """Two, joined by one cable. Skips where that is not permitted."""
    if not all(shutil.which(tool) for tool in ("unshare", "nsenter", "ip")):
        pytest.skip("no unshare, nsenter and ip (Linux, util-linux and iproute2) to make network namespaces")
    user = () if os.geteuid() == 0 else ("--user", "--map-root-user")
    with ExitStack() as stack:

        def hold(*inside):
            child = subprocess.Popen(
                [*inside, "sh", "-c", "echo ready; exec sleep 120"], stdout=subprocess.PIPE
            )
            stack.callback(child.wait)
            stack.callback(child.kill)
            stack.callback(child.stdout.close)
            if child.stdout.readline() != b"ready\n":
                pytest.skip("this machine does not permit network namespaces")
            return child.pid

        own = ("--preserve-credentials", "--user") if user else ()
        first = hold("unshare", *user, "--net")
        enter = ("nsenter", f"--target={first}", *own, "--net")
        second = hold(*enter, "unshare", "--net")
        far = ("nsenter", f"--target={second}", *own, "--net")
        for command in (
            (*enter, "ip", "link", "set", "lo", "up"),
            (
                *enter,
                "ip",
                "link",
                "add",
                "near0",
                "type",
                "veth",
                "peer",
                "name",
                "far0",
                "netns",
                str(second),
            ),
            (*enter, "ip", "addr", "add", f"{MASTER}/30", "dev", "near0"),
            (*enter, "ip", "link", "set", "near0", "up"),
            (*far, "ip", "addr", "add", f"{FAR}/30", "dev", "far0"),
            (*far, "ip", "link", "set", "far0", "up"),
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"this machine does not permit a cable between namespaces: {done.stderr.strip()}")
        yield Place(MASTER, enter), Place(FAR, far)


@contextmanager
def loopback():
    """Master and server at one address of this machine, reached from another."""
    if sys.platform != "linux":
        pytest.skip("only Linux has all of 127.0.0.0/8 on its loopback")
    yield Place("127.0.0.2"), Place("127.0.0.1")


@pytest.mark.parametrize("places", [namespaces, loopback])
def test_workers_of_two_networks_add_up_to_what_the_server_counted(places, tmp_path):
    locust = (sys.executable, "-m", "locust", "-f", str(bundled.find("locustfiles", "chat")))
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ASTR", "LOCUST"))}
    with ExitStack() as stack:
        near, far = stack.enter_context(places())
        server = stack.enter_context(
            near.process(sys.executable, "-c", SERVER, near.address, stdout=subprocess.PIPE)
        )
        told = json.loads(server.stdout.readline())
        environment = {**clean, "ASTRBOT_API_KEY": told["key"]}
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = str(listener.getsockname()[1])  # on Locust's own, other runs would join in
        master = stack.enter_context(
            near.process(
                *locust, "--master", "--master-bind-host", near.address, "--master-bind-port", port,
                "--expect-workers", "2", "--host", told["url"], "--headless", "-u", "8", "-r", "8",
                "-t", "4s", "--only-summary", "--astrometer-out", str(tmp_path), *OPTIONS,
                env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            )
        )  # fmt: skip
        join = (*locust, "--worker", "--master-host", near.address, "--master-port", port)
        for place in (near, far):
            stack.enter_context(
                place.process(*join, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            )
        _, said = master.communicate(timeout=60)
        served = _served(near, told["url"])
    assert (tmp_path / "results.json").exists(), said[-2000:]
    measured = results_file.read(tmp_path)
    turns = measured["turns"]
    assert turns["outcomes"] == {"ok": served}
    assert turns["started"] == served >= 8
    assert measured["generator"]["processes"] == 2
    assert measured["generator"]["lost_workers"] == 0
    assert measured["metrics"]["e2e"]["n"] == served


def _served(place, url):
    ask = f"import httpx; print(httpx.get('{url}/sim/stats', trust_env=False).json()['requests']['chat'])"
    with place.process(sys.executable, "-c", ask, stdout=subprocess.PIPE) as child:
        return int(child.communicate(timeout=20)[0])
