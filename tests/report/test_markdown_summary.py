import re

from astrometer.report.summary import render_summary


def test_the_summary_has_verdict_objectives_and_scenarios(passed):
    text = render_summary(passed)
    assert text.startswith("### ✅ astrometer: PASS\n")
    assert "mixed against http://127.0.0.1:6185" in text
    assert re.search(r"\| ttft\\_p95 \\< 1s \| ✅ PASS \| \d+ ms \| \\< 1.00 s \| 1,4\d\d \|", text)
    assert re.search(r"^\| chat \| 1,125 \| ok 1,092, rate\\_limited 11", text, flags=re.MULTILINE)


def test_every_row_has_as_many_cells_as_its_head(passed):
    for block in re.findall(r"(?:^\|.*\n)+", render_summary(passed), flags=re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1


def test_causes_are_listed(invalid):
    assert "- event-loop lag p99 84 ms is above 20 ms" in render_summary(invalid)


def test_withheld_percentiles_have_their_reason(tiny):
    assert "p95 needs n ≥ 200" in render_summary(tiny)


def test_nothing_started_is_said(empty):
    assert "Nothing was started." in render_summary(empty)


def test_text_from_outside_stays_text(make):
    text = render_summary(make(chats=30, calls=0, scenario="a|b<img src=x>\n# Title", url="http://h/`x`"))
    assert "<img" not in text.replace("\\<img", "")
    assert "a\\|b" in text
    assert "\n# Title" not in text


def test_it_fits_a_comment_even_with_very_many_scenarios(passed):
    crowd = {f"scenario-{index}": passed["scenarios"]["chat"] for index in range(500)}
    text = render_summary({**passed, "scenarios": crowd})
    assert len(text) < 65_536
    assert "441 more scenarios are in report.html" in text
