"""A comparison -> `compare.html`: one file that needs nothing else, no script, no network."""

import shlex
from pathlib import Path

from astrometer import __version__
from astrometer.compare import change_text
from astrometer.compare.change_verdict import ChangeUnit
from astrometer.compare.output import compare_charts
from astrometer.compare.output.compare_view import FORCED, Page
from astrometer.report import formatting
from astrometer.report.html import environment, style

FILE_NAME = "compare.html"
_CSS = {
    "PASS": "pass",
    "FAIL": "fail",
    "CANNOT TELL": "invalid",
    "NOT COMPARABLE": "invalid",
    "NONE": "none",
}
_CHECK_CSS = {"PASS": "pass", "FAIL": "fail", "UNDECIDED": "no_data"}


def render_html(page: Page) -> str:
    """The whole page as text. Of runs that must not be compared only why, unless forced."""
    shows = not page.reasons or page.forced
    lines = [line for _, group in page.groups for line in group]
    bounds = compare_charts.bounds(lines)
    over_time = compare_charts.over_time(page.comparison) if shows else None
    return (
        environment("astrometer.compare.output")
        .get_template("compare.html.j2")
        .render(
            style=style(Path(__file__).parent / "templates" / "compare.css"),
            astrometer_version=__version__,
            page=page,
            css=_CSS[page.verdict],
            checks=[(item, _CHECK_CSS[item.verdict]) for item in page.checks],
            forced=FORCED,
            shows=shows,
            total=len(page.comparison.rows),
            groups=[
                (scope, [(line, compare_charts.interval(line, bounds[line.row.unit])) for line in group])
                for scope, group in page.groups
            ],
            bound=f"±{bounds[ChangeUnit.RATIO]:.0%}",
            share_bound=f"±{change_text.limit(bounds[ChangeUnit.POINTS], ChangeUnit.POINTS)}",
            growth_bound=f"±{change_text.limit(bounds[ChangeUnit.BYTES], ChangeUnit.BYTES)}",
            has_growth=any(line.row.unit is ChangeUnit.BYTES for line in lines),
            charts=compare_charts.overlaid(page.comparison) if shows else [],
            over_time=over_time,
            commands=[
                (
                    role,
                    formatting.plain(run.name),
                    formatting.plain(shlex.join(run.results["command"]), 20_000),
                )
                for role, runs in (("baseline", page.comparison.base), ("candidate", page.comparison.cand))
                for run in runs
            ],
        )
    )
