"""A server and a row of the fault table -> what a probe says before, during and after the fault."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import box_control
import httpx
import server_faults
from fault_table import Fault

from astrometer.api.endpoints import parse_version
from astrometer.config.secret import Secret
from astrometer.config.settings import Key, Target
from astrometer.probing.context import Context
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.run_record import Limits
from astrometer.probing.runner import Runner
from astrometer.probing.verdict import ProbeRun, Verdict
from astrometer.targets.sandbox.box import Box
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulated_faults import FaultKind, Planned
from astrometer.targets.simulator.simulator_app import Simulator

STREAMING_AFTER_S = 4.0


class Stage(Protocol):
    """A server that can be hurt. Each act lasts as long as its context."""

    version: tuple[int, int, int]

    def target(self) -> Target: ...
    def act(self, name: str) -> AbstractContextManager[None]: ...


def target_of(url: str, secret: str, key_id: str) -> Target:
    key = Key(name="k", secret=Secret(secret), id=key_id)
    return Target(name="t", url=url, keys=MappingProxyType({"k": key}))


@contextmanager
def black_hole(url: str) -> Iterator[None]:
    """The port takes no further connection and refuses none: the queue of its listener is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        address = ("127.0.0.1", httpx.URL(url).port)
        listener.bind(address)
        listener.listen(0)
        for _ in range(8):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        yield


class RealStage:
    def __init__(self, box: Box) -> None:
        self.box = box
        self.version = parse_version(str(box.version))

    def target(self) -> Target:
        return target_of(self.box.url, self.box.keys["all"], self.box.key_ids["all"])

    def act(self, name: str) -> AbstractContextManager[None]:
        box = self.box
        acts = {
            "": nullcontext,
            "stop": lambda: self._down(15),
            "kill": lambda: self._down(9),
            "restart": self._restarting,
            "black_hole": self._swallowed,
            "freeze": lambda: server_faults.frozen(box),
            "fill_disk": lambda: server_faults.full_disk(box),
            "block": lambda: server_faults.blocked_loop(box, 12),
            "expire": lambda: server_faults.expired_key(box, "all"),
            "revoke": lambda: server_faults.revoked_key(box, "all"),
            "remove_scope": lambda: server_faults.lost_scope(box, "all", "chat"),
        }
        return acts[name]()

    @contextmanager
    def _down(self, number: int) -> Iterator[None]:
        box_control.kill(self.box, number)
        try:
            box_control.wait_dead(self.box, 30)
            yield
        finally:
            box_control.restart(self.box)

    @contextmanager
    def _swallowed(self) -> Iterator[None]:
        with self._down(15), black_hole(self.box.url):
            yield

    @contextmanager
    def _restarting(self) -> Iterator[None]:
        box_control.restart(self.box)
        yield


class SimulatedStage:
    """The simulator on a port that it comes back to."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator = simulator
        self.version = simulator.wire.version
        self._serving = serve(simulator)
        self.url = self._serving.__enter__()

    def close(self) -> None:
        self._serving.__exit__(None, None, None)

    def target(self) -> Target:
        key = self.simulator.store.keys["all"]
        return target_of(self.url, key.secret, key.key_id)

    @contextmanager
    def act(self, name: str) -> Iterator[None]:
        store = self.simulator.store
        secret = store.keys["all"].secret
        before = store.by_secret[secret]
        changes = {
            "expire": {"expired": True},
            "revoke": {"revoked": True},
            "remove_scope": {"scopes": before.scopes - {"chat"}},
        }
        if name in changes:
            store.by_secret[secret] = replace(before, **changes[name])
        elif name in ("stop", "black_hole"):
            self.close()
        elif name == "block":
            self.simulator.plan.add(Planned(kind=FaultKind.FREEZE, count=2, value=3, endpoint="chat"))
        try:
            with black_hole(self.url) if name == "black_hole" else nullcontext():
                yield
        finally:
            store.by_secret[secret] = before
            self.simulator.plan.planned.clear()
            if name in ("stop", "black_hole"):
                self._serving = serve(self.simulator, int(self.url.rsplit(":", 1)[1]))
                self._serving.__enter__()


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """The three runs, and what was still on the server afterwards for want of a successful deletion."""

    before: ProbeRun
    during: ProbeRun
    after: ProbeRun
    left: int

    @property
    def reasons(self) -> tuple[str, str, str]:
        return self.before.reason, self.during.reason, self.after.reason


def play(stage: Stage, fault: Fault) -> Played:
    """One exporter's view: a run that passes, the fault, and the first run when it is over."""
    return asyncio.run(_play(stage, fault))


async def _play(stage: Stage, fault: Fault) -> Played:
    runner = Runner()
    before = await runner.run(_plan(stage, fault, "hi"))
    struck = _plan(stage, fault, fault.message, **fault.limits)
    if fault.in_flight:
        running = asyncio.create_task(runner.run(struck))
        if fault.act == "kill" and isinstance(stage, SimulatedStage):
            during = await running
        else:
            await asyncio.sleep(STREAMING_AFTER_S)
            act = stage.act(fault.act)
            await asyncio.to_thread(act.__enter__)
            during = await running
            await asyncio.to_thread(act.__exit__, None, None, None)
    else:
        act = stage.act(fault.act)
        await asyncio.to_thread(act.__enter__)
        try:
            during = await runner.run(struck)
        finally:
            await asyncio.to_thread(act.__exit__, None, None, None)
    after = await runner.run(_plan(stage, fault, "hi"))
    return Played(before=before, during=during, after=after, left=len(runner.orphans))


def _plan(stage: Stage, fault: Fault, message: str, **limits: float) -> Plan:
    if fault.act == "kill" and isinstance(stage, SimulatedStage) and message != "hi":
        message = "[[tokens=20 gap=0.02]] [sim:cut:3]"

    async def probe(ctx: Context) -> Verdict:
        turn = await ctx.chat(f"[q] {message} {ctx.nonce}", canary=ctx.nonce)
        return ctx.not_slow(turn, fault.slow_after_s if message != "hi" else 0.0)

    asked = Probe(
        name=fault.name.replace(" ", "-"),  # a session of its own where sessions cannot be deleted
        function=probe,
        interval_s=60,
        scopes=("chat",),
        costs_tokens=True,
        summary="",
    )
    return Plan(
        target=stage.target(), probe=asked, limits=Limits(**{"total_s": 45.0, "cleanup_s": 8.0, **limits})
    )
