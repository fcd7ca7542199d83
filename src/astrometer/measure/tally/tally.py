"""Finished exchanges -> counts and histograms of one process, mergeable without loss.

A tally is kept by (scenario, operation). A worker drains its own with `take` and ships it; the master
merges what it gets. `started` = the sum of the outcomes once nothing is in flight.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar, cast

from astrometer.api.chat.chat_turn import ChatTurn
from astrometer.api.chat.usage_evidence import UsageEvidence
from astrometer.api.metric_table import EXCHANGE_TIMES
from astrometer.api.network_stats import LOSSY_TTFT
from astrometer.api.outcome import Outcome
from astrometer.measure.tally.error_bounds import BoundBuckets
from astrometer.measure.tally.exchange_stats import (
    NO_BOUNDS,
    NO_FACTS,
    ExchangeSamples,
    Finished,
    Stats,
    buckets_by_metric,
)
from astrometer.measure.tally.odd_streams import signs_of
from astrometer.measure.tally.stalls import THRESHOLD_S, Stalls
from astrometer.measure.tally.timeline import Steps
from astrometer.measure.tally.uploads import SIZE_METRICS
from astrometer.measure.tally.window_book import WindowBook
from astrometer.measure.tally.windows import EVERYTHING, Window

TIMELINE_METRICS = ("ttft", "chunk_gap", *EXCHANGE_TIMES)
_STEP_METRICS = frozenset({*TIMELINE_METRICS, LOSSY_TTFT})
STAGE_METRICS = (
    *_STEP_METRICS,
    "ttft_effective",
    *(f"{name}_effective" for name in EXCHANGE_TIMES),
    "schedule_lag",
)

F = TypeVar("F", bound=Finished)


class StatsKey(NamedTuple):
    """Where a measurement belongs: the scenario that was run and the operation it made."""

    scenario: str
    operation: str


class StageKey(NamedTuple):
    """A stage of the profile by its number, and one of the scenarios that are judged there on their own."""

    stage: int
    scenario: str


# What a tally is made of, beside its timeline -> the key of each entry, of its parts.
BOOKS = {
    "counted": StatsKey,  # in the window
    "excluded": StatsKey,
    "stages": int,  # by the number of the stage, from 0
    "stage_scenarios": StageKey,
    "sizes": int,  # uploads of the window that ended, by their size class
}


class Tally:
    """The measurements of one process, or of several merged. Times are seconds since the run's start.

    `goals`: the most that one good exchange may take, in seconds, by metric. An exchange is good when it
    is ok and within every goal that applies to its kind; a missing metric is not good.
    `window`: what began outside of it is counted in `excluded`, and only there.
    `stages`: when each stage of the load's profile begins, ascending; what began in the window counts in its
    stage as well. `scenario_goals`: of scenarios that have goals of their own, all of theirs; they are kept
    apart in each stage too. `judged`: metrics that a stage keeps because somebody will judge them.
    `stall_s`: a chunk gap longer than this is a stall. `by_step`: what the window counts is kept step by step
    besides, so that `begin_window_at` can leave out more of it.
    """

    def __init__(
        self,
        goals: Mapping[str, float] | None = None,
        window: Window = EVERYTHING,
        stages: Sequence[float] = (),
        *,
        scenario_goals: Mapping[str, Mapping[str, float]] | None = None,
        judged: Iterable[str] = (),
        stall_s: float = THRESHOLD_S,
        by_step: bool = False,
    ) -> None:
        self._goals = dict(goals or {})
        self._scenario_goals = {name: dict(own) for name, own in (scenario_goals or {}).items()}
        self._window = window
        self._stall_s = stall_s
        self._stages = tuple(stages)
        self._stage_metrics = frozenset({*STAGE_METRICS, *judged})
        self._usage = UsageEvidence()
        self.counted: dict[StatsKey, Stats] = defaultdict(Stats)
        self.excluded: dict[StatsKey, Stats] = defaultdict(Stats)
        self.stages: dict[int, Stats] = defaultdict(Stats)
        self.stage_scenarios: dict[StageKey, Stats] = defaultdict(Stats)
        self.sizes: dict[int, Stats] = defaultdict(Stats)
        self.timeline = Steps(Stats)
        self._by_step = Steps(WindowBook) if by_step else None

    def _books(self) -> list[dict[Any, Stats]]:
        return [getattr(self, name) for name in BOOKS]

    def started(self, scenario: str, operation: str, t_s: float) -> None:
        """An exchange intended at `t_s` begins: count it before anything can go wrong."""
        for stats in self.counting(scenario, operation, t_s):
            stats.started += 1
        self.timeline.at(t_s).started += 1
        for stage in self._stages_of(scenario, t_s):
            stage.started += 1

    def finished(
        self, scenario: str, operation: str, t_s: float, turn: F, samples: ExchangeSamples | None = None
    ) -> F:
        """It ended, in whatever way. `t_s` is that of its start: it counts where it began.

        Returns the exchange as it was counted: an answer that counts no tokens fails as soon as others do.
        `samples`: its own, when somebody has made them already.
        """
        if isinstance(turn, ChatTurn):
            turn = cast("F", self._settled(turn))
        metrics, uncertain = ExchangeSamples.of(turn) if samples is None else samples
        good = self._is_good(scenario, turn, metrics)
        buckets = buckets_by_metric(metrics)
        gaps_s, stalls = metrics.get("chunk_gap", ()), None
        if gaps_s or turn.outcome is Outcome.STALLED:
            stalls = Stalls.of(gaps_s, turn.outcome, self._stall_s)
        bounds = BoundBuckets.by_metric(uncertain) if uncertain else NO_BOUNDS
        facts: Mapping[str, int] = getattr(turn, "facts", NO_FACTS)
        streams = signs_of(turn) if isinstance(turn, ChatTurn) else ()
        for stats in self.counting(scenario, operation, t_s):
            stats.finish(
                turn, good=good, buckets=buckets, stalls=stalls, bounds=bounds, streams=streams, facts=facts
            )
            for name in ("input_tokens", "output_tokens"):
                stats.tokens[name] += getattr(turn, name, 0)
            for name in ("bytes_sent", "bytes_received"):
                stats.bytes[name] += getattr(turn, name, 0)
        step = self.timeline.at(t_s)
        step.finish(turn, good=good, buckets=buckets, only=_STEP_METRICS, stalls=stalls, bounds=bounds)
        for stage in self._stages_of(scenario, t_s):
            stage.finish(
                turn,
                good=good,
                buckets=buckets,
                only=self._stage_metrics,
                stalls=stalls,
                bounds=bounds,
                streams=streams,
            )
        size_class: int | None = getattr(turn, "size_class", None)
        if size_class is not None and self._window.holds(t_s):
            sizes = [self.sizes, *([] if self._by_step is None else [self._by_step.at(t_s).sizes])]
            for size in (book[size_class] for book in sizes):
                size.started += 1
                size.finish(turn, good=good, buckets=buckets, only=SIZE_METRICS)
                size.bytes["bytes_sent"] += getattr(turn, "bytes_sent", 0)
        return turn

    def _settled(self, turn: ChatTurn) -> ChatTurn:
        known = self.counts_usage
        turn = self._usage.settle(turn)
        if self.counts_usage and not known:
            self._fail_uncounted()
        return turn

    @property
    def counts_usage(self) -> bool:
        """Whether a chat was seen whose tokens were counted."""
        return bool(self._usage.counted)

    def _fail_uncounted(self) -> None:
        for book in self._books():
            for stats in book.values():
                stats.fail_uncounted()
        self.timeline.change(Stats.fail_uncounted)
        if self._by_step is not None:
            self._by_step.change(WindowBook.fail_uncounted)

    def begin_window_at(self, t_s: float) -> None:
        """Leave out what began before, at the border of a step. Only with `by_step`, when all has ended."""
        if self._by_step is None:
            raise ValueError("the window was not counted by steps")
        self._window = Window(excluded_s=t_s)
        self.counted.clear()
        self.sizes.clear()
        for step, book in self._by_step.items():
            for key, stats in book.counted.items():
                (self.counted if step >= t_s else self.excluded)[StatsKey(*key)].merge(stats)
            if step >= t_s:
                for size_class, stats in book.sizes.items():
                    self.sizes[size_class].merge(stats)

    def _stages_of(self, scenario: str, t_s: float) -> list[Stats]:
        """Nothing falls between: before the first stage is in the first, after the last in the last."""
        if not self._stages or not self._window.holds(t_s):
            return []
        number = max(0, bisect_right(self._stages, t_s) - 1)
        own = [self.stage_scenarios[StageKey(number, scenario)]] if scenario in self._scenario_goals else []
        return [self.stages[number], *own]

    def stats_of(self, scenario: str, operation: str, t_s: float) -> Stats:
        """Where an exchange that was intended at `t_s` is counted."""
        book = self.counted if self._window.holds(t_s) else self.excluded
        return book[StatsKey(scenario, operation)]

    def counting(self, scenario: str, operation: str, t_s: float) -> list[Stats]:
        """All places where it is counted, but for the timeline and stages."""
        stats = self.stats_of(scenario, operation, t_s)
        if self._by_step is None or not self._window.holds(t_s):
            return [stats]
        return [stats, self._by_step.at(t_s).counted[scenario, operation]]

    def _is_good(self, scenario: str, turn: Finished, metrics: Mapping[str, Sequence[float]]) -> bool:
        if not turn.outcome.is_ok:
            return False
        goals = self._scenario_goals.get(scenario, self._goals)
        if not goals:
            return True
        owed = [name for name in goals if name in turn.expected or name in metrics]
        return all(name in metrics and max(metrics[name]) <= goals[name] for name in owed)

    def merge(self, other: "Tally") -> None:
        if self.counts_usage != other.counts_usage:
            late = self if other.counts_usage else other
            late._usage.counted = True
            late._fail_uncounted()
        for mine, theirs in zip(self._books(), other._books(), strict=True):
            for key, stats in theirs.items():
                mine[key].merge(stats)
        self.timeline.merge(other.timeline)
        if self._by_step is not None and other._by_step is not None:
            self._by_step.merge(other._by_step)

    def take(self) -> "Tally":
        """Return what was collected since the last call, and begin anew."""
        taken = Tally()
        taken._usage.counted = self._usage.counted
        for name in BOOKS:
            setattr(taken, name, getattr(self, name))
            setattr(self, name, defaultdict(Stats))
        taken.timeline = self.timeline.take()
        taken._by_step = None if self._by_step is None else self._by_step.take()
        return taken

    def total(self, scenario: str | None = None, *, only: Collection[str] | None = None) -> Stats:
        """All operations together, or those of one scenario; the window only. `only`: these metrics."""
        return _sum(self.counted, scenario, only)

    def total_excluded(self, scenario: str | None = None) -> Stats:
        """The same for what began in the ramp or the warm-up."""
        return _sum(self.excluded, scenario)

    def succeeded(self) -> int:
        """Exchanges that ended well so far, those of ramp and warm-up too."""
        return sum(stats.outcomes["ok"] for book in (self.counted, self.excluded) for stats in book.values())

    @property
    def in_flight(self) -> int:
        everything = [*self.counted.values(), *self.excluded.values()]
        return sum(stats.started - stats.outcomes.total() for stats in everything)

    def encode(self) -> dict[str, Any]:
        """Plain data for msgpack or JSON."""
        return {
            "counts_usage": self.counts_usage,
            "timeline": self.timeline.to_wire(),
            "by_step": None if self._by_step is None else self._by_step.to_wire(),
            "books": [[(key, stats.to_wire()) for key, stats in book.items()] for book in self._books()],
        }

    @classmethod
    def decode(cls, wire: Mapping[str, Any]) -> "Tally":
        tally = cls(by_step=wire["by_step"] is not None)
        tally._usage.counted = wire["counts_usage"] or None
        tally._add_wire(wire)
        return tally

    def add_wire(self, wire: Mapping[str, Any]) -> None:
        if wire["counts_usage"] == self.counts_usage:
            self._add_wire(wire)
        else:
            self.merge(Tally.decode(wire))

    def _add_wire(self, wire: Mapping[str, Any]) -> None:
        self.timeline.add_wire(wire["timeline"])
        if self._by_step is not None and wire["by_step"] is not None:
            self._by_step.add_wire(wire["by_step"])
        for book, kind, entries in zip(self._books(), BOOKS.values(), wire["books"], strict=True):
            for key, stats in entries:
                book[key if kind is int else kind(*key)].add_wire(stats)


def _sum(book: Mapping[StatsKey, Stats], scenario: str | None, only: Collection[str] | None = None) -> Stats:
    total = Stats()
    for key, stats in book.items():
        if scenario is None or key.scenario == scenario:
            total.merge(stats, only)
    return total
