"""Objectives -> alerts on how fast the error budget burns, and on first tokens that became slower."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rulebook.alert import DURATION, PROBE, SHARE, Rule, alert, at_least
from rulebook.recording import failure_ratio, failures, mean, quantile, slow, slow_ratio
from rulebook.thresholds import Burn, Thresholds, duration, seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class _Budget:
    """What may go wrong: series of its share and its count by window, and the share that is allowed."""

    ratio: Callable[[str], str]
    bad: Callable[[str], str]
    allowed: float
    select: str = ""

    def burning(self, burn: Burn, min_bad: int) -> str:
        """Both windows above the limit, and enough bad events to mean anything.

        A probe that runs less often than the short window is long leaves holes in its series: its last value
        counts. One that can fail `min_bad` times in the long window leaves none longer than `hole`.
        """
        limit = f"> {burn.factor * self.allowed:.6g}"
        hole = duration(seconds(burn.long) / min_bad)
        return (
            f"{self.ratio(burn.long)}{self.select} {limit}\n"
            f"and\n  last_over_time({self.ratio(burn.short)}{self.select}[{hole}]) {limit}\n"
            f"and\n  {self.bad(burn.long)}{self.select} {at_least(min_bad)}"
        )


def _failures(side: str, objective: float) -> _Budget:
    return _Budget(ratio=failure_ratio, bad=failures, allowed=1 - objective, select=f'{{side="{side}"}}')


def _burn(
    t: Thresholds, name: str, budget: _Budget, burn: Burn, *, route: str, summary: str, description: str
) -> Rule:
    return alert(
        t,
        name,
        budget.burning(burn, t.guard.min_failures),
        lasting=burn.for_,
        severity=burn.severity,
        route=route,
        symptom=True,
        window=burn.long,
        summary=summary,
        description=description,
    )


def availability(t: Thresholds) -> Iterator[Rule]:
    budget = _failures("server", t.slo.availability)
    for burn in t.burn:
        yield _burn(
            t,
            "AstrBotAvailabilityBurn",
            budget,
            burn,
            route="server",
            summary=f"AstrBot fails: {PROBE}, {burn.factor:g} times as often as its objective allows",
            description=(
                f"{SHARE} of the runs of the last {burn.long} failed on the server's side; the objective "
                f"allows {_percent(budget.allowed)}."
            ),
        )


def ttft(t: Thresholds) -> Iterator[Rule]:
    budget = _Budget(ratio=slow_ratio, bad=slow, allowed=1 - t.slo.ttft)
    for burn in t.burn:
        yield _burn(
            t,
            "AstrBotTTFTBurn",
            budget,
            burn,
            route="server",
            summary=f"AstrBot is slow: {PROBE}, {burn.factor:g} times as often as its objective allows",
            description=(
                f"{SHARE} of the answers of the last {burn.long} began after more than "
                f"{t.slo.ttft_seconds:g} s; the objective allows {_percent(budget.allowed)}."
            ),
        )


def upstream(t: Thresholds) -> Iterator[Rule]:
    budget = _failures("llm", t.slo.llm)
    for burn in t.burn:
        if burn.severity != "page":
            continue
        yield _burn(
            t,
            "AstrBotUpstreamLLMFailing",
            budget,
            burn,
            route="upstream",
            summary=f"The model behind AstrBot fails: {PROBE}",
            description=(
                f"{SHARE} of the runs of the last {burn.long} got no good answer from "
                f"the model; the objective allows {_percent(budget.allowed)}. AstrBot itself answered."
            ),
        )


def degraded(t: Thresholds) -> Iterator[Rule]:
    d = t.degraded
    p50, mean_now = quantile(50, d.window), mean(d.window)
    p50_before, mean_before = (
        f"{of(d.before)} offset {d.window}" for of in (lambda w: quantile(50, w), mean)
    )
    yield alert(
        t,
        "AstrBotTTFTDegraded",
        # The median of a classic histogram is coarse, the mean is moved by one outlier: both must say so.
        f"{p50}\n  > {d.factor:g} * {p50_before}\n"
        f"and\n  {mean_now}\n  > {d.factor:g} * {mean_before}\n"
        f"and\n  {p50} - {p50_before} > {d.min_seconds:g}",
        lasting=d.for_,
        severity="ticket",
        route="server",
        symptom=True,
        summary=f"AstrBot has become slower: first tokens of {PROBE}",
        description=(
            f"The median time to first token of the last {d.window} is {DURATION}, more than "
            f"{d.factor:g} times that of the {d.before} before."
        ),
    )


def _percent(share: float) -> str:
    return f"{share * 100:.4g}%"


ALL = (availability, ttft, upstream, degraded)
