"""Uploads by size in the terminal, the HTML page and the summary."""

import io

import pytest
from rich.console import Console

from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.table import render
from astrometer.report.view import uploads_view


def terminal(results):
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(render(results))
    return console.export_text()


def test_every_size_has_its_row_with_throughput_and_time_to_accept(passed, visible):
    for shown in (terminal(passed), visible(render_html(passed)), render_summary(passed)):
        for size in ("up to 64 KiB", "up to 1 MiB", "up to 16 MiB", "larger"):
            assert size in shown
        assert "MB/s" in shown
        assert "no file was compared" in shown


@pytest.mark.parametrize(
    ("compared", "different", "said"),
    [(7, 0, "7 files compared after download, all unchanged"), (7, 2, "2 differed")],
)
def test_it_is_said_whether_what_came_back_is_what_was_sent(passed, visible, compared, different, said):
    results = {**passed, "uploads": {**passed["uploads"], "compared": compared, "different": different}}
    for shown in (terminal(results), visible(render_html(results)), render_summary(results)):
        assert said in " ".join(shown.split())


def test_a_file_without_uploads_has_no_table(empty, visible):
    assert uploads_view.rows(empty) == []
    assert "Throughput" not in visible(render_html(empty))


def test_the_slowest_of_the_uploads_is_no_faster_than_the_rest(passed):
    for stats in passed["uploads"]["sizes"]:
        speed = stats["throughput_bytes_per_s"]
        assert 0 < speed["min"] <= speed["p50"]
