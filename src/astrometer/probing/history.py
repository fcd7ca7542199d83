"""Finished runs -> the last of them, failures kept longer than successes, and their debug text."""

import time
from collections import deque
from dataclasses import replace

from astrometer.config import Config
from astrometer.probing.verdict import Run

KEPT_PASSED = 100
KEPT_FAILED = 100


class History:
    """Bounded memory of runs."""

    def __init__(self) -> None:
        self._passed: deque[Run] = deque(maxlen=KEPT_PASSED)
        self._failed: deque[Run] = deque(maxlen=KEPT_FAILED)
        self.last: dict[tuple[str, str], Run] = {}

    def add(self, run: Run) -> None:
        run = slim(run)
        (self._passed if run.ok else self._failed).append(run)
        self.last[(run.target, run.probe)] = run

    def newest_first(self) -> list[Run]:
        return sorted([*self._passed, *self._failed], key=lambda run: run.started_at, reverse=True)


def slim(run: Run) -> Run:
    """`run` without what may be large: answers, bodies, logs and gaps of two hundred runs would add up."""
    turns = tuple(
        replace(turn, text="", reasoning="", timings=replace(turn.timings, chunk_gaps_s=()))
        for turn in run.turns
    )
    return replace(run, turns=turns, calls=(), log=())


def debug_text(run: Run, metrics: str, config: Config) -> str:
    """The log of one run, its metrics, and the settings it ran under, for `/probe?debug=true`."""
    lines = [f"Logs of probe {run.probe} on {run.target}, {utc(run.started_at)}:"]
    lines += [f"  {line.t_s:9.4f} s  {line.text}" for line in run.log]
    lines += [f"  {run.duration_s:9.4f} s  verdict: {run.reason}  {run.detail}"]
    lines += [f"  note: {run.note}"] if run.note else []
    return "\n".join([*lines, "", "Metrics:", metrics, "Settings:", masked_settings(run, config), ""])


def masked_settings(run: Run, config: Config) -> str:
    """What the config says about this target and this probe; of a key only its name and its scopes."""
    target = config.targets[run.target]
    settings = config.probe(run.probe)
    lines = [f"  source = {config.source}", f"  targets.{target.name}.url = {target.url}"]
    for key in target.keys.values():
        scopes = "not stated" if key.scopes is None else ", ".join(sorted(key.scopes))
        lines.append(f"  targets.{target.name}.keys.{key.name} = *** (scopes: {scopes})")
    lines.append(f"  probes.{run.probe}: {settings}")
    return "\n".join(lines)


def utc(epoch_s: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(epoch_s))
