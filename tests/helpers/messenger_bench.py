"""A simulator with a messenger, and ways to run our probes against both."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from astrometer import bundled
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target, TargetMessenger
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import load_folder
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import (
    NEWEST_VERSION,
    MessengerConfig,
    SimulatorConfig,
    default_keys,
)
from astrometer.targets.simulator.store import new_key

OURS = load_folder(bundled.folder("probes")).probes
TOKEN = "a-token-of-the-adapter"
IM, DATA = frozenset({"im"}), frozenset({"data"})


class MessengerBench:
    """A simulator with a messenger, and a target that points at both."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator = simulator
        self.store = simulator.store
        self.url = url
        assert simulator.messenger is not None
        self.adapter = simulator.messenger
        self.loop = asyncio.Runner()  # one for all runs, as an exporter has

    def target(
        self,
        token: str = TOKEN,
        url: str | None = None,
        keys: Mapping[str, frozenset[str] | None] | None = None,
    ) -> Target:
        """`keys`: names of the simulator's, with the scopes that are stated."""
        known = {
            name: Key(name=name, secret=Secret(self.store.keys[name].secret), scopes=scopes)
            for name, scopes in (keys or {"im": IM}).items()
        }
        messenger = TargetMessenger(url=url or self.adapter.url, token=Secret(token))
        return Target(name="sim", url=self.url, keys=known, messenger=messenger)

    def run(self, target: Target | None = None, *, total_s: float = 12.0, **options: object) -> ProbeRun:
        return self.run_probe("im_chat", target, total_s=total_s, **{"quiet_s": 0.6, **options})

    def run_probe(
        self,
        name: str,
        target: Target | None = None,
        *,
        total_s: float = 12.0,
        runner: Runner | None = None,
        **options: object,
    ) -> ProbeRun:
        plan = Plan(
            target=target or self.target(), probe=OURS[name], limits=Limits(total_s=total_s), options=options
        )
        return self.loop.run((runner or Runner()).run(plan))

    def break_(self, kind: str, **fields: object) -> None:
        told = {"kind": kind, "count": 1, "endpoint": "messenger", **fields}
        answer = httpx.post(f"{self.url}/sim/faults", json=told)
        assert answer.status_code == 200, answer.text


@contextmanager
def messenger_bench(version: str = NEWEST_VERSION) -> Iterator[MessengerBench]:
    config = SimulatorConfig(
        version=version,
        keys={**default_keys(), "data": new_key("data")},
        model=ModelScript(ttft_s=0.05, gap_s=0.005, tokens=5),
        messenger=MessengerConfig(token=TOKEN, ack_timeout_s=1.0),
    )
    simulator = Simulator(config)
    with serve(simulator) as url:
        bench = MessengerBench(simulator, url)
        with bench.loop:
            yield bench
