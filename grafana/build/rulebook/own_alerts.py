"""What is wrong with the watching itself: probes that do not run, an exporter that is gone or late."""

from collections.abc import Iterator

from rulebook.alert import COUNT, DURATION, INSTANCE, PROBE, TARGET, Rule, alert, at_least
from rulebook.recording import P, last_run
from rulebook.thresholds import Thresholds


def cleanup(t: Thresholds) -> Iterator[Rule]:
    s, by = t.cleanup_failing, t.by("target", "resource")
    yield alert(
        t,
        "AstrBotCleanupFailing",
        f"sum by ({by}) (increase({P}cleanup_failures_total[{s.window}])) {at_least(s.count)}",
        severity="ticket",
        route="monitoring",
        symptom=True,
        summary=f"Probes leave things behind on AstrBot {TARGET}: {{{{ $labels.resource }}}}",
        description=f"{COUNT} deletions failed in {s.window}.",
    )


def budget_exhausted(t: Thresholds) -> Iterator[Rule]:
    s, by = t.budget_exhausted, t.by("target")
    yield alert(
        t,
        "AstrBotBudgetExhausted",
        f'sum by ({by}) (increase({P}skipped_total{{cause="budget"}}[{s.window}])) > 0\n'
        f"or\n  min by ({by}) ({P}budget_tokens_remaining) <= 0",
        lasting=s.for_,
        severity="ticket",
        route="monitoring",
        summary=f"The probes' budget for AstrBot {TARGET} is spent",
        description=(
            "Probes that cost tokens are skipped until the budget's next window: nobody watches the model."
        ),
    )


def stale(t: Thresholds) -> Iterator[Rule]:
    by = t.by("target", "probe")
    skipped = f'{P}skipped_total{{cause=~"budget|pace"}}'
    yield alert(
        t,
        "AstrBotProbeStale",
        f"min by ({by}) (\n    {last_run(t, '>')}\n)\n"
        f"unless on ({by})\n  sum by ({by}) (increase({skipped}[{t.stale.skipped_within}])) > 0",
        lasting=t.stale.for_,
        severity="ticket",
        route="monitoring",
        summary=f"Probe {PROBE} does not run",
        description=(
            f"Its last run ended {DURATION} ago, more than {t.stale.intervals:g} of its intervals, "
            "and no budget keeps it from running."
        ),
    )


def absent(t: Thresholds) -> Iterator[Rule]:
    info, runs, window = f"{P}exporter_build_info", f"{P}runs_total", t.absent.lookback
    by, job = t.by("target", "probe"), t.by()

    def missing(about: str, expr: str, *, severity: str, summary: str, description: str) -> Rule:
        return alert(
            t,
            "AstrBotProbeAbsent",
            expr,
            lasting=t.absent.for_,
            severity=severity,
            route="monitoring",
            about=about,
            summary=summary,
            description=description,
        )

    yield missing(
        "all",
        f"absent({info})",
        severity="page",
        summary="No astrometer exporter is scraped",
        description="Nothing watches AstrBot: no exporter at all answers Prometheus.",
    )
    yield missing(
        "exporter",
        # As long as Prometheus has it on its list: that somebody noticed is no reason to fall silent.
        f"up == 0\nand on (job, instance)\n  last_over_time({info}[{t.absent.exporter_lookback}])",
        severity="ticket",
        summary=f"The astrometer exporter {INSTANCE} does not answer",
        description=f"It did within the last {t.absent.exporter_lookback}, and Prometheus still asks it.",
    )
    yield missing(
        "probe",
        f"group by ({by}) (last_over_time({runs}[{window}]))\nunless\n  group by ({by}) ({runs})\n"
        f"and on ({job})\n  group by ({job}) ({info})",
        severity="ticket",
        summary=f"Probe {PROBE} has disappeared",
        description=f"The exporter answers and reported it within the last {window}, and does not any more.",
    )


def reload_failed(t: Thresholds) -> Iterator[Rule]:
    yield alert(
        t,
        "AstrBotProbeReloadFailed",
        f"{P}exporter_config_last_reload_successful == 0",
        lasting=t.reload_failed.for_,
        severity="ticket",
        route="monitoring",
        summary=f"The astrometer exporter {INSTANCE} runs with an old config",
        description="Its last reload was refused; the config from before is still in force.",
    )


def loop_lag(t: Thresholds) -> Iterator[Rule]:
    yield alert(
        t,
        "AstrBotProbeLoopLag",
        f"{P}exporter_event_loop_lag_seconds > {t.loop_lag.seconds:g}",
        lasting=t.loop_lag.for_,
        severity="ticket",
        route="monitoring",
        summary=f"The astrometer exporter {INSTANCE} is late: its times are not to be trusted",
        description=(
            f"A timer fired {DURATION} too late: every time that it measures may be too long by as much."
        ),
    )


def watchdog(t: Thresholds) -> Iterator[Rule]:
    yield alert(
        t,
        "AstrBotProbeWatchdog",
        "vector(1)",
        severity="none",
        route="monitoring",
        summary="Alerts about AstrBot work",
        description="Always firing. Whoever receives it raises the alarm when it stops coming.",
    )


ALL = (cleanup, budget_exhausted, stale, absent, reload_failed, loop_lag, watchdog)
