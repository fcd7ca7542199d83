"""Settings -> recording rules: counters by layer and side, ratios over every window, quantiles, budgets.

Names are `level:metric:operations`. Counters are added up per exporter first, where they restart together;
`increase` is taken of that sum: a range of 30 days then reads one series per probe instead of one per reason.
"""

from collections.abc import Iterator
from typing import Any

from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.probing.status.failure_sides import SIDES
from rulebook import reasons
from rulebook.thresholds import Thresholds, seconds

Rule = dict[str, Any]
P = "astrbot_probe_"
TTFT = f"{P}time_to_first_token_seconds"
# A probe has the first series exactly if it asks the model over HTTP, the second if it asks in a messenger.
ASKS_THE_MODEL = f"{P}tokens_total"
ASKS_IN_MESSENGER = f"{P}time_to_first_reply_seconds_count"

LAYER_COUNTER = f"instance_target_probe_layer:{P}failures_total:sum"
SIDE_COUNTER = f"instance_target_probe_side:{P}failures_total:sum"
JUDGED_COUNTER = f"instance_target_probe:{P}judged_runs_total:sum"
# When a target was down, by every exporter that knows its state.
DOWN_AT = f"target:{P}target_state:down_at"
# Probes whose last run tells of now: not overdue, and not of a time at which the server was down.
TELLING = f"instance_target_probe:{P}last_run_timestamp_seconds:telling"
ANSWERS_COUNTER = f"instance_target_probe:{P}first_tokens_total:sum"
SLOW_COUNTER = f"instance_target_probe:{P}slow_first_tokens_total:sum"
DAY_S = 86400


def failures(window: str) -> str:
    return f"target_probe_side:{P}failures:increase{window}"


def failure_ratio(window: str) -> str:
    return f"target_probe_side:{P}failures:ratio_rate{window}"


def slow(window: str) -> str:
    return f"target_probe:{P}slow_first_tokens:increase{window}"


def slow_ratio(window: str) -> str:
    return f"target_probe:{P}slow_first_tokens:ratio_rate{window}"


def quantile(percent: int, window: str) -> str:
    return f"target_probe:{TTFT}:p{percent}_{window}"


def mean(window: str) -> str:
    return f"target_probe:{TTFT}:mean_{window}"


def budget_left(window: str) -> str:
    return f"target_probe_side:{P}failure_budget_left:ratio{window}"


def slow_budget_left(window: str) -> str:
    return f"target_probe:{P}slow_first_token_budget_left:ratio{window}"


def is_long(window: str) -> bool:
    """Whether a window is so long that it is evaluated less often."""
    return seconds(window) >= DAY_S


def groups(t: Thresholds) -> list[dict[str, Any]]:
    """All groups of recording rules."""
    now, later = t.evaluation.short, t.evaluation.long
    short = [rule for window in t.windows if not is_long(window) for rule in _window(t, window)]
    long = [rule for window in t.windows if is_long(window) for rule in _window(t, window)]
    groups = [
        _group("astrbot-probe-counters", now, [*_counters(t), *_by_layer(t), *_last_runs(t)]),
        _group("astrbot-probe-short-windows", now, [*short, *_first_token(t, long=False)]),
        _group("astrbot-probe-long-windows", later, [*long, *_first_token(t, long=True)]),
        _group("astrbot-probe-budget", later, list(_budget(t))),
    ]
    return [group for group in groups if group["rules"]]


def _group(name: str, interval: str, rules: list[Rule]) -> dict[str, Any]:
    return {"name": name, "interval": interval, "rules": rules}


def _rule(record: str, expr: str, **labels: str) -> Rule:
    return {"record": record, "expr": expr, **({"labels": labels} if labels else {})}


def _counters(t: Thresholds) -> Iterator[Rule]:
    by = t.by("instance", "target", "probe")
    failed = f"{P}failures_total"
    for layer, names in reasons.layers().items():
        yield _rule(LAYER_COUNTER, f"sum by ({by}) ({failed}{{{reasons.one_of(names)}}})", layer=layer)
    server, llm = (f"{failed}{{{reasons.one_of(reasons.side(side))}}}" for side in SIDES)
    asks = f"on ({by}) ({ASKS_THE_MODEL} or {ASKS_IN_MESSENGER})"
    yield _rule(
        SIDE_COUNTER,
        # A model that was never asked is not to blame: a list that comes too late is the server's failure.
        f"sum by ({by}) (\n    {server}\n  or\n    ({llm} unless {asks})\n)",
        side="server",
    )
    yield _rule(SIDE_COUNTER, f"sum by ({by}) ({llm} and {asks})", side="llm")
    runs, nothing_said = f"sum by ({by}) ({P}runs_total)", f"{failed}{{{reasons.one_of(reasons.unjudged())}}}"
    yield _rule(JUDGED_COUNTER, f"{runs}\n  - (sum by ({by}) ({nothing_said}) or 0 * {runs})")
    limit = f"{float(t.slo.ttft_seconds)}"  # as prometheus-client writes it: le="3.0"
    yield _rule(ANSWERS_COUNTER, f"sum by ({by}) ({TTFT}_count)")
    yield _rule(
        SLOW_COUNTER, f'sum by ({by}) ({TTFT}_count)\n  - sum by ({by}) ({TTFT}_bucket{{le="{limit}"}})'
    )


def last_run(t: Thresholds, compared: str) -> str:
    """Probes, by the seconds since their last run: `>` those that do not run any more, `<=` those that do."""
    limit = f"{t.stale.intervals:g} * {P}interval_seconds + {seconds(t.stale.grace):g}"
    return f"time() - {P}last_run_timestamp_seconds {compared} {limit}"


def ended(matcher: str) -> str:
    """Probes whose last run ended so."""
    return f"{P}last_run_info{{{matcher}}}"


def _last_runs(t: Thresholds) -> Iterator[Rule]:
    target, on = t.by("target"), f"on ({t.by('instance', 'target', 'probe')})"
    state, each = f"{P}target_state", t.by("instance", "target")
    known = f'{state}{{state="down"}} unless on ({each}) {state}{{state="unknown"}} == 1'
    yield _rule(DOWN_AT, f"time() * (min by ({target}) ({known}) == 1)")
    window = max(t.messenger_silent.window, t.messenger_link_down.window, key=seconds)
    yield _rule(
        TELLING,
        f"{P}last_run_timestamp_seconds and {on} {last_run(t, '<=')}\n"
        f"unless {on}\n  {P}last_run_timestamp_seconds\n"
        f"    <= on ({target}) group_left () last_over_time({DOWN_AT}[{window}])",
    )


def _by_layer(t: Thresholds) -> Iterator[Rule]:
    window = min((burn.long for burn in t.burn), key=seconds)
    by = t.by("target", "probe", "layer")
    yield _rule(
        f"target_probe_layer:{P}failures:increase{window}",
        f"sum by ({by}) (increase({LAYER_COUNTER}[{window}]))",
    )


def _window(t: Thresholds, window: str) -> Iterator[Rule]:
    place, on_side = t.by("target", "probe"), t.by("target", "probe", "side")
    judged = f"target_probe:{P}judged_runs:increase{window}"
    answers = f"target_probe:{P}first_tokens:increase{window}"
    yield _rule(judged, f"sum by ({place}) (increase({JUDGED_COUNTER}[{window}]))")
    yield _rule(failures(window), f"sum by ({on_side}) (increase({SIDE_COUNTER}[{window}]))")
    # No run, no ratio: a probe that was skipped was not down, and not up either.
    yield _rule(failure_ratio(window), f"{failures(window)}\n  / on ({place}) group_left ()\n({judged} > 0)")
    yield _rule(answers, f"sum by ({place}) (increase({ANSWERS_COUNTER}[{window}]))")
    yield _rule(slow(window), f"sum by ({place}) (increase({SLOW_COUNTER}[{window}]))")
    yield _rule(slow_ratio(window), f"{slow(window)}\n  /\n({answers} > 0)")


def _budget(t: Thresholds) -> Iterator[Rule]:
    window = t.slo.budget_window
    for side, share in (("server", t.slo.availability), ("llm", t.slo.llm)):
        yield _rule(
            budget_left(window), f'1 - {failure_ratio(window)}{{side="{side}"}} / (1 - {share:g})', side=side
        )
    yield _rule(slow_budget_left(window), f"1 - {slow_ratio(window)} / (1 - {t.slo.ttft:g})")


def _first_token(t: Thresholds, *, long: bool) -> Iterator[Rule]:
    place = t.by("target", "probe")
    pairs = [(50, window) for window in t.quantiles.p50] + [(95, window) for window in t.quantiles.p95]
    for percent, window in pairs:
        if is_long(window) is not long:
            continue
        enough = f"sum by ({place}) (increase({TTFT}_count[{window}])) >= {MIN_SAMPLES[percent]}"
        rates = f"sum by ({place}, le) (rate({TTFT}_bucket[{window}]))"
        yield _rule(
            quantile(percent, window), f"histogram_quantile({percent / 100:g}, {rates})\nand\n  {enough}"
        )
    for window in t.quantiles.p50:
        if is_long(window) is not long:
            continue
        total = f"sum by ({place}) (increase({TTFT}_sum[{window}]))"
        count = f"sum by ({place}) (increase({TTFT}_count[{window}]))"
        yield _rule(mean(window), f"{total}\n  /\n({count} >= {MIN_SAMPLES[50]})")
