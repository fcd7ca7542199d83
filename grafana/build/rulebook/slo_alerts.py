"""Objectives -> alerts on how fast the error budget burns, and on first tokens that became slower."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from astrometer.probing.verdict import ProbeReason
from rulebook.alert import DURATION, PROBE, SHARE, TARGET, Rule, alert, at_least
from rulebook.recording import (
    DOWN_AT,
    JUDGED_COUNTER,
    TTFT,
    P,
    failure_ratio,
    failures,
    mean,
    quantile,
    slow,
    slow_ratio,
)
from rulebook.thresholds import Burn, Thresholds, duration, seconds

MESSENGER_PAGES = 'ALERTS{alertname=~"AstrBotMessenger.+",alertstate="firing",severity="page"}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Budget:
    """What may go wrong: series of its share and its count by window, and the share that is allowed."""

    ratio: Callable[[str], str]
    bad: Callable[[str], str]
    allowed: float
    select: str = ""

    def burning(self, t: Thresholds, burn: Burn) -> str:
        """Both windows above the limit, and enough bad events to mean anything.

        Not of a time at which the server was down, or the probe's messenger failed, which have pages of their
        own; nor of a probe that nobody reports any more. A window of six hours says nothing before there are
        six hours of data.

        A probe that runs less often than the short window is long leaves holes in its series: its last value
        counts. One that can fail `min_bad` times in the long window leaves none longer than `hole`.
        """
        limit, min_bad = f"> {burn.factor * self.allowed:.6g}", t.guard.min_failures
        hole = duration(seconds(burn.long) / min_bad)
        return (
            f"{self.ratio(burn.long)}{self.select} {limit}\n"
            f"and\n  last_over_time({self.ratio(burn.short)}{self.select}[{hole}]) {limit}\n"
            f"and\n  {self.bad(burn.long)}{self.select} {at_least(min_bad)}\n"
            f"{_old_enough(t, burn)}"
            f"and on ({t.by('target', 'probe')})\n  present_over_time({JUDGED_COUNTER}[{burn.short}])\n"
            f"unless on ({t.by('target')})\n  last_over_time({DOWN_AT}[{burn.short}])\n"
            f"unless on ({t.by('target', 'probe')})\n  last_over_time({MESSENGER_PAGES}[{burn.short}])"
        )


def _old_enough(t: Thresholds, burn: Burn) -> str:
    """That the probe was there when the window began. The shortest one must tell of a new probe, too."""
    if burn.long == min((other.long for other in t.burn), key=seconds):
        return ""
    around, ago = duration(2 * seconds(burn.short)), duration(seconds(burn.long) - seconds(burn.short))
    place = t.by("target", "probe")
    return f"and on ({place})\n  present_over_time({JUDGED_COUNTER}[{around}] offset {ago})\n"


def _failures(side: str, objective: float) -> _Budget:
    return _Budget(ratio=failure_ratio, bad=failures, allowed=1 - objective, select=f'{{side="{side}"}}')


def _burn(
    t: Thresholds,
    name: str,
    budget: _Budget,
    burn: Burn,
    *,
    route: str,
    summary: str,
    description: str,
    expr: str = "",
) -> Rule:
    return alert(
        t,
        name,
        expr or budget.burning(t, burn),
        lasting=burn.for_,
        kept=burn.keep_firing_for,
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
        burning, models = budget.burning(t, burn), _models_time(t, burn.long)
        on = f"on ({t.by('target', 'probe')})"
        said = (
            f"{SHARE} of the answers of the last {burn.long} began after more than "
            f"{t.slo.ttft_seconds:g} s; the objective allows {_percent(budget.allowed)}."
        )
        yield _burn(
            t,
            "AstrBotTTFTBurn",
            budget,
            burn,
            expr=f"{burning}\nunless {on}\n  ({models})",
            route="server",
            summary=f"AstrBot is slow: {PROBE}, {burn.factor:g} times as often as its objective allows",
            description=f"{said} Most of that time was not the model's, or nobody knows whose it was.",
        )
        yield _burn(
            t,
            "AstrBotTTFTBurn",
            budget,
            burn,
            expr=f"{burning}\nand {on}\n  ({models})",
            route="upstream",
            summary=(
                f"The model behind AstrBot is slow: {PROBE}, {burn.factor:g} times as often as its "
                "objective allows"
            ),
            description=f"{said} More than half of the mean was the model's time, as AstrBot measures it.",
        )


def _models_time(t: Thresholds, window: str) -> str:
    """Probes whose first tokens took longer in the model than elsewhere, by the server's own measure."""
    place = t.by("target", "probe")
    total, count = (f"sum by ({place}) (increase({TTFT}_{part}[{window}]))" for part in ("sum", "count"))
    server = f"avg by ({place}) (avg_over_time({P}server_time_to_first_token_seconds[{window}]))"
    return f"{server} > {total} / ({count} > 0) / 2"


def upstream(t: Thresholds) -> Iterator[Rule]:
    budget = _failures("llm", t.slo.llm)
    failing = f'{P}state{{layer="model",state="failing"}} == 1'
    slow = f'{P}state_since_timestamp_seconds{{layer="model",reason="{ProbeReason.SLOW}"}}'
    yield alert(
        t,
        "AstrBotUpstreamLLMFailing",
        f"group by ({t.by('target')}) ({failing} unless on ({t.by('instance', 'target')}) {slow})",
        lasting=t.down.for_,
        kept=t.down.keep_firing_for,
        severity="page",
        route="upstream",
        symptom=True,
        about="now",
        summary=f"The model behind AstrBot {TARGET} fails",
        description="Three runs of a probe got no good answer from the model. AstrBot itself answered.",
    )
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
