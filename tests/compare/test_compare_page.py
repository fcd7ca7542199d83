"""compare.html: what a reader sees of rows that say little."""

import re
from dataclasses import replace

from synthetic_runs import make_side

from astrometer.compare.change_verdict import ChangeUnit
from astrometer.compare.comparison import compare
from astrometer.compare.output.compare_charts import bounds
from astrometer.compare.output.compare_html import render_html
from astrometer.compare.output.compare_view import page


def shown(**options):
    return page(
        compare(
            make_side("base", seed=1, **options), make_side("cand", seed=11, **options), share_margin=0.02
        ),
        [],
    )


def rows_of(html):
    return re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", html, re.DOTALL)


def test_a_row_without_values_says_why_once_where_its_drawing_would_be():
    (row,) = (row for row in rows_of(render_html(shown(chats=60))) if "ttft_p99" in row)
    assert re.search(r'<td class="wide"><span class="meaning">too few samples: p99 needs 1,000', row)
    assert row.count("too few samples") == 1


def test_a_few_very_wide_intervals_do_not_flatten_all_the_others():
    lines = [line for _, group in shown().groups for line in group if not line.row.is_share][:8]
    ends = [0.08] * 6 + [0.9, 3.0]
    lines = [
        replace(line, row=replace(line.row, interval=(-end / 2, end), margin=0.05))
        for line, end in zip(lines, ends, strict=True)
    ]
    assert bounds(lines)[ChangeUnit.RATIO] == 0.25
