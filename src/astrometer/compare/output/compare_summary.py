"""A comparison -> `summary.md`, small enough for a CI step or a pull request."""

from astrometer.compare.output.compare_view import FORCED, Line, Page, without_interval
from astrometer.report.summary import text

FILE_NAME = "summary.md"
MAX_SCENARIOS = 20
_MARKS = {
    "PASS": "✅",
    "FAIL": "❌",
    "CANNOT TELL": "❔",
    "NOT COMPARABLE": "⚠️",
    "NONE": "ℹ️",
    "UNDECIDED": "❔",
}
_VERDICT_MARKS = {"better": "🟢", "same": "⚪", "worse": "🔴", "cannot tell": "❔"}


def render_summary(page: Page) -> str:
    lines = [
        *(f"### {_MARKS[page.verdict]} astrometer compare: {page.verdict}", "", text(page.subject), ""),
        *(page.sentence, ""),
        *(f"- {text(reason)}" for reason in page.reasons),
        *([""] if page.reasons else []),
    ]
    if page.forced:
        lines += [f"**{FORCED}**", ""]
    lines += [*(f"- {text(line)}" for line in page.progress), *([""] if page.progress else [])]
    if page.checks:
        lines += ["| condition | verdict | why |", "|---|---|---|"]
        lines += [
            f"| {text(item.text)} | {_MARKS[item.verdict]} {item.verdict} | {text(item.why)} |"
            for item in page.checks
        ]
        lines.append("")
    if not page.reasons or page.forced:
        lines += [f"{len(page.comparison.rows)} metrics: {page.counts}.", ""]
        for scope, group in page.groups[: MAX_SCENARIOS + 1]:
            lines += _table(scope if len(page.groups) > 1 else "metric", group)
        left_out = len(page.groups) - MAX_SCENARIOS - 1
        lines += [f"{left_out} more scenarios are in compare.html.", ""] if left_out > 0 else []
        lines += [f"<sub>{text(page.method)}</sub>", ""]
    lines += [f"<sub>{text(note)}</sub>\n" for note in page.notes]
    return "\n".join(lines)


def _table(first: str, group: tuple[Line, ...]) -> list[str]:
    lines = [f"| {text(first)} | baseline | candidate | change | verdict |", "|---|--:|--:|--:|---|"]
    shown, untold = without_interval(group)
    for line in shown:
        verdict = f"{_VERDICT_MARKS[line.verdict]} {line.verdict}" + (
            f" <sub>{text(said)}</sub>" if (said := "; ".join(filter(None, (line.why, line.decided)))) else ""
        )
        spread = f"<br><sub>{line.interval}</sub>" if line.interval else ""
        lines.append(
            f"| {text(line.title)} | {line.base} <sub>n {line.base_n}</sub> | {line.cand} "
            f"<sub>n {line.cand_n}</sub> | {line.change}{spread} | {verdict} |"
        )
    return [*lines, "", *(f"<sub>{text(line)}</sub>\n" for line in untold)]
