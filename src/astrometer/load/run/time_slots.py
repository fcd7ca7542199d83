"""Half-second slots of a run, in each load process -> what is known of any window, on the master.

A search finds its windows while the run goes on, and workers cannot be told of a border in time. So every
process counts by slots, from the start of the run on its own clock, and a window is made of whole slots.
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from astrometer.load.run.pauses import Pauses
from astrometer.load.run.recorder import OURS
from astrometer.measure.slo.validity import GeneratorHealth
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally
from astrometer.wire.receive_stamps import StampClock, stamp_clock, worst_clock

SLOT_S = 0.5
LONGEST_S = 12 * 3600.0
_TO_BEGIN_S = 0.3  # an exchange that was due in a slot has begun by then


def borders() -> list[float]:
    """When each slot begins, since the run's start: the stages of such a run's tally."""
    return [number * SLOT_S for number in range(round(LONGEST_S / SLOT_S))]


def slot_of(elapsed_s: float) -> int:
    return int(elapsed_s / SLOT_S)


class SlotBook:
    """What one process notes beside its tally: its lag, its CPU time, and answers as they come back."""

    def __init__(self, elapsed: Callable[[], float]) -> None:
        self._elapsed = elapsed
        self._lag: dict[int, Histogram] = defaultdict(Histogram)
        self._cpu_s: Counter[int] = Counter()
        self._completed: Counter[int] = Counter()
        self._pauses: dict[int, Pauses] = defaultdict(Pauses)
        self._exhausted: dict[int, set[str]] = defaultdict(set)
        self._cpu_before = time.process_time()

    def sampled(self, lag_s: float) -> None:
        """A late wake-up; called a hundred times a second."""
        slot, cpu = slot_of(self._elapsed()), time.process_time()
        self._lag[slot].record(lag_s)
        self._cpu_s[slot] += cpu - self._cpu_before  # type: ignore[assignment]  # a counter of seconds
        self._cpu_before = cpu

    def ended(self, exception: BaseException | None = None, context: Any = None, **_: Any) -> None:
        """An exchange came to its end, now; listens to Locust's `request`."""
        if exception is None and context is OURS:
            self._completed[slot_of(self._elapsed())] += 1

    def paused(self, meant_s: float, late_s: float) -> None:
        """A user of the closed model waited between two tasks."""
        self._pauses[slot_of(self._elapsed())].add(meant_s, late_s)

    def ran_out(self, limit: str) -> None:
        """An exchange could not begin, for want of files, ports, memory or threads here."""
        self._exhausted[slot_of(self._elapsed())].add(limit)

    def take(self) -> dict[str, Any]:
        """What was noted since the last call, for shipping, and until when."""
        wire = {
            "until_s": self._elapsed(),
            "lag": {slot: lag.to_wire() for slot, lag in self._lag.items()},
            "cpu_s": dict(self._cpu_s),
            "completed": dict(self._completed),
            "pauses": {slot: pauses.to_wire() for slot, pauses in self._pauses.items()},
            "exhausted": {slot: sorted(names) for slot, names in self._exhausted.items()},
            "clock": stamp_clock().value,
        }
        self._pauses, self._exhausted = defaultdict(Pauses), defaultdict(set)
        self._lag, self._cpu_s, self._completed = defaultdict(Histogram), Counter(), Counter()
        return wire


@dataclass(slots=True)
class _Process:
    until_s: float = 0.0
    lag: dict[int, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    cpu_s: Counter[int] = field(default_factory=Counter)
    pauses: dict[int, Pauses] = field(default_factory=lambda: defaultdict(Pauses))
    clock: str = StampClock.USER.value


class Slots:
    def __init__(self) -> None:
        self._processes: dict[str, _Process] = defaultdict(_Process)
        self._completed: Counter[int] = Counter()
        self._exhausted: dict[int, set[str]] = defaultdict(set)

    @property
    def processes(self) -> Collection[str]:
        return self._processes.keys()

    def note(self, process: str, wire: Mapping[str, Any]) -> None:
        known = self._processes[process]
        known.until_s = max(known.until_s, wire["until_s"])
        for slot, lag in wire["lag"].items():
            known.lag[int(slot)].add_wire(lag)
        known.cpu_s.update({int(slot): cpu_s for slot, cpu_s in wire["cpu_s"].items()})
        known.clock = wire["clock"]
        for slot, pauses in wire["pauses"].items():
            known.pauses[int(slot)].merge(Pauses(*pauses))
        self._completed.update({int(slot): n for slot, n in wire["completed"].items()})
        for slot, names in wire["exhausted"].items():
            self._exhausted[int(slot)].update(names)

    def complete_until(self, processes: Collection[str]) -> int:
        """The first slot that one of them may still add to."""
        until_s = min((self._processes[name].until_s for name in processes), default=0.0)
        return max(0, slot_of(until_s - _TO_BEGIN_S))

    def completed(self, first: int, end: int) -> int:
        """Good answers that came back in the window `first` <= slot < `end`."""
        return sum(self._completed[slot] for slot in range(first, end))

    def health(self, first: int, end: int) -> GeneratorHealth:
        lags, cpus = [], []
        window = range(first, end)
        paused = [
            process.pauses[slot]
            for process in self._processes.values()
            for slot in window
            if slot in process.pauses
        ]
        for process in self._processes.values():
            lag = Histogram()
            for slot in window:
                if slot in process.lag:
                    lag.merge(process.lag[slot])
            lags.append(lag.percentile(99))
            cpus.append(sum(process.cpu_s[slot] for slot in window) / ((end - first) * SLOT_S))
        return GeneratorHealth(
            clock=worst_clock(process.clock for process in self._processes.values()),
            **asdict(Pauses.total(paused)),
            loop_lag_p99_s=max((lag for lag in lags if lag is not None), default=None),
            cpu_max=max(cpus, default=None),
            exhausted=tuple(sorted(set().union(*(self._exhausted.get(slot, ()) for slot in window)))),
        )


def stats_between(
    tally: Tally, first: int, end: int, only: Collection[str] | None = None
) -> dict[str | None, Stats]:
    """The turns that were intended in the window: all, and of the scenarios that are judged on their own."""
    found: dict[str | None, Stats] = {None: Stats()}
    for slot in range(first, end):
        if slot in tally.stages:
            found[None].merge(tally.stages[slot], only)
    for key, stats in tally.stage_scenarios.items():
        if first <= key.stage < end:
            found.setdefault(key.scenario, Stats()).merge(stats, only)
    return found
