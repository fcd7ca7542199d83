"""A metric's declaration -> the series that a plan gives it: zero at the start, counted before, forgotten."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias, TypeVar

from prometheus_client import Counter, Gauge, Histogram

from astrometer.probing.plan import Plan

Metric: TypeAlias = Counter | Gauge | Histogram
M = TypeVar("M", Counter, Gauge, Histogram)
Labels: TypeAlias = tuple[str, ...]
Values: TypeAlias = Iterable[str] | Callable[[Plan], Iterable[str]]  # of one label

BY_TARGET = ("target",)
BY_PROBE = ("target", "probe")


@dataclass(frozen=True, slots=True)
class Family:
    """A metric of targets or probes: `plans` says which have it, `values` what its further labels can be."""

    metric: Metric
    by: Labels
    plans: Callable[[Plan], bool]
    values: tuple[Values, ...]
    from_zero: bool  # or it is absent until a run sets it

    def series(self, plan: Plan) -> Iterator[Labels]:
        """The labels of every series that runs of `plan` can make."""
        if self.plans(plan):
            values = [each(plan) if callable(each) else each for each in self.values]
            yield from product(*((name,) for name in plan.place[: len(self.by)]), *values)


class Families:
    """All metrics of targets and probes. What is declared here exists, is counted and ends with its plan."""

    def __init__(self) -> None:
        self._all: list[Family] = []

    def add(
        self,
        metric: Callable[..., M],
        name: str,
        text: str,
        plans: Callable[[Plan], bool],
        *,
        by: Labels = BY_PROBE,
        from_zero: bool | None = None,
        **labels: Values,
    ) -> M:
        """Makes the metric. Counters and histograms start at 0, gauges only if `from_zero`."""
        made = metric(name, text, (*by, *labels))
        zero = not isinstance(made, Gauge) if from_zero is None else from_zero
        self._all.append(Family(made, by, plans, tuple(labels.values()), zero))
        return made

    def declare(self, plan: Plan, *, whole: bool = False) -> None:
        """The series that `plan` starts with; `whole`: all that it can ever have."""
        for family in self._all:
            if whole or family.from_zero:
                for labels in family.series(plan):
                    family.metric.labels(*labels)

    def forget(self, *place: str) -> None:
        """All series of a target, or of a target and a probe."""
        for family in self._all:
            if len(family.by) == len(place):
                family.metric.remove_by_labels(dict(zip(family.by, place, strict=True)))


def every(plan: Plan) -> bool:
    """Of others, the samples are those of whoever asks `/probe`."""
    return plan.schedule


def chats(plan: Plan) -> bool:
    """It asks over HTTP. A question in the messenger has neither a stream nor a session to remove."""
    return plan.schedule and plan.probe.costs_tokens and not plan.probe.needs_messenger


def in_messenger(plan: Plan) -> bool:
    return plan.schedule and plan.probe.needs_messenger


def leaves_things(plan: Plan) -> bool:
    """Also when it is asked on demand: what stays on the server stays."""
    return plan.probe.costs_tokens


def every_target(_plan: Plan) -> bool:
    return True


def has_tls(plan: Plan) -> bool:
    return plan.target.url.lower().startswith("https:")


def connects_with_tls(plan: Plan) -> bool:
    """A messenger's adapter has an address of its own."""
    messenger = plan.target.messenger
    if plan.probe.needs_messenger and messenger is not None:
        return messenger.url.lower().startswith("wss:")
    return has_tls(plan)


def has_budget(plan: Plan) -> bool:
    return plan.target.budget.tokens_per_day is not None
