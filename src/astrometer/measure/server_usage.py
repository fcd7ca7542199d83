"""Samples of the server's process beside the load -> what a turn costs it. Pure.

CPU and memory of a turn are taken between the first and the last sample of the window, over the exchanges
that went well between the same two samples: a server that fails quickly does not look cheap.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

MIN_SAMPLES = 10  # in the window; below, no value per turn is said
MIN_TURNS = 20  # for CPU per turn
MIN_TURNS_GROWTH = 100  # the first turns of a process make more than those that follow
MAX_KEPT = 600  # samples: then every second one goes, and half as many are kept from then on


class ServerEndKind(StrEnum):
    """What became of the process; values of `server.ended.how`."""

    GONE = "gone"
    RESTARTED = "restarted"  # its number is another process's now


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerEnd:
    """The process ended while it was watched. `t_s`: since the run's start, late by a second at most."""

    t_s: float
    how: ServerEndKind


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSample:
    """The process and its children at one time. None: not known."""

    t_s: float  # since the run's start
    turns: int  # exchanges that went well until then
    rss_bytes: int  # shared pages count in each process
    cpu_s: float  # of all threads, children that ended included
    threads: int
    open_files: int
    processes: int
    database_bytes: int | None = None
    wal_bytes: int | None = None
    log_warnings: int | None = None  # since the run's start
    log_errors: int | None = None


COLUMNS = ("rss_bytes", "cpu_s", "threads", "open_files", "processes", "database_bytes", "wal_bytes")
LOG_COLUMNS = ("log_warnings", "log_errors")
GAUGES = tuple(name for name in COLUMNS if name != "cpu_s")


class ServerSeries:
    """All samples of a run in bounded memory."""

    def __init__(self, excluded_s: float = 0.0) -> None:
        self.samples: list[ServerSample] = []
        self.last: ServerSample | None = None
        self.maxima: dict[str, int] = {}  # of the window, dropped samples included
        self._excluded_s = excluded_s
        self._every, self._added = 1, 0

    def add(self, sample: ServerSample) -> None:
        self.last = sample
        if sample.t_s >= self._excluded_s:
            for name in GAUGES:
                if (value := getattr(sample, name)) is not None:
                    self.maxima[name] = max(value, self.maxima.get(name, value))
        if self._added % self._every == 0:
            self.samples.append(sample)
        self._added += 1
        if len(self.samples) >= MAX_KEPT:
            self.samples = self.samples[::2]
            self._every *= 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerUsage:
    """What is known of the server's process after a run, or so far. `window`: the samples of the window."""

    pid: int
    listens: bool  # on the port of the target
    samples: Sequence[ServerSample]
    window: Sequence[ServerSample]
    maxima: dict[str, int]
    last: ServerSample | None = None
    ended: ServerEnd | None = None
    sampling_s: float | None = None  # what a sample took, on average

    @property
    def turns(self) -> int:
        """Exchanges that went well between the first and the last sample of the window."""
        return self.window[-1].turns - self.window[0].turns if self.window else 0

    @property
    def cpu_s(self) -> float:
        return self.window[-1].cpu_s - self.window[0].cpu_s if self.window else 0.0

    @property
    def cpu_per_turn_s(self) -> float | None:
        return self.cpu_s / self.turns if self._is_enough(MIN_TURNS) else None

    @property
    def cpu_share(self) -> float | None:
        """Of one core; with several cores it may be above one."""
        if self.ended is not None or len(self.window) < MIN_SAMPLES:
            return None
        return self.cpu_s / (self.window[-1].t_s - self.window[0].t_s)

    @property
    def rss_growth_bytes(self) -> float | None:
        """Per 1,000 turns: the slope of a straight line through all samples of the window."""
        if not self._is_enough(MIN_TURNS_GROWTH):
            return None
        return 1000 * _slope([(item.turns, item.rss_bytes) for item in self.window])

    @property
    def database_growth_bytes(self) -> float | None:
        """Per 1,000 turns, from the first to the last sample, without the WAL."""
        begin = self.window[0].database_bytes if self.window else None
        end = self.window[-1].database_bytes if self.window else None
        if begin is None or end is None or not self._is_enough(MIN_TURNS_GROWTH):
            return None
        return 1000 * (end - begin) / self.turns

    def value_of(self, metric: str) -> float | None:
        return {"server_cpu_per_turn": self.cpu_per_turn_s, "server_rss_growth": self.rss_growth_bytes}[
            metric
        ]

    def _is_enough(self, turns: int) -> bool:
        return self.ended is None and len(self.window) >= MIN_SAMPLES and self.turns >= turns


def usage_of(
    series: ServerSeries,
    *,
    pid: int,
    listens: bool,
    excluded_s: float,
    until_s: float,
    ended: ServerEnd | None = None,
    sampling_s: float | None = None,
) -> ServerUsage:
    """`until_s`: when the window ended; samples of the drain are kept, and not measured."""
    return ServerUsage(
        pid=pid,
        listens=listens,
        samples=series.samples,
        window=[item for item in series.samples if excluded_s <= item.t_s <= until_s],
        maxima=series.maxima,
        last=series.last,
        ended=ended,
        sampling_s=sampling_s,
    )


def _slope(points: Sequence[tuple[float, float]]) -> float:
    """Of the line of least squares. The x must not all be the same."""
    mean_x = sum(x for x, _ in points) / len(points)
    mean_y = sum(y for _, y in points) / len(points)
    across = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / across
