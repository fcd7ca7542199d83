"""Exchanges of known distributions, tallied and built into results as a real run's are. Nothing waits."""

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass

from astrometer.api.outcome import Outcome
from astrometer.api.timings import Bounds
from astrometer.compare.comparable import ComparedRun
from astrometer.measure.results import document
from astrometer.measure.slo.objectives import goals
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally
from astrometer.measure.tally.windows import Window

START = 1_700_000_003.2


@dataclass(frozen=True)
class Turn:
    """What a tally wants to know of a chat."""

    outcome: Outcome
    ttft_s: float
    expected: tuple[str, ...] = ("ttft", "chunk_gap", "e2e")
    gate_wait_s: float = 0.0

    def metrics(self) -> Mapping[str, tuple[float, ...]]:
        if not self.outcome.is_ok:
            return {}
        known = {"ttft": (self.ttft_s,), "chunk_gap": (0.02, 0.02), "e2e": (self.ttft_s + 0.4,)}
        known["gate_wait"] = (self.gate_wait_s,)
        return {name: values for name, values in known.items() if name in self.expected}

    def bounds(self) -> Mapping[str, tuple[Bounds, ...]]:
        return {}


def make_run(
    name: str = "run",
    *,
    ttft_s: float = 0.3,
    jitter: float = 0.1,
    chats: int = 300,
    failures: int = 0,
    ramp_failures: int = 0,
    seed: int = 1,
    duration_s: float = 30.0,
    scenarios: tuple[str, ...] = ("chat",),
    slos: tuple[str, ...] = (),
    kind: str | None = "astrbot",
    streams: bool = True,
    gate_wait_s: float | None = None,  # None: an AstrBot before 4.26.7
    **info: object,
) -> ComparedRun:
    rng = random.Random(seed)
    objectives = parse_objectives(slos)
    start = START + 1000 * seed
    tally = Tally(goals(objectives), Window(excluded_s=info.get("excluded_s", 0.0)))
    expected = ("ttft", "chunk_gap", "e2e") if streams else ("e2e",)
    expected += () if gate_wait_s is None else ("gate_wait",)
    for index in range(chats):
        t_s = duration_s * index / chats
        scenario = scenarios[index % len(scenarios)]
        is_failure = index < ramp_failures or (failures and index % (chats // failures) == 0)
        outcome = Outcome.STALLED if is_failure else Outcome.OK
        tally.started(scenario, "stream", t_s)
        turn = Turn(outcome, ttft_s * math.exp(rng.gauss(0, jitter)), expected, gate_wait_s or 0.0)
        tally.finished(scenario, "stream", t_s, turn)
    known = {
        "scenario": "chat", "url": "http://127.0.0.1:6185", "version": "4.29.3", "users": 20,
        "command": ("locust", "-f", "chat.py"), "environment": {"platform": "Linux", "astrometer": "0.1.0"},
    }  # fmt: skip
    facts = document.RunInfo(
        start=start, duration_s=duration_s, objectives=objectives, kind=kind, **{**known, **info}
    )
    return ComparedRun(name=name, results=document.build(tally, facts))


def make_side(name: str, *, runs: int = 3, seed: int, **known: object) -> list[ComparedRun]:
    return [make_run(f"{name} {i + 1}", seed=seed + i, **known) for i in range(runs)]
