"""Exchanges of one kind -> counts and histograms, mergeable without loss -> their part of `results.json`."""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from typing import Any, NamedTuple, Protocol

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.usage_evidence import broken_off
from astrometer.api.metric_table import METRICS
from astrometer.api.network_stats import NO_NETWORK_STATS
from astrometer.api.outcome import Outcome
from astrometer.api.timings import Bounds
from astrometer.measure.tally.error_bounds import BoundBuckets, ErrorBounds
from astrometer.measure.tally.histogram import Histogram, buckets_of
from astrometer.measure.tally.network_loss import network_json
from astrometer.measure.tally.odd_streams import streams_json
from astrometer.measure.tally.stalls import Stalls

NO_BOUNDS: Mapping[str, BoundBuckets] = {}
NO_FACTS: Mapping[str, int] = {}
PERCENTS = (50, 90, 95, 99)


class Finished(Protocol):
    """What a tally wants of a `ChatTurn` or a `CallResult`."""

    @property
    def outcome(self) -> Outcome: ...
    @property
    def expected(self) -> tuple[str, ...]:
        """The metrics that such an exchange has when it goes well."""
        ...

    def metrics(self) -> Mapping[str, tuple[float, ...]]: ...
    def bounds(self) -> Mapping[str, Sequence[Bounds]]:
        """Of those samples that are not certain."""
        ...


class ExchangeSamples(NamedTuple):
    """The durations of one exchange, by metric, and the bounds of those that are not certain."""

    metrics: Mapping[str, Sequence[float]]
    bounds: Mapping[str, Sequence[Bounds]]

    @classmethod
    def of(cls, turn: Finished) -> "ExchangeSamples":
        return cls(turn.metrics(), turn.bounds())


# Of `Stats`: what adds up, by name.
_NUMBERS = ("started", "good", "resent")
_COUNTERS = ("outcomes", "missed", "tokens", "bytes", "network", "streams", "facts", "bugs")


@dataclass(slots=True)
class Stats:
    """Counts and histograms of one operation, or of one step of the timeline."""

    started: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    good: int = 0  # ok, and within every goal
    missed: Counter[str] = field(default_factory=Counter)  # failures, by each metric they owed
    ok: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    failed: dict[str, Histogram] = field(default_factory=lambda: defaultdict(Histogram))
    tokens: Counter[str] = field(default_factory=Counter)
    bytes: Counter[str] = field(default_factory=Counter)
    stalls: Stalls = field(default_factory=Stalls)
    network: Counter[str] = field(default_factory=Counter)  # exchanges, by `NetworkStats.signs`
    bounds: dict[str, ErrorBounds] = field(default_factory=lambda: defaultdict(ErrorBounds))  # of the ok ones
    streams: Counter[str] = field(default_factory=Counter)  # what was odd about them: `odd_streams.signs_of`
    facts: Counter[str] = field(default_factory=Counter)  # of questions in a messenger
    bugs: Counter[str] = field(default_factory=Counter)  # turns that failed by a known bug of AstrBot's
    resent: int = 0  # requests that went out again, since the server had closed the kept connection
    # Of the ok ones: chats that count no tokens, as the failures that they were if others count some.
    uncounted: "Stats | None" = None

    def finish(
        self,
        turn: Finished,
        *,
        good: bool,
        buckets: Mapping[str, Sequence[int]] | None = None,
        only: Collection[str] | None = None,
        stalls: Stalls | None = None,
        bounds: Mapping[str, BoundBuckets] = NO_BOUNDS,
        streams: Sequence[str] = (),
        facts: Mapping[str, int] = NO_FACTS,
    ) -> None:
        """Count one ended exchange; `only` limits which metrics are kept.

        `buckets`: those of its metrics, when somebody looked them up already. `bounds`: of those samples that
        are not certain.
        """
        if buckets is None:
            buckets = buckets_by_metric(turn.metrics())
        outcome = turn.outcome
        is_ok = outcome.is_ok
        self.outcomes[outcome.value] += 1
        self.good += good
        self.resent += getattr(turn, "resent", 0)
        for sign in getattr(turn, "network", NO_NETWORK_STATS).signs():
            self.network[sign] += 1
        for name, count in facts.items():
            self.facts[name] += count
        if (bug := getattr(turn, "bug", None)) is not None:
            self.bugs[bug.value] += 1
        if stalls is not None:
            self.stalls.add(stalls)
        for sign in streams:
            self.streams[sign] += 1
        if not is_ok:
            self.missed.update(turn.expected)
        histograms = self.ok if is_ok else self.failed
        for name, found in buckets.items():
            if only is None or name in only:
                histograms[name].add_buckets(found)
                if is_ok and name in bounds:
                    self.bounds[name].add_buckets(bounds[name])
        if is_ok and isinstance(turn, ChatTurn) and turn.is_uncounted:
            self.uncounted = self.uncounted or Stats()
            self.uncounted.finish(broken_off(turn), good=good, buckets=buckets, only=only)
            for name in bounds if only is None else set(only) & set(bounds):
                self.uncounted.bounds[name].add_buckets(bounds[name])

    def fail_uncounted(self) -> None:
        """The model does report usage: what counted none was broken off, and did not go well."""
        broken, self.uncounted = self.uncounted, None
        if broken is None:
            return
        self.outcomes -= Counter({"ok": broken.outcomes.total()})
        self.good -= broken.good
        broken.good = broken.resent = 0  # counted here already, as all that is not by outcome
        broken.network.clear()
        for name, histogram in broken.failed.items():
            self.ok[name].subtract(histogram)
            if not self.ok[name].n:
                del self.ok[name]
        for name, bounds in broken.bounds.items():
            self.bounds[name].subtract(bounds)
        broken.bounds.clear()
        self.merge(broken)

    def merge(self, other: "Stats", only: Collection[str] | None = None) -> None:
        """Add what `other` counted; `only` limits which metrics are added."""
        self._add_counts({name: getattr(other, name) for name in (*_NUMBERS, *_COUNTERS)})
        self.stalls.add(other.stalls)
        if other.uncounted is not None:
            self.uncounted = self.uncounted or Stats()
            self.uncounted.merge(other.uncounted, only)
        for mine, theirs in ((self.ok, other.ok), (self.failed, other.failed)):
            for name, histogram in theirs.items():
                if only is None or name in only:
                    mine[name].merge(histogram)
        for name, bounds in other.bounds.items():
            if only is None or name in only:
                self.bounds[name].merge(bounds)

    def _add_counts(self, other: Mapping[str, Any]) -> None:
        for name in _NUMBERS:
            setattr(self, name, getattr(self, name) + other[name])
        for name in _COUNTERS:
            getattr(self, name).update(other[name])

    def attempts(self, metric: str) -> Histogram:
        """The ok samples of `metric`, and each failed exchange that owed one as infinitely slow.

        So failing cannot improve a percentile.
        """
        histogram = Histogram()
        if metric in self.ok:
            histogram.merge(self.ok[metric])
        if self.missed[metric]:
            histogram.record(math.inf, self.missed[metric])
        return histogram

    def errors_s(self, samples: Histogram, metric: str, percents: Sequence[float]) -> list[float]:
        """How far percentiles of `samples` of `metric` (`ok` or `attempts`) may be from the truth."""
        known = self.bounds.get(metric)
        return [0.0] * len(percents) if known is None else known.errors_s(samples, percents)

    def schedule_lag(self) -> Histogram:
        """How late each arrival began, well or badly as it ended; one that was dropped never did."""
        lag = Histogram()
        for histograms in (self.ok, self.failed):
            if "schedule_lag" in histograms:
                lag.merge(histograms["schedule_lag"])
        return lag

    def to_wire(self) -> dict[str, Any]:
        return {
            **{name: getattr(self, name) for name in _NUMBERS},
            **{name: dict(getattr(self, name)) for name in _COUNTERS},
            "ok": {name: histogram.to_wire() for name, histogram in self.ok.items()},
            "failed": {name: histogram.to_wire() for name, histogram in self.failed.items()},
            "stalls": self.stalls.to_wire(),
            "bounds": {name: bounds.to_wire() for name, bounds in self.bounds.items()},
            "uncounted": None if self.uncounted is None else self.uncounted.to_wire(),
        }

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        self._add_counts(wire)
        self.stalls.add(Stalls.from_wire(wire["stalls"]))
        if wire["uncounted"] is not None:
            self.uncounted = self.uncounted or Stats()
            self.uncounted.add_wire(wire["uncounted"])
        for name, bounds in wire["bounds"].items():
            self.bounds[name].add_wire(bounds)
        for mine, theirs in ((self.ok, wire["ok"]), (self.failed, wire["failed"])):
            for name, histogram in theirs.items():
                mine[name].add_wire(histogram)


def buckets_by_metric(metrics: Mapping[str, Sequence[float]]) -> dict[str, list[int]]:
    """All are looked up at once: most metrics have a single sample."""
    buckets, at = buckets_of([*chain.from_iterable(metrics.values())]), 0
    return {name: buckets[at : (at := at + len(values))] for name, values in metrics.items()}


def stats_json(stats: Stats, excluded: Stats, duration_s: float) -> dict[str, Any]:
    """`turns` accounts for everything; all else is of the window alone."""
    ended = stats.outcomes.total()
    return {
        "turns": {
            "started": stats.started + excluded.started,
            "outcomes": dict(sorted((stats.outcomes + excluded.outcomes).items())),
            "excluded": excluded.started,
            "uncounted": 0 if stats.uncounted is None else stats.uncounted.outcomes.total(),
            "excluded_outcomes": dict(sorted(excluded.outcomes.items())),
            "resent": stats.resent + excluded.resent,
        },
        "throughput_per_s": stats.outcomes["ok"] / duration_s if duration_s else None,
        "goodput": {
            "good": stats.good,
            "per_s": stats.good / duration_s if duration_s else None,
            "share": stats.good / ended if ended else None,
        },
        "stalls": {**asdict(stats.stalls), "share": stats.stalls.share},
        "streams": streams_json(stats.streams),
        "astrbot_bugs": {
            name: {"turns": count, "of": ended, "share": count / ended}
            for name, count in sorted(stats.bugs.items())
        },
        "network": network_json(stats.network, stats.ok),
        "tokens": dict(stats.tokens),
        "bytes": dict(stats.bytes),
        "metrics": {
            name: {**summary_json(stats.ok[name]), **_errors_json(stats, name)}
            for name in METRICS
            if name in stats.ok
        },
        "metrics_all_attempts": {
            name: summary_json(stats.attempts(name)) for name in METRICS if stats.missed[name]
        },
        "metrics_failed": {
            name: summary_json(stats.failed[name]) for name in METRICS if name in stats.failed
        },
    }


def summary_json(histogram: Histogram) -> dict[str, Any]:
    """Percentiles in seconds; null where withheld. A percentile among failures is infinite."""
    return {
        "n": histogram.n,
        **{f"p{percent}": finite_json(value) for percent, value in histogram.quantiles(PERCENTS).items()},
        "max": finite_json(histogram.max),
        "histogram": histogram.encode(),
    }


def _errors_json(stats: Stats, name: str) -> dict[str, Any]:
    """How far each percentile may be from the truth, and the share of samples that are uncertain."""
    known = stats.bounds.get(name)
    if known is None:
        return {"error_s": None, "uncertain": 0.0}
    names = (*(f"p{percent}" for percent in PERCENTS), "max")
    errors_s = known.errors_s(stats.ok[name], (*PERCENTS, 100))
    return {
        "error_s": dict(zip(names, errors_s, strict=True)),
        "uncertain": known.uncertain / stats.ok[name].n,
    }


def finite_json(value: float | None) -> float | str | None:
    """JSON has no infinity: it is the text "inf"."""
    return "inf" if value == math.inf else value
