"""A comparison and how its gates came out -> the rows and sentences of every report on it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from astrometer.compare import change_text
from astrometer.compare.change_verdict import CONFIDENCE, ChangeRow, ChangeUnit, ChangeVerdict
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.comparison import OWN_FACTOR, TAIL_FACTOR, Comparison
from astrometer.compare.gates import GateResult, overall
from astrometer.compare.sequence_state import SequenceState
from astrometer.compare.server_rows import LEAST_MARGIN_GROWTH
from astrometer.measure.results.result_parts import window_outcomes
from astrometer.measure.slo.slo_parser import SERVER_CPU, SERVER_RSS
from astrometer.measure.wilson import Interval
from astrometer.report import formatting, glossary

SENTENCES = {
    "PASS": "No condition came true.",
    "FAIL": "Failed: {which}.",
    "CANNOT TELL": "Cannot be decided from these runs: {which}. More or longer runs may help.",
    "NONE": "No condition was set, so nothing was judged.",
    "NOT COMPARABLE": "These runs must not be compared.",
}
FORCED = "Shown because of --force; no verdict below counts."
SINGLE_RUNS = (
    "One run per side: the intervals hold for this pair of runs only. "
    "Repeat the runs to learn how much runs of the same server differ."
)
_WORDS = {
    "errors": ("errors", "exchanges that failed"),
    SERVER_CPU: ("server CPU per turn", "of its process, per exchange that succeeded"),
    SERVER_RSS: ("server memory growth per 1,000 turns", "of its process, per exchange that succeeded"),
    "goodput": ("goodput", "successful and within every objective"),
}
ORDER = (ChangeVerdict.WORSE, ChangeVerdict.BETTER, ChangeVerdict.SAME, ChangeVerdict.CANNOT_TELL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConditionView:
    """A condition of the whole and its verdict: PASS, FAIL, UNDECIDED."""

    text: str
    verdict: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    title: str
    meaning: str
    name: str  # as in --fail-if
    base: str
    cand: str
    base_n: str
    cand_n: str
    base_runs: str  # empty for a single run
    cand_runs: str
    change: str
    interval: str
    slower: str
    verdict: str
    why: str
    row: ChangeRow
    decided: str = ""  # of blocks in turn: after how many pairs

    @property
    def css(self) -> str:
        return self.verdict.replace(" ", "-")


def without_interval(lines: Iterable[Line]) -> tuple[list[Line], list[str]]:
    """The lines that have one, and of the others a sentence for each reason why they have none."""
    shown, why = list[Line](), dict[str, list[str]]()
    for line in lines:
        if line.row.interval is not None or not line.why:
            shown.append(line)
        else:
            why.setdefault(line.why, []).append(line.name)
    return shown, [f"No answer on {', '.join(names)}: {reason}." for reason, names in why.items()]


@dataclass(frozen=True, slots=True, kw_only=True)
class SideView:
    role: str
    version: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeView:
    name: str
    layer: str
    base: str
    cand: str
    base_share: str
    cand_share: str
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    verdict: str
    sentence: str
    reasons: tuple[str, ...]
    notes: tuple[str, ...]
    checks: tuple[ConditionView, ...]
    sides: tuple[SideView, SideView]
    groups: tuple[tuple[str, tuple[Line, ...]], ...]  # by scenario; the first is of everything
    outcomes: tuple[OutcomeView, ...]
    counts: str
    subject: str
    method: str
    comparison: Comparison
    forced: bool = False
    commands: tuple[tuple[str, str], ...] = field(default=())
    sequence: SequenceState | None = None
    progress: tuple[str, ...] = ()  # of blocks in turn: how it ended, and what is undecided


def page(
    comparison: Comparison,
    gates: Sequence[GateResult],
    *,
    forced: bool = False,
    checks: Sequence[ConditionView] = (),
    notes: Sequence[str] = (),
    sequence: SequenceState | None = None,
) -> Page:
    """`checks` besides the gates count for the verdict as these do. `sequence`: of blocks in turn."""
    comparable = not comparison.comparability.reasons
    verdict = overall(gates, comparable=comparable)
    all_checks = [
        *checks,
        *(
            ConditionView(text=f"fail if {item.gate.text}", verdict=item.verdict, why=item.why)
            for item in gates
        ),
    ]
    if comparable:
        verdict = _with(verdict, checks)
    lines = [_line(row, sequence) for row in comparison.rows]
    scopes = list(dict.fromkeys(row.scope for row in comparison.rows))
    told = [*notes, *comparison.comparability.notes]
    if comparison.is_of_single_runs:
        told.insert(0, SINGLE_RUNS)
    return Page(
        verdict=verdict,
        sentence=SENTENCES[verdict].format(which=_which(verdict, all_checks)),
        reasons=tuple(formatting.plain(reason) for reason in comparison.comparability.reasons),
        notes=tuple(formatting.plain(note) for note in told),
        checks=tuple(all_checks),
        sides=(_side("baseline", comparison.base), _side("candidate", comparison.cand)),
        groups=tuple(
            (formatting.plain(at), tuple(li for li in lines if li.row.scope == at)) for at in scopes
        ),
        outcomes=tuple(_outcomes(comparison)),
        counts=_counts(comparison.rows),
        subject=_subject(comparison),
        method=_method(comparison),
        comparison=comparison,
        forced=forced and not comparable,
        sequence=sequence,
        progress=tuple(sequence.lines()) if sequence is not None else (),
    )


def _with(verdict: str, checks: Sequence[ConditionView]) -> str:
    found = {check.verdict for check in checks}
    if "FAIL" in found:
        return "FAIL"
    if "UNDECIDED" in found and verdict != "FAIL":
        return "CANNOT TELL"
    return "PASS" if found and verdict == "NONE" else verdict


def _which(verdict: str, checks: Sequence[ConditionView]) -> str:
    """The conditions that make the verdict, each with what was found."""
    decisive = {"FAIL": "FAIL", "CANNOT TELL": "UNDECIDED"}.get(verdict)
    return "; ".join(f"{check.text}, {check.why}" for check in checks if check.verdict == decisive)


def words(metric: str) -> tuple[str, str]:
    """Its title and what it means, of durations, shares and the server's process."""
    return _WORDS.get(metric) or glossary.metric(metric)


def _line(row: ChangeRow, sequence: SequenceState | None) -> Line:
    title, meaning = words(row.metric)

    def runs(values: Sequence[float]) -> str:
        if len(values) < 2:
            return ""
        ends = list(dict.fromkeys(change_text.side_value(row, value) for value in (min(values), max(values))))
        return f"{len(values)} runs: {' … '.join(ends)}"

    return Line(
        title=title if row.percent is None else f"{title} p{row.percent}",
        meaning=meaning,
        name=row.name,
        base=change_text.side_value(row, row.base),
        cand=change_text.side_value(row, row.cand),
        base_n=formatting.count(row.base_n),
        cand_n=formatting.count(row.cand_n),
        base_runs=runs(row.base_runs),
        cand_runs=runs(row.cand_runs),
        change=change_text.change(row.change, row.unit),
        interval=change_text.interval(row.interval, row.unit),
        slower=f"{row.superiority:.0%}" if row.superiority is not None else "",
        verdict=row.verdict.value,
        why=row.why,
        row=row,
        decided=sequence.decided(row) if sequence is not None else "",
    )


def _side(role: str, runs: Sequence[ComparedRun]) -> SideView:
    results = [run.results for run in runs]
    versions = dict.fromkeys(formatting.plain(item["target"]["version"] or "unknown") for item in results)
    ended = [window_outcomes(item) for item in results]
    total, ok = sum(sum(item.values()) for item in ended), sum(item.get("ok", 0) for item in ended)
    rate = [item["throughput_per_s"] for item in results if item["throughput_per_s"] is not None]
    facts = (
        ("runs", ", ".join(formatting.plain(run.name) for run in runs)),
        ("window", ", ".join(dict.fromkeys(formatting.duration(r["window"]["duration_s"]) for r in results))),
        ("load", ", ".join(dict.fromkeys(formatting.load(item) for item in results))),
        ("exchanges", f"{formatting.count(ok)} of {formatting.count(total)} ok, after the ramp"),
        (
            "successful per second",
            " · ".join(formatting.rate(value) for value in rate) or formatting.WITHHELD,
        ),
        *_server_facts(results),
        ("target", ", ".join(dict.fromkeys(formatting.plain(item["target"]["url"]) for item in results))),
    )
    return SideView(role=role, version=f"AstrBot {', '.join(versions)}", facts=facts)


def _server_facts(results: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Its memory from first to last, and what all runs logged; nothing where nobody knew it."""
    known = [item["server"] for item in results if item["server"] and item["server"]["rss_bytes"]]
    if not known:
        return []
    begin, end = known[0]["rss_bytes"]["begin"], known[-1]["rss_bytes"]["end"]
    logs = [server["log"] for server in known if server["log"] is not None]
    warnings, errors = (sum(log[level] for log in logs) for level in ("warnings", "errors"))
    log = f"; log: {formatting.plural(warnings, 'warning')}, {formatting.plural(errors, 'error')}"
    return [("server", f"RSS {formatting.size(begin)} → {formatting.size(end)}{log if logs else ''}")]


def _outcomes(comparison: Comparison) -> list[OutcomeView]:
    def share(value: float, limits: Interval) -> str:
        return f"{formatting.share(value)} ({limits.low * 100:.1f}–{limits.high * 100:.1f})"

    return [
        OutcomeView(
            name=formatting.plain(row.outcome),
            layer=glossary.layer(row.outcome),
            base=formatting.count(row.base),
            cand=formatting.count(row.cand),
            base_share=share(row.base_share, row.base_interval),
            cand_share=share(row.cand_share, row.cand_interval),
            change=f"{change_text.change(row.cand_share - row.base_share, ChangeUnit.POINTS)} "
            f"({change_text.interval(row.interval, ChangeUnit.POINTS)})",
        )
        for row in comparison.outcomes
    ]


def _counts(rows: Sequence[ChangeRow]) -> str:
    """`2 worse, 9 same, 3 cannot tell`."""
    found = [(verdict.value, sum(row.verdict is verdict for row in rows)) for verdict in ORDER]
    return ", ".join(f"{n} {name}" for name, n in found if n)


def _subject(comparison: Comparison) -> str:
    first: Mapping[str, Any] = comparison.base[0].results
    sides = [_side(role, runs) for role, runs in (("", comparison.base), ("", comparison.cand))]
    runs = f"{len(comparison.base)} and {len(comparison.cand)} runs"
    if comparison.look is not None:
        runs = formatting.plural(comparison.look.pairs, "pair of blocks", "pairs of blocks")
    parts = (
        f"candidate {sides[1].version} against baseline {sides[0].version}",
        formatting.plain(first["scenario"]),
        formatting.load(first),
        formatting.duration(first["window"]["duration_s"]),
        "one run each" if comparison.is_of_single_runs else runs,
    )
    return " · ".join(parts)


def _method(comparison: Comparison) -> str:
    is_watched = any(row.unit is ChangeUnit.BYTES for row in comparison.rows)
    growth = f", memory growth: ±{formatting.size(round(LEAST_MARGIN_GROWTH))}" if is_watched else ""
    held = "" if comparison.look is None else " at all looks together"
    tails = ""
    if comparison.look is not None:
        tails = (
            f" (p95, p99: {TAIL_FACTOR} times that; overhead, accept time, gate wait and CPU per turn: "
            f"{OWN_FACTOR} times)"
        )
    return (
        f"Margin: ±{comparison.margin * 100:g} %{tails} or ±1 ms (errors, goodput: ±"
        f"{comparison.share_margin * 100:g} pp{growth}), or the limit of a condition where that is narrower. "
        f"Same: the whole {CONFIDENCE * 100:.0f} % interval{held} is within the margin. "
        "Better, worse: the whole interval is beyond it, and not by chance (Holm's correction for the "
        "number of rows). Cannot tell: everything else. Failed requests count as infinitely slow."
    )
