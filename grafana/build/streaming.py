"""How do answers stream: when does the first token come, how even is the rest, what breaks off?"""

import messenger
from grafana_foundation_sdk.builders import heatmap, stat, timeseries
from leads import places, to_outcome, to_target
from looks import BAD, GOOD, WARN, dashed, fixed, prop
from page import Page, Section, line_up
from panels import NOBODY, TOO_FEW, Query, density, faults, graph, line, now, number, stack
from queries import (
    RANGE,
    RATE,
    THRESHOLDS,
    WINDOW,
    after,
    failed_for,
    probe,
    probe_quantile,
    share,
    total,
    where,
)
from service import service
from variables import EXPORTERS, data_source, of_probes, of_scrape, window

from astrometer.api.outcome import Outcome
from astrometer.probing.exporter.metrics import PHASES

TTFT = "time_to_first_token_seconds"
GAP = "inter_chunk_gap_seconds"
BROKEN = (
    Outcome.TRUNCATED,
    Outcome.RESET,
    Outcome.STALLED,
    Outcome.TIMEOUT_FIRST_TOKEN,
    Outcome.TIMEOUT_TOTAL,
    Outcome.NOT_SSE,
    Outcome.STREAM_ERROR,
    Outcome.MALFORMED,
    Outcome.EMPTY_ANSWER,
)
# A probe has this series exactly if it asks the model.
ASKED = probe("tokens_total")
SERVERS = probe("server_time_to_first_token_seconds")
OUTPUT = 'direction="output"'
FAILED = "failed"
# The probes that ask the model and whose last run passed.
PASSED_LAST = f"on (target, probe) ({probe('success')} == 1 and on (target, probe) {ASKED})"
BEFORE_THE_FIRST = "|".join(PHASES[: PHASES.index("generation")])


def page() -> Page:
    return Page(
        uid="astrometer-streaming",
        description="How answers stream: first token, the gaps after it, what breaks off.",
        variables=[data_source(), *of_scrape(EXPORTERS), *of_probes(), window(), *places()],
        sections=[
            Section(
                panels=line_up(
                    0, 4, (service(), 6), (first_token(), 5), (gap(), 5), (stall(), 4), (broken(), 4)
                )
            ),
            Section(title="First token", panels=line_up(0, 9, (ttft_map(), 12), (ttft_lines(), 12))),
            Section(title="Between tokens", panels=line_up(0, 9, (gap_map(), 12), (gap_lines(), 12))),
            Section(title="Where the time goes", panels=line_up(0, 8, (phases(), 12), (both_clocks(), 12))),
            Section(
                title="What goes wrong in a stream",
                panels=line_up(0, 8, (stalls(), 8), (breaks(), 8), (events(), 8)),
            ),
            Section(title="Speed", panels=line_up(0, 7, (speed(), 12), (answers(), 12))),
            Section(
                title="Messenger",
                panels=line_up(0, 8, (messenger.replies(), 12), (messenger.outcomes(), 12)),
            ),
        ],
    )


def _asked(window: str) -> str:
    return f"increase({probe('runs_total')}[{window}]) and on (target, probe) {ASKED}"


def first_token() -> stat.Panel:
    return number(
        "Time to first token",
        "Send to the first output of the model, of good answers in the time range. Heartbeats and the "
        "session's own event are no token. p50 is withheld below 20 answers, p95 below 200.",
        "s",
        now(probe_quantile(50, TTFT, RANGE), "p50"),
        now(probe_quantile(95, TTFT, RANGE), "p95"),
        none="too few",
    )


def gap() -> stat.Panel:
    return number(
        "Gap between chunks",
        "Between two chunks of the answer, in the time range. p50 is withheld below 20 gaps, p99 below 1000.",
        "s",
        now(probe_quantile(50, GAP, RANGE), "p50"),
        now(probe_quantile(99, GAP, RANGE), "p99"),
        none="too few",
    )


def stall() -> stat.Panel:
    return number(
        "Longest gap",
        "The longest gap of any chosen probe's last run in the time range; a probe that was asked often "
        "has had longer ones between two scrapes.",
        "s",
        now(f"max(max_over_time({probe('max_stall_seconds')}[{RANGE}]))"),
        colors=((None, GOOD), (2, WARN), (10, BAD)),
    )


def broken() -> stat.Panel:
    return number(
        "Broken streams",
        "Runs in the time range whose stream broke off, stalled, stayed empty or was no stream. "
        "Which, see below. –: nothing was asked.",
        "none",
        now(after(_asked(RANGE), total(f"increase({probe('failures_total', failed_for(BROKEN))}[{RANGE}])"))),
        colors=((None, GOOD), (0.5, BAD)),
        decimals=0,
    )


def ttft_map() -> heatmap.Panel:
    return density(
        "Time to first token, all answers",
        "How many answers began after how long. Two bands are two kinds of answers: a cache, a second model, "
        "a queue.",
        line(f"sum by (le) (increase({probe(f'{TTFT}_bucket')}[{RATE}]))").exemplar(True),
    )


def ttft_lines() -> timeseries.Panel:
    return (
        graph(
            "Time to first token by target",
            "Over the window chosen above, sliding: p50 thin, p95 thick, and p50 of the first reasoning "
            "text dashed where a model reasons. Withheld below 20 answers (p50) and 200 (p95). The dashed "
            "limit is the objective's. Diamonds, where Prometheus keeps exemplars: single answers, with "
            "their session.",
            "s",
            line(probe_quantile(50, TTFT, WINDOW, "target"), "{{target}} p50"),
            line(probe_quantile(95, TTFT, WINDOW, "target"), "{{target}} p95").exemplar(True),
            line(
                probe_quantile(50, "time_to_first_reasoning_seconds", WINDOW, "target"),
                "{{target}} reasoning p50",
            ),
            limits=((THRESHOLDS.slo.ttft_seconds, WARN),),
            calcs=("lastNotNull",),
            none=TOO_FEW,
        )
        .axis_soft_max(1.1 * THRESHOLDS.slo.ttft_seconds)
        .override_by_regexp("/ reasoning p50$/", [dashed()])
        .override_by_regexp("/ p50$/", [prop("custom.lineWidth", 1)])
    )


def gap_map() -> heatmap.Panel:
    return density(
        "Gaps between chunks, all answers",
        "How many gaps were how long. A second band far up: the model, or a proxy that buffers, sends in "
        "bursts.",
        line(f"sum by (le) (increase({probe(f'{GAP}_bucket')}[{RATE}]))"),
    )


def gap_lines() -> timeseries.Panel:
    return graph(
        "Gaps between chunks by target",
        "Over the window chosen above, sliding: p50 thin, p99 thick. Withheld below 20 gaps (p50) and 1000 "
        "(p99).",
        "s",
        line(probe_quantile(50, GAP, WINDOW, "target"), "{{target}} p50"),
        line(probe_quantile(99, GAP, WINDOW, "target"), "{{target}} p99"),
        calcs=("lastNotNull",),
        none=TOO_FEW,
    ).override_by_regexp("/ p50$/", [prop("custom.lineWidth", 1)])


def phases() -> timeseries.Panel:
    def mean(phase: str) -> Query:
        durations = probe("phase_duration_seconds", where("phase", phase))
        return line(f"avg({durations} and {PASSED_LAST})", phase)

    ground = [
        *(
            prop("custom.axisPlacement", "hidden"),
            prop("unit", "percentunit"),
            prop("min", 0),
            prop("max", 1),
        ),
        *(prop("custom.drawStyle", "line"), prop("custom.lineInterpolation", "stepAfter"), fixed(BAD)),
        *(prop("custom.stacking", {"mode": "none"}), prop("custom.fillOpacity", 20)),
    ]
    panel = stack(
        "Phases of the last run",
        "Mean over the chosen probes that chat, of last runs that passed: what died early would look fast. "
        "headers: AstrBot accepts. first_event: the session. first_token: the model thinks. generation: it "
        "speaks. tail: AstrBot saves. Red ground: the share of these probes whose last run failed.",
        "s",
        *map(mean, PHASES),
        line(f"1 - avg({probe('success')} and on (target, probe) {ASKED})", FAILED),
        none=NOBODY,
    )
    panel = panel.override_by_name("first_token", [fixed("purple")])
    return panel.override_by_name("generation", [fixed("blue")]).override_by_name(FAILED, ground)


def both_clocks() -> timeseries.Panel:
    ours = probe("phase_duration_seconds", f'phase=~"{BEFORE_THE_FIRST}"')
    return graph(
        "First token: measured and as the server says",
        "Of last runs that passed. Solid: what a user waits, from the connection on. Dashed: AstrBot's own "
        "figure, which begins when it asks the model. Between them: connection, authentication, queues. A "
        "gap: the last run failed.",
        "s",
        line(
            f"max by (target) (sum by (target, probe) ({ours} and {PASSED_LAST}))",
            "{{target}} measured",
        ),
        line(f"max by (target) ({SERVERS} and {PASSED_LAST})", "{{target}} server"),
        calcs=("lastNotNull",),
    ).override_by_regexp("/ server$/", [dashed()])


def stalls() -> timeseries.Panel:
    return graph(
        "Longest gap of the last run",
        "By target. A heartbeat of the server does not end a gap: only an answer does.",
        "s",
        line(f"max by (target) ({probe('max_stall_seconds')})", "{{target}}"),
    ).override_by_regexp("/.*/", [to_target()])


def breaks() -> timeseries.Panel:
    return faults(
        "Broken streams by cause",
        "truncated: no end. reset: the connection broke. stalled, timeout_*: silence. empty_answer: an end "
        "without an answer. The others: no proper stream.",
        "none",
        line(
            f"sum by (reason) (increase({probe('failures_total', failed_for(BROKEN))}[{RATE}])) > 0",
            "{{reason}}",
        ),
        seen=_asked(RATE),
    ).override_by_regexp("/.*/", [to_outcome()])


def events() -> timeseries.Panel:
    return stack(
        "Stream events a second",
        "By type; a type that AstrBot does not document is `other`.",
        "short",
        line(f"sum by (event) (rate({probe('stream_events_total')}[{RATE}])) > 0", "{{event}}"),
    )


def speed() -> timeseries.Panel:
    tokens = total(f"increase({probe('tokens_total', OUTPUT)}[{WINDOW}])", "target")
    return graph(
        "Output tokens a second while it speaks",
        "Tokens as the server counts them, by the time between the first and the last chunk of good "
        "answers, over the window chosen above. Very short answers have no such time, and failed ones only "
        "tokens.",
        "none",
        line(share(tokens, total(f"increase({probe(f'{GAP}_sum')}[{WINDOW}])", "target")), "{{target}}"),
        calcs=("lastNotNull", "min"),
    )


def answers() -> timeseries.Panel:
    return graph(
        "Good answers a minute",
        "Answers with a first token of the model: what the figures on this page rest on.",
        "short",
        line(f"60 * sum by (target) (rate({probe(f'{TTFT}_count')}[{RATE}]))", "{{target}}"),
        calcs=("lastNotNull",),
    )
