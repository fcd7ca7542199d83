"""A run with a profile: its stages in the terminal, the page and the summary."""

import io

from rich.console import Console

from astrometer.measure.results import document as results_file
from astrometer.report.html import render_html
from astrometer.report.summary import render_summary
from astrometer.report.table import render


def printed(results, width=120):
    out = io.StringIO()
    Console(file=out, width=width, color_system=None).print(render(results))
    return out.getvalue()


def test_the_stages_add_up_to_the_run(staged):
    for count in ("started", "outcomes"):
        whole = staged["turns"][count]
        parts = [stage["turns"][count] for stage in staged["stages"]]
        if count == "started":
            assert sum(parts) == whole
        else:
            assert {name: sum(part.get(name, 0) for part in parts) for name in whole} == whole
    ttfts = [stage["metrics"]["ttft"]["n"] for stage in staged["stages"]]
    assert sum(ttfts) == staged["metrics"]["ttft"]["n"]


def test_a_stages_rates_divide_by_its_own_length(staged):
    first, second = staged["stages"]
    assert first["throughput_per_s"] == first["turns"]["outcomes"]["ok"] / 10
    assert second["throughput_per_s"] == second["turns"]["outcomes"]["ok"] / 20


def test_a_stage_that_was_not_reached_has_no_row(make):
    stages = [
        results_file.LoadStage(name=f"step {n}", start_s=n * 20, end_s=n * 20 + 20, peak=5) for n in range(4)
    ]
    found = make(stages=tuple(stages), duration_s=30.0)["stages"]
    assert [(stage["name"], stage["end_s"]) for stage in found] == [("step 0", 20), ("step 1", 30.0)]


def test_every_report_shows_each_stage_with_its_load_and_its_time(staged, visible):
    for text in (" ".join(printed(staged).split()), visible(render_html(staged)), render_summary(staged)):
        assert "step 2" in text
        assert "40 users" in text
        assert "0:10–0:30" in text


def test_a_rate_is_shown_as_one(make):
    stages = (results_file.LoadStage(name="constant", start_s=0, end_s=30, peak=5, is_rate=True),)
    found = make(stages=stages)
    assert found["stages"][0]["users"] is None
    assert "5.00/s" in printed(found) or "5/s" in printed(found)


def test_without_a_profile_there_are_no_stages(passed):
    assert "stage" not in printed(passed)
    assert "Stages" not in render_html(passed)
    assert "| stage |" not in render_summary(passed)


def test_it_fits_eighty_columns(staged):
    assert max(len(line) for line in printed(staged, width=80).splitlines()) <= 80
