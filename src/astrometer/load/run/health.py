"""Is the load generator itself the bottleneck? Late wake-ups of its loop and its CPU share, per process."""

import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import gevent

from astrometer.api.timings import CERTAIN_S
from astrometer.load import generator_limits
from astrometer.load.run.pauses import Pauses
from astrometer.measure.slo.validity import MAX_SCHEDULE_LAG_S, GeneratorHealth
from astrometer.measure.tally.histogram import Histogram
from astrometer.measure.tally.tally import Tally
from astrometer.wire.receive_stamps import StampClock, stamp_clock, worst_clock

SAMPLE_S = 0.01  # often, so that one late wake-up is not the p99 of a short test
CPU_WINDOW_S = 5.0  # a peak shorter than this is a spawn or an import, not saturation
HELD_UP_KEPT = 20_000  # enough for minutes of a process that is always late
SHORTEST_WINDOW_S = 0.5  # of a test that is shorter


class HealthMonitor:
    """Samples one process while a test runs. The lag is how late a sleeping greenlet woke up."""

    def __init__(self) -> None:
        self.lag = Histogram()
        self.cpu_max: float | None = None
        self.watcher: Callable[[float], None] | None = None  # hears of every sample of the lag
        self.stage: Callable[[], int] | None = None  # which one of the load's profile goes on
        self.stage_lag: dict[int, Histogram] = defaultdict(Histogram)
        self._greenlet: Any = None
        self._marks: deque[tuple[float, float]] = deque()  # wall and CPU time, over the last window
        self._judged_from = 0.0
        self._pauses = Pauses()
        self._held_up: deque[tuple[float, float]] = deque(maxlen=HELD_UP_KEPT)  # from when until when

    def start(self, after_s: float = 0.0) -> None:
        """Begin. `after_s` of ramp and warm-up are excluded from what is measured, and from this."""
        self.stop()
        self._judged_from = time.perf_counter() + after_s
        self.lag, self.cpu_max = Histogram(), None
        generator_limits.reached.take()  # of an earlier test
        self._marks = deque([(time.perf_counter(), time.process_time())])
        self._greenlet = gevent.spawn(self._run)

    def stop(self) -> None:
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
            self._greenlet = None
            self._note_cpu(is_last=True)

    def take(self) -> dict[str, Any]:
        """What was sampled since the last call, for shipping."""
        lag, self.lag = self.lag, Histogram()
        stage_lag, self.stage_lag = self.stage_lag, defaultdict(Histogram)
        pauses, self._pauses = self._pauses, Pauses()
        return {
            "lag": lag.to_wire(),
            "stage_lag": [[number, part.to_wire()] for number, part in stage_lag.items()],
            "clock": stamp_clock().value,
            "pauses": pauses.to_wire(),
            "cpu_max": self.cpu_max,
            "exhausted": generator_limits.reached.take(),
        }

    def so_far(self) -> "ProcessHealth":
        """What was sampled since the start, where nothing is taken away to be shipped."""
        return ProcessHealth(self.lag, self.cpu_max, clock=stamp_clock().value, pauses=self._pauses)

    def paused(self, meant_s: float, late_s: float) -> None:
        """A user of the closed model waited between two tasks."""
        if time.perf_counter() >= self._judged_from:
            self._pauses.add(meant_s, late_s)

    def _run(self) -> None:
        loop = gevent.get_hub().loop
        while True:
            loop.update_now()  # timers count from the start of the loop's round, which may be long past
            due = time.perf_counter() + SAMPLE_S
            gevent.sleep(SAMPLE_S)
            self._note_lag(time.perf_counter(), due)
            self._note_cpu()

    def held_up_s(self, begin: float, end: float) -> float:
        """How much of that time the loop stood still, or was late by more than a millisecond."""
        held_s = 0.0
        for start, stop in reversed(self._held_up) if end > begin else ():
            if stop <= begin:
                break
            held_s += max(0.0, min(stop, end) - max(start, begin))
        return held_s

    def _note_lag(self, now: float, due: float) -> None:
        if now - due > CERTAIN_S:
            self._held_up.append((due, now))
        for late_s in expected_lags(now - due):
            if now >= self._judged_from:
                self.lag.record(late_s)
                if self.stage is not None:
                    self.stage_lag[self.stage()].record(late_s)
            if self.watcher is not None:
                self.watcher(late_s)

    def _note_cpu(self, *, is_last: bool = False) -> None:
        """Over the last five seconds, every second and at the end."""
        wall, marks = time.perf_counter(), self._marks
        if wall >= self._judged_from and wall - marks[-1][0] < CPU_WINDOW_S / 5 and not is_last:
            return
        cpu = time.process_time()  # a system call: only once a second
        if wall < self._judged_from:
            marks.clear()
        else:
            while len(marks) > 1 and wall - marks[1][0] >= CPU_WINDOW_S:
                marks.popleft()
            passed_s = wall - marks[0][0]
            is_short = is_last and self.cpu_max is None and passed_s >= SHORTEST_WINDOW_S
            if passed_s >= CPU_WINDOW_S or is_short:
                self.cpu_max = max(self.cpu_max or 0.0, (cpu - marks[0][1]) / passed_s)
        marks.append((wall, cpu))


def expected_lags(late_s: float) -> Iterator[float]:
    """A wake-up that came `late_s` too late, and those due meanwhile: they would have been late, too.

    As HdrHistogram records with an expected interval: a freeze is not one sample among many good ones.
    """
    yield max(0.0, late_s)
    while (late_s := late_s - SAMPLE_S) > 0:
        yield late_s


@dataclass(slots=True)
class ProcessHealth:
    """What is known of one load process: its own, or a worker's as reported."""

    lag: Histogram
    cpu_max: float | None = None
    exhausted: set[str] = field(default_factory=set)
    clock: str = StampClock.USER.value
    pauses: Pauses = field(default_factory=Pauses)
    stage_lag: dict[int, Histogram] = field(default_factory=lambda: defaultdict(Histogram))

    def add(self, wire: Mapping[str, Any]) -> None:
        self.lag.add_wire(wire["lag"])
        for number, part in wire["stage_lag"]:
            self.stage_lag[number].add_wire(part)
        if wire["cpu_max"] is not None:
            self.cpu_max = max(wire["cpu_max"], self.cpu_max or 0.0)
        self.exhausted.update(wire["exhausted"])
        self.clock = wire["clock"]
        self.pauses.merge(Pauses(*wire["pauses"]))


def worst_stage_lag(processes: Iterable[ProcessHealth], number: int) -> float | None:
    """The p99 of the loop's lag in one stage of the load."""
    p99s = [process.stage_lag[number].percentile(99) for process in processes]
    return max((value for value in p99s if value is not None), default=None)


def worst(
    processes: Iterable[ProcessHealth],
    tally: Tally,
    lost_workers: int,
    *,
    schedule_lag_limit_s: float = MAX_SCHEDULE_LAG_S,
    lost_from_s: float | None = None,
) -> GeneratorHealth:
    """The worst process speaks for all."""
    known = list(processes)
    p99s = [value for process in known if (value := process.lag.percentile(99)) is not None]
    maxima = [value for process in known if (value := process.lag.max) is not None]
    cpus = [process.cpu_max for process in known if process.cpu_max is not None]
    schedule = Histogram()
    for stats in tally.counted.values():
        schedule.merge(stats.schedule_lag())
    return GeneratorHealth(
        processes=len(known),
        clock=worst_clock(process.clock for process in known),
        **asdict(Pauses.total(process.pauses for process in known)),
        loop_lag_p99_s=max(p99s, default=None),
        loop_lag_max_s=max(maxima, default=None),
        cpu_max=max(cpus, default=None),
        schedule_lag_p99_s=schedule.percentile(99),
        schedule_lag_limit_s=schedule_lag_limit_s,
        exhausted=tuple(sorted({name for process in known for name in process.exhausted})),
        lost_workers=lost_workers,
        lost_from_s=lost_from_s,
    )
