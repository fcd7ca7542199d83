"""How much may still go wrong, how fast is it being used up, and what does the watching cost?"""

from grafana_foundation_sdk.builders import bargauge, stat, timeseries
from grafana_foundation_sdk.models import common as look
from leads import places, to_target
from looks import BAD, GOOD, PLAIN, WARN, dashed
from page import At, Page, Section, line_up
from panels import LOG, bars, faults, graph, line, now, number, stack
from queries import RATE, THRESHOLDS, count, probe, recorded, target, where
from rulebook import recording
from rulebook.thresholds import seconds
from service import service
from variables import EXPORTERS, data_source, of_probes, of_scrape

SLO = THRESHOLDS.slo
SIDES = {"server": ("AstrBot", SLO.availability), "llm": ("model", SLO.llm)}
BUDGET = ((None, BAD), (0, WARN), (0.25, GOOD))
BURN = ((None, GOOD), (1, WARN), (6, BAD))
FASTEST_BURN = round(1 / (1 - max(SLO.availability, SLO.llm, SLO.ttft)))  # everything fails
LEAST_BURN = 0.1  # a log axis has no 0
CLAMPED = "Shown down to -100%."
SLOW = f"TTFT over {SLO.ttft_seconds:g} s"


def page() -> Page:
    return Page(
        uid="astrometer-slo",
        description="Error budgets, how fast they burn, what probing costs and what it leaves behind.",
        variables=[data_source(), *of_scrape(EXPORTERS), *of_probes(), *places()],
        sections=[
            Section(panels=top()),
            Section(
                title="Error budget",
                panels=[
                    *line_up(0, 10, (burning(), 8), (over_time(), 16)),
                    *line_up(10, 8, (left_over_time(), 12), (availability_over_time(), 12)),
                ],
            ),
            Section(title="Cost", panels=line_up(0, 8, (tokens(), 8), (tokens_left(), 8), (skipped(), 8))),
            Section(title="Left behind", panels=line_up(0, 7, (leaked(), 12), (cleanup_failures(), 12))),
        ],
    )


def top() -> list[At]:
    sides = [(budget_left(side), 4) for side in SIDES]
    return line_up(0, 5, (service(), 5), *sides, (slow_left(), 4), (history(), 4), (spent(), 3))


def _ratio(window: str, side: str) -> str:
    """The worst probe's: a mean would let a healthy probe hide a broken one."""
    return f"max({recorded(recording.failure_ratio(window), where('side', side))})"


def _slow_ratio(window: str) -> str:
    return f"max({recorded(recording.slow_ratio(window))})"


def _left(side: str) -> str:
    return recorded(recording.budget_left(SLO.budget_window), where("side", side))


def budget_left(side: str) -> stat.Panel:
    name, objective = SIDES[side]
    return _worst(
        f"Budget left: {name}",
        f"Of the failures that an objective of {objective:.4g} allows in {SLO.budget_window}, the share "
        f"that is left, of the worst chosen probe; below 0 the objective is missed. {CLAMPED} Counted are "
        f"failures of the side `{side}`.",
        _left(side),
    )


def slow_left() -> stat.Panel:
    return _worst(
        "Budget left: TTFT",
        f"Of the answers that may be slower than {SLO.ttft_seconds:g} s to their first token "
        f"({1 - SLO.ttft:.4g} of them in {SLO.budget_window}), the share that is left, of the worst chosen "
        f"probe. {CLAMPED}",
        recorded(recording.slow_budget_left(SLO.budget_window)),
    )


def _worst(title: str, description: str, left: str) -> stat.Panel:
    """The worst probe by its name, which stands above the figure."""
    worst = f"clamp_min(bottomk(1, min by (target, probe) ({left})), -1)"
    return number(
        title,
        description,
        "percentunit",
        now(worst, "{{target}} / {{probe}}"),
        colors=BUDGET,
        none="no runs judged",
        decimals=0,
    ).text_mode(look.BigValueTextMode.VALUE_AND_NAME)


def history() -> stat.Panel:
    days = SLO.budget_window
    return number(
        "History",
        f"How long the budgets have been recorded, of {days}, in quarters of an hour. Shorter: they are "
        "those of this time alone, so one bad hour weighs more than it will.",
        "s",
        now(f"900 * max(count_over_time({_left('server')}[{days}:15m]))"),
        colors=((None, WARN), (seconds(days) / 2, PLAIN)),
        none="< 15 min",
        decimals=0,
    )


def spent() -> stat.Panel:
    return number(
        "Tokens spent",
        "Tokens of all probes in the time range, as the servers count them, input and output.",
        "short",
        now(count(probe("tokens_total"))),
    )


def burning() -> bargauge.Panel:
    queries = [
        now(f"{_ratio(window, side)} / {1 - objective:.4g}", f"{name} {window}")
        for side, (name, objective) in SIDES.items()
        for window in _burn_windows()
    ]
    queries += [
        now(f"{_slow_ratio(window)} / {1 - SLO.ttft:.4g}", f"TTFT {window}") for window in _burn_windows()
    ]
    fastest = THRESHOLDS.burn[0].factor
    pairs = ", ".join(f"{burn.factor:g} on {burn.long} and {burn.short}" for burn in THRESHOLDS.burn)
    return (
        bars(
            "Burn rate now",
            "How many times faster than the objective allows its budget is used up, by window; of the worst "
            f"chosen probe. At 1 it lasts exactly its {SLO.budget_window}. Alerts: {pairs}. A bar is full at "
            f"{fastest:g}.",
            "none",
            *queries,
            colors=BURN,
            none="no runs judged",
        )
        .max(fastest)
        .decimals(1)
    )


def _shown(burn: str) -> str:
    return f"clamp_min({burn}, {LEAST_BURN})"


def _burn_windows() -> list[str]:
    return [burn.long for burn in THRESHOLDS.burn]


def over_time() -> timeseries.Panel:
    fastest = THRESHOLDS.burn[0]
    queries = [
        line(_shown(f"{_ratio(fastest.long, side)} / {1 - objective:.4g}"), f"{name} {fastest.long}")
        for side, (name, objective) in SIDES.items()
    ]
    limits = [(burn.factor, BAD if burn.severity == "page" else WARN) for burn in reversed(THRESHOLDS.burn)]
    return (
        graph(
            f"Burn rate over {fastest.long}",
            "Of the worst chosen probe, on a log axis: its floor is none at all. Dashed: the factors at "
            "which the alerts fire, in their own windows.",
            "none",
            *queries,
            line(_shown(f"{_slow_ratio(fastest.long)} / {1 - SLO.ttft:.4g}"), f"TTFT {fastest.long}"),
            limits=limits,
            calcs=("lastNotNull", "max"),
            none="no runs judged",
        )
        .scale_distribution(LOG)
        .min(LEAST_BURN)
        .max(FASTEST_BURN)
    )


def left_over_time() -> timeseries.Panel:
    queries = [
        line(
            f"clamp_min(min by (target) ({_left(side)}), -1)",
            f"{{{{target}}}} {name}",
        )
        for side, (name, _) in SIDES.items()
    ]
    return (
        graph(
            "Budget left by target",
            f"What is left of {SLO.budget_window}; what is overdrawn is shown down to -100%. Steps down are "
            "failures; a rise is an old failure that leaves the window. Solid: AstrBot; dashed: the model.",
            "percentunit",
            *queries,
            calcs=("lastNotNull",),
        )
        .max(1)
        .override_by_regexp("/ model$/", [dashed()])
        .override_by_regexp("/.*/", [to_target()])
    )


def availability_over_time() -> timeseries.Panel:
    window = THRESHOLDS.burn[1].long
    side = 'side="server"'
    return (
        graph(
            f"Availability by target, over {window}",
            "Share of judged runs that did not fail on the server's side. Runs that say nothing of the "
            "server, such as a rejected key, are not judged; skipped runs are none. Dashed: the objective.",
            "percentunit",
            line(
                f"clamp_min(1 - max by (target) ({recorded(recording.failure_ratio(window), side)}), 0)",
                "{{target}}",
            ),
            limits=((SLO.availability, GOOD),),
            calcs=("lastNotNull", "min"),
        )
        .max(1)
        .axis_soft_min(0.95)
    )


def tokens() -> timeseries.Panel:
    return stack(
        "Tokens an hour",
        "What probing costs now, input and output, by target.",
        "short",
        line(f"3600 * sum by (target) (rate({probe('tokens_total')}[{RATE}])) > 0", "{{target}}"),
    )


def tokens_left() -> timeseries.Panel:
    return graph(
        "Tokens left today",
        "Of each target's daily cap; at 0 its probes that cost tokens are skipped until midnight UTC. A "
        "target without a cap has no line.",
        "short",
        line(f"min by (target) ({target('budget_tokens_remaining')})", "{{target}}"),
        none="no daily cap",
    )


def skipped() -> timeseries.Panel:
    return faults(
        "Skipped runs",
        "budget: today's tokens or runs are spent. overlap: the run before still goes on. schedule: too "
        "many runs at once, or the exporter was held up.",
        "none",
        line(f"sum by (cause) (increase({probe('skipped_total')}[{RATE}])) > 0", "{{cause}}"),
        seen=probe("skipped_total"),
    )


def leaked() -> timeseries.Panel:
    return graph(
        "Made and not deleted",
        "Sessions and files of probes that are still on the server. AstrBot before 4.26 cannot delete "
        "sessions by key: there it is one for each probe.",
        "none",
        line(f"sum by (target, resource) ({probe('leaked_resources')})", "{{target}} {{resource}}"),
        calcs=("lastNotNull",),
    ).axis_soft_max(4)


def cleanup_failures() -> timeseries.Panel:
    return faults(
        "Deletions that failed",
        "Tried and not done, or not verified.",
        "none",
        line(
            f"sum by (target, resource) (increase({probe('cleanup_failures_total')}[{RATE}])) > 0",
            "{{target}} {{resource}}",
        ),
        seen=probe("cleanup_failures_total"),
    )
