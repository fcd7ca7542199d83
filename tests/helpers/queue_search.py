"""A whole search (decisions, windows, margins) on a server in virtual time -> its answer and its windows."""

import math
from dataclasses import dataclass
from functools import cache

from asked_search import asked_search
from queue_model import Bounded, Queue, capacity

from astrometer.measure.capacity.capacity_interval import CapacityEstimate, estimate
from astrometer.measure.capacity.next_load import Ask, SearchAnswer, StepVerdict, Trial, decide
from astrometer.measure.capacity.search_window import WindowNeeds, judge_window, margin
from astrometer.measure.slo.slo_parser import parse_objective
from astrometer.measure.tally.exchange_stats import Stats
from astrometer.measure.tally.histogram import Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched:
    answer: SearchAnswer
    trials: tuple[Trial, ...]

    @property
    def believed(self) -> CapacityEstimate:
        """In levels."""
        told = [
            (t.level, t.verdict is StepVerdict.PASS)
            for t in self.trials
            if t.verdict in {StepVerdict.PASS, StepVerdict.FAIL}
        ]
        return estimate(told)


def search(server, settings, objective):
    plan, trials, before = settings.plan, [], None
    while isinstance(step := decide(plan, trials), Ask):
        load = settings.load(step.level) if settings.is_rate else step.level
        if before is not None and step.level < before:
            server.clear()
        if step.level != before:
            server.run(load, settings.settle_s)
        stats, length_s, told = Stats(), 0.0, WindowNeeds.EXTEND
        while told is WindowNeeds.EXTEND:
            part_s = settings.step_s if not length_s else 1.0
            taken = server.run(load, part_s)
            length_s += part_s
            stats.started += len(taken)
            answered = [seconds for seconds in taken if seconds < math.inf]
            refused = len(taken) - len(answered)
            stats.outcomes.update({"ok": len(answered), "rate_limited": refused})
            stats.missed["e2e"] += refused
            stats.ok["e2e"].merge(Histogram(answered))
            told = judge_window(
                [objective], lambda _, stats=stats: stats,
                thorough=step.thorough, may_wait=False, may_extend=length_s < settings.longest_s,
            )  # fmt: skip
        found = margin([objective], lambda _, stats=stats: stats)
        trials.append(Trial(level=step.level, verdict=told, margin=found))
        before = step.level
    return Searched(answer=step, trials=tuple(trials))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A server whose capacity is known: of `limit` answers at a time, or one with a queue."""

    slo: str
    step_s: int
    servers: int = 1
    service_s: float = 0.4
    steady: bool = False
    limit: int | None = None  # of answers at a time
    limit_s: float = 0.0  # the objective's
    share: float = 0.0  # of answers that may take longer
    repeats: int = 3

    @property
    def truth(self):
        if self.limit is not None:
            return self.limit
        return capacity(self.servers, self.service_s, self.limit_s, self.share, steady=self.steady)

    @property
    def settings(self):
        truth = self.truth
        bounded = self.limit is not None
        loads = ("1", "2000") if bounded else (f"{truth / 5:.2f}/s", f"{truth * 5:.0f}/s")
        return asked_search(*loads, step_s=float(self.step_s), repeats=self.repeats)

    @cache  # noqa: B019 (a frozen value: what several tests want is searched once)
    def searched(self, seed):
        if self.limit is not None:
            server = Bounded(limit=self.limit, service_s=self.service_s, seed=seed)
        else:
            server = Queue(
                servers=self.servers, service_s=self.service_s, seed=seed, steady=self.steady
            )  # fmt: skip
        return search(server, self.settings, parse_objective(self.slo))

    def interval(self, seed):
        """Low, middle and high in units of load; a user is whole."""
        believed, unit = self.searched(seed).believed, self.settings.unit
        ends = (believed.low, believed.middle, believed.high)
        if self.limit is not None:
            return [end and math.floor(end) for end in ends]
        return [end and end * unit for end in ends]

    def is_covered(self, seed):
        """Whether the interval holds the true capacity; an open end holds everything."""
        low, _, high = self.interval(seed)
        return (low is None or low <= self.truth) and (high is None or self.truth <= high)


def queue(servers, service_s, slo, limit_s, share, step_s, **more):
    return Subject(
        servers=servers, service_s=service_s, slo=slo, limit_s=limit_s, share=share, step_s=step_s, **more
    )  # fmt: skip


def bounded(limit):
    return Subject(limit=limit, slo="errors < 1%", step_s=10)


SUBJECTS = {
    "M/M/8, 60 s": queue(8, 0.25, "e2e_p90 < 1s", 1.0, 0.1, 60),
    "M/M/8, 60 s, one window a level": queue(8, 0.25, "e2e_p90 < 1s", 1.0, 0.1, 60, repeats=1),
    "M/M/8, 300 s": queue(8, 0.25, "e2e_p90 < 1s", 1.0, 0.1, 300),
    "M/M/20, 60 s": queue(20, 0.4, "e2e_p90 < 1500ms", 1.5, 0.1, 60),
    "M/M/4, 600 s": queue(4, 1.0, "e2e_p95 < 8s", 8.0, 0.05, 600),
    "M/D/1, p90, 120 s": queue(1, 0.1, "e2e_p90 < 800ms", 0.8, 0.1, 120, steady=True),
    "M/D/1, p50, 120 s": queue(1, 0.1, "e2e_p50 < 300ms", 0.3, 0.5, 120, steady=True),
    "6 answers at a time, 10 s": bounded(6),
    "40 answers at a time, 10 s": bounded(40),
    "100 answers at a time, 10 s": bounded(100),
}
TOO_SHORT = {
    "M/M/8, 20 s": queue(8, 0.25, "e2e_p90 < 1s", 1.0, 0.1, 20),
    "M/M/8, 10 s": queue(8, 0.25, "e2e_p90 < 1s", 1.0, 0.1, 10),
}
