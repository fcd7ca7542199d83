"""A simulator, a target that points at it, and ways to run one probe function against it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from types import MappingProxyType

import pytest

from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.context import Context
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun, Verdict
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

QUICK = ModelScript(ttft_s=0.05, gap_s=0.005, tokens=5)


Function = Callable[[Context], Awaitable[Verdict]]


class Bench:
    """A running simulator and what the tests need of it."""

    def __init__(self, simulator: Simulator, url: str) -> None:
        self.simulator = simulator
        self.store = simulator.store
        self.url = url

    def target(self, *names: str, name: str = "sim", url: str | None = None, **scopes: str | None) -> Target:
        """`target("all")`: with that key and no stated scopes; `target(chat="chat")`: with stated ones."""
        stated = {**dict.fromkeys(names), **scopes}
        keys = {
            key: Key(
                name=key,
                secret=Secret(self.store.keys[key].secret),
                scopes=None if listed is None else frozenset(listed.split()),
            )
            for key, listed in stated.items()
        }
        return Target(name=name, url=url or self.url, keys=MappingProxyType(keys))

    def plan(self, target: Target, function: Function, limits: Limits | None = None, **probe: object) -> Plan:
        about = {"name": "p", "interval_s": 60.0, "scopes": (), "costs_tokens": True, "summary": "", **probe}
        made = Probe(function=function, **about)
        return Plan(
            target=target, probe=made, limits=limits or Limits(total_s=20), interval_s=made.interval_s
        )

    def run(self, target: Target, function: Function, **limits: float) -> ProbeRun:
        """Run one probe function once, cleanup included."""
        plan = self.plan(target, function, limits=Limits(**{"total_s": 20.0, **limits}))
        return asyncio.run(Runner().run(plan))

    def ask(self, message: str, target: Target | None = None, **limits: float) -> ProbeRun:
        """Ask one question, as a probe whose nonce must come back."""

        async def probe(ctx: Context) -> Verdict:
            return Verdict.of(await ctx.chat(f"{message} {ctx.nonce}", canary=ctx.nonce))

        return self.run(target or self.target("all"), probe, **limits)

    def sessions(self) -> list[str]:
        return list(self.store.sessions)


@pytest.fixture
def bench() -> Iterator[Bench]:
    simulator = Simulator(SimulatorConfig(model=QUICK))
    with serve(simulator) as url:
        yield Bench(simulator, url)


@pytest.fixture
def old_bench() -> Iterator[Bench]:
    simulator = Simulator(SimulatorConfig(version="4.18.0", model=QUICK))
    with serve(simulator) as url:
        yield Bench(simulator, url)
