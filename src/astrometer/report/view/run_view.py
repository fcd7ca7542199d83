"""A results file -> the rows and sentences that every report shows: terminal, HTML and Markdown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from astrometer.api.outcome import Outcome
from astrometer.api.timings import CERTAIN_S
from astrometer.im import im_turn
from astrometer.measure.results.result_parts import window_outcomes, window_started
from astrometer.measure.slo.run_verdict import StopReason
from astrometer.measure.slo.validity import CauseKind
from astrometer.measure.tally.histogram import MIN_SAMPLES
from astrometer.report import formatting
from astrometer.report.view import capacity_view

SENTENCES = {
    "PASS": "Every objective was met.",
    "FAIL": "At least one objective was not met.",
    "INVALID": "These numbers cannot be trusted.",
    "DRIFTING": "The run was not steady: its numbers depend on how long it lasted.",
    "NONE": "No objectives were set, so nothing was judged.",
}
NOTHING_SUCCEEDED = "No exchange succeeded."
_GENERATOR = {kind.value for kind in CauseKind if kind.is_generator}
_ALL = "all"
METHOD = "MSER-5"  # by which `--warmup auto` finds it


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """One percentile with the number of samples behind it.

    `withheld`: there are too few samples to say it, so `text` is what the worst one says: "≤ 50.3 s".
    """

    text: str
    n: int
    percent: int
    withheld: bool = False


class HasPercentiles(Protocol):
    @property
    def percentiles(self) -> tuple[Shown, ...]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRow:
    """One scenario (or all of them, or one operation). A percentile is None where no such thing exists."""

    name: str
    started: int
    ok: int
    failures: tuple[tuple[str, int], ...]  # most frequent first
    ttft_p50: Shown | None
    ttft_p95: Shown | None
    chunk_gap_p95: Shown | None
    e2e_p95: Shown | None
    duration_p95: Shown | None
    reply_first_p50: Shown | None
    reply_first_p95: Shown | None
    reply_last_p95: Shown | None
    goodput_rate: str
    goodput_share: str
    only_replies: bool  # all of it were questions in a messenger, whether answered or not

    @property
    def ended(self) -> int:
        return self.ok + sum(count for _, count in self.failures)

    @property
    def percentiles(self) -> tuple[Shown, ...]:
        cells = (self.ttft_p50, self.ttft_p95, self.chunk_gap_p95, self.e2e_p95, self.duration_p95)
        replies = (self.reply_first_p50, self.reply_first_p95, self.reply_last_p95)
        return tuple(cell for cell in (*cells, *replies) if cell is not None)

    @property
    def outcomes_text(self) -> str:
        """`ok 402, stalled 3`; a dash when nothing ended."""
        parts = [("ok", self.ok)] if self.ok else []
        return (
            ", ".join(f"{name} {formatting.count(n)}" for name, n in [*parts, *self.failures])
            or formatting.WITHHELD
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    text: str
    verdict: str
    value: str
    limit: str
    n: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    verdict: str
    sentence: str
    causes: tuple[str, ...]
    stopped: str  # who ended the run before its time; empty when nobody did
    objectives: tuple[Judged, ...]
    subject: str  # scenario, target, version, window, users
    lines: tuple[str, ...] = ()  # of a search: what else is known of the answer
    cure: str = ""  # what helps when the load generator was the bottleneck


def headline(results: Mapping[str, Any]) -> Headline:
    target, window = results["target"], results["window"]
    version = f"AstrBot {formatting.plain(target['version'])}" if target["version"] else "version unknown"
    parts = [
        f"{formatting.plain(results['scenario'])} against {formatting.plain(target['url'])}",
        version,
        formatting.duration(window["duration_s"]),
    ]
    parts.append(capacity_view.subject(results) or formatting.load(results))
    return Headline(
        verdict=formatting.plain(results["verdict"]),
        sentence=capacity_view.sentence(results) or _sentence(results),
        causes=tuple(formatting.plain(cause["sentence"]) for cause in results["causes"]),
        stopped=_stopped(results["stopped"]),
        objectives=tuple(judged(item) for item in results["objectives"]),
        subject=" · ".join(parts),
        lines=tuple(capacity_view.lines(results)),
        cure=_cure(results),
    )


def _sentence(results: Mapping[str, Any]) -> str:
    if results["verdict"] == "FAIL" and not results["objectives"]:
        return NOTHING_SUCCEEDED
    return SENTENCES.get(results["verdict"], "")


def _cure(results: Mapping[str, Any]) -> str:
    if results["verdict"] == "DRIFTING":
        from_s = results["steadiness"]["steady_from_s"]
        if from_s is None:
            return "No part of it is steady after a warm-up that could be left out"
        return f"It is steady from {from_s:.0f} s on: leave that out with --warmup {from_s:.0f}s"
    spent = results["stopped"] and results["stopped"]["by"] == StopReason.BUDGET
    if spent and any(cause["kind"] == CauseKind.SEARCH_UNFINISHED for cause in results["causes"]):
        return (
            "What helps: a higher --budget-tokens, a --start near what passed, or --step-time 10s --repeats 1"
        )
    strained = any(cause["kind"] in _GENERATOR for cause in results["causes"])
    if results["verdict"] != "INVALID" or not strained:
        return ""
    return "What helps: close other programs, use fewer users, or add load processes (--processes 2)"


def steadiness_lines(results: Mapping[str, Any]) -> list[str]:
    """Whether it was steady, where that was looked at and the verdict does not say it."""
    found = results["steadiness"]
    if not found["tested"] or results["verdict"] in ("INVALID", "DRIFTING"):
        return []
    if found["drifts"]:
        return [f"Not steady: {formatting.plain(drift['sentence'])}" for drift in found["drifts"]]
    parts = f"{found['parts']} parts of {formatting.duration(found['part_s'])}"
    return [f"Steady: no trend and no shift that matters in {parts} each"]


def record_lines(results: Mapping[str, Any]) -> list[str]:
    """Where single exchanges are kept, when they are."""
    kept = results["records"]
    if kept is None:
        return []
    lost = f", {formatting.count(kept['lost'])} more are lost" if kept["lost"] else ""
    why = f": {formatting.plain(kept['problem'])}" if kept["problem"] else ""
    file, lines = formatting.plain(kept["file"]), formatting.plural(kept["lines"], "exchange")
    if file.startswith(".."):
        file += ", seen from results.json"
    return [f"Records of {lines} are in {file}{lost}{why} (astrometer explain shows the slowest)"]


def scenario_rows(results: Mapping[str, Any]) -> list[ReportRow]:
    """One row for each scenario, and one for all together when there are several."""
    rows = [row(name, stats, _operations(results, name)) for name, stats in results["scenarios"].items()]
    return [*rows, row(_ALL, results, _operations(results))] if len(rows) > 1 else rows


def stage_rows(results: Mapping[str, Any]) -> list[ReportRow]:
    """One row for each stage of the load's profile; empty without one."""
    asked = _operations(results)
    return [row(f"{item['name']}: {_load(item)}, {_span(item)}", item, asked) for item in results["stages"]]


def operation_rows(results: Mapping[str, Any]) -> list[tuple[str, ReportRow]]:
    """One row for each operation, with the name of its scenario."""
    return [
        (item["scenario"], row(item["operation"], item, [item["operation"]]))
        for item in results["operations"]
    ]


def _operations(results: Mapping[str, Any], scenario: str | None = None) -> list[str]:
    """Of one scenario, or of all."""
    return [item["operation"] for item in results["operations"] if scenario in (None, item["scenario"])]


def _load(stage: Mapping[str, Any]) -> str:
    if stage["users"] is None:
        return formatting.rate(stage["rate_per_s"])
    return formatting.plural(stage["users"], "user")


def _span(stage: Mapping[str, Any]) -> str:
    """Since the run's start: `1:00–3:00`."""
    return "–".join("{}:{:02d}".format(*divmod(round(stage[key]), 60)) for key in ("start_s", "end_s"))


def row(name: str, stats: Mapping[str, Any], operations: Sequence[str] = ()) -> ReportRow:
    """Of what began in the window, as objectives count it; `excluded_note` tells of the ramp.

    `operations`: all that it may be of, where a table's columns depend on it.
    """
    outcomes = window_outcomes(stats)
    ok = outcomes.pop(Outcome.OK.value, 0)
    failures = sorted(outcomes.items(), key=lambda item: (-item[1], item[0]))
    return ReportRow(
        name=formatting.plain(name),
        started=window_started(stats),
        ok=ok,
        failures=tuple((formatting.plain(key), number) for key, number in failures if number),
        ttft_p50=percentile(stats, "ttft", 50),
        ttft_p95=percentile(stats, "ttft", 95),
        chunk_gap_p95=percentile(stats, "chunk_gap", 95),
        e2e_p95=percentile(stats, "e2e", 95),
        duration_p95=percentile(stats, "duration", 95),
        reply_first_p50=percentile(stats, "reply_first", 50),
        reply_first_p95=percentile(stats, "reply_first", 95),
        reply_last_p95=percentile(stats, "reply_last", 95),
        goodput_rate=formatting.rate(stats["goodput"]["per_s"]),
        goodput_share=formatting.share(stats["goodput"]["share"]),
        only_replies=bool(operations) and set(operations) == {im_turn.OPERATION},
    )


def trust_lines(results: Mapping[str, Any]) -> list[str]:
    """A warning when nobody knows who answered; empty otherwise."""
    if results["target"]["tls_verified"] is not False:
        return []
    who = "anybody in between could read the key and answer in the server's place"
    return [f"Warning: the server's TLS certificate was not verified (--insecure-skip-verify): {who}"]


def error_lines(results: Mapping[str, Any]) -> list[str]:
    """Exceptions of the locustfile's own code, and requests that were sent a second time; mostly empty."""
    lines = []
    if resent := results["turns"]["resent"]:
        requests = "1 request was" if resent == 1 else f"{formatting.count(resent)} requests were"
        lines.append(f"{requests} sent a second time: the server had closed the idle connection")
    errors = results["generator"]["user_errors"]
    if not errors:
        return lines
    raised = formatting.plural(errors, "exception")
    lines.append(f"Warning: the locustfile raised {raised} (see Locust's log); those tasks ended early")
    return lines


def excluded_note(results: Mapping[str, Any]) -> str | None:
    """How many turns began before the window, and how they ended; None: none did."""
    excluded, warm_up = results["turns"]["excluded"], results["window"]["warm_up"]
    found = None if warm_up is None else warm_up["until_s"]
    what = "ramp-up, warm-up" if found is None else f"ramp-up, warm-up as found by precision: {METHOD}"
    if not excluded:
        return None if found is None else f"No warm-up was found that had to be left out ({METHOD})"
    first = f"First {formatting.duration(results['window']['excluded_s'])} ({what}) excluded"
    turns = formatting.plural(excluded, "turn")
    ended = results["turns"]["excluded_outcomes"]
    parts = (f"{formatting.plain(name)} {formatting.count(ended[name])}" for name in by_frequency(ended))
    return f"{first}: {turns} ({', '.join(parts)})" if ended else f"{first}: {turns}"


def by_frequency(outcomes: Mapping[str, int]) -> list[str]:
    """`ok` first, then the most frequent."""
    return sorted(outcomes, key=lambda name: (name != Outcome.OK.value, -outcomes[name], name))


def withheld_note(rows: Sequence[HasPercentiles]) -> str | None:
    """Why some cells show the worst sample, naming only the percentiles that are missing."""
    percents = sorted({cell.percent for row in rows for cell in row.percentiles if cell.withheld})
    if not percents:
        return None
    return "≤ the maximum; withheld, too few samples: " + ", ".join(
        f"p{percent} needs n ≥ {formatting.count(MIN_SAMPLES[percent])}" for percent in percents
    )


def percentile(stats: Mapping[str, Any], metric: str, percent: int) -> Shown | None:
    """None where there is no such metric."""
    summary = stats["metrics"].get(metric)
    if summary is None:
        return None
    value, n = summary[f"p{percent}"], summary["n"]
    if value is None and n:
        return Shown(text=f"≤ {formatting.duration(summary['max'])}", n=n, percent=percent, withheld=True)
    return Shown(text=formatting.duration(value), n=n, percent=percent)


def judged(item: Mapping[str, Any]) -> Judged:
    """One of `objectives[]`, of the run or of a stage."""
    units: dict[str, Callable[[Any], str]] = {
        "share": formatting.share,
        "per_s": formatting.rate,
        "bytes_per_1000_turns": formatting.growth,
    }
    written = units.get(item["unit"], formatting.duration)
    return Judged(
        text=formatting.plain(item["text"]),
        verdict=formatting.plain(item["verdict"]),
        value=written(item["value"]) + _give_or_take(item),
        limit=f"{formatting.plain(item['operator'])} {written(item['limit'])}",
        n=formatting.count(item["n"]),
    )


def _give_or_take(item: Mapping[str, Any]) -> str:
    """How far it may be from the truth, from a millisecond on."""
    error_s = item["error_s"]
    return f" ± {formatting.duration(error_s)}" if error_s is not None and error_s >= CERTAIN_S else ""


def stage_objectives(results: Mapping[str, Any]) -> list[tuple[str, tuple[Judged, ...]]]:
    """Each stage with the objectives as they came out in it; empty without stages or objectives."""
    return [
        (
            f"{formatting.plain(stage['name'])}: {_load(stage)}",
            tuple(judged(item) for item in stage["objectives"]),
        )
        for stage in results["stages"]
        if stage["objectives"]
    ]


def _stopped(stop: Mapping[str, Any] | None) -> str:
    if stop is None:
        return ""
    words = {StopReason.OBJECTIVE: "Aborted", StopReason.INTERRUPTED: "Interrupted"}
    word = words.get(stop["by"], "Stopped early")
    return f"{word} after {formatting.duration(stop['at_s'])}: {formatting.plain(stop['sentence'])}"
