"""`astrometer explain`: what a person reads of the slowest exchanges."""

import json
import re

import pytest
from click.testing import CliRunner
from record_rows import chat_row, chats

from astrometer.cli import main
from astrometer.measure.results import document
from astrometer.report.view.notes import notes


@pytest.fixture
def folder(tmp_path, make):
    (tmp_path / "kept").mkdir()
    lines = "".join(f"{json.dumps(row)}\n" for row in chats(1000))
    (tmp_path / "kept" / "r.jsonl").write_text(lines)
    told = {"file": "kept/r.jsonl", "lines": 1000, "lost": 0, "problem": None}
    document.write(tmp_path, {**make(), "records": told})
    return tmp_path


def explain(*words, width=100):
    done = CliRunner(env={"COLUMNS": str(width)}).invoke(main, ["explain", *map(str, words)])
    return done.exit_code, done.output


@pytest.mark.parametrize("width", [60, 80, 120])
def test_timelines_and_what_is_in_common_fit_the_width(folder, width):
    code, shown = explain(folder, width=width)
    assert code == 0
    assert max(map(len, shown.splitlines())) <= width
    text = " ".join(shown.split())
    assert "1,000 chat exchanges of run abcdef, AstrBot 4.29.3" in text
    assert shown.count("gate wait 3.") == 10
    assert "longer than usual gate wait 100 % 1.0 % 10 of 10 10 of 1,000" in text
    assert len(re.findall(r"^ {4}a*g{10,}", shown, re.MULTILINE)) == 10


def test_a_file_alone_does(folder):
    assert explain(folder / "kept" / "r.jsonl", "--slowest", "2")[1].count("session s-") == 2
    shown = explain(folder / "kept" / "r.jsonl", "--slowest", "20")[1]
    assert (shown.count("session s-"), "of the 10 slowest" in shown or "10 of 10" in shown) == (20, True)


def test_every_report_says_where_the_records_are_and_what_is_missing(folder):
    results = document.read(folder)
    results["records"] |= {"lost": 3, "problem": "r.jsonl: not all records could be written (No space left)"}
    line = (
        "Records of 1,000 exchanges are in kept/r.jsonl, 3 more are lost: r.jsonl: not all records could be "
        "written (No space left) (astrometer explain shows the slowest)"
    )
    assert notes(results)[-1] == line
    outside = {**results["records"], "file": "../r.jsonl"}
    assert "in ../r.jsonl, seen from results.json, 3 more" in notes({**results, "records": outside})[-1]
    assert not [said for said in notes({**results, "records": None}) if "Records" in said]


def test_few_exchanges_are_shown_and_not_compared(tmp_path):
    file = tmp_path / "r.jsonl"
    file.write_text("".join(f"{json.dumps(chat_row(n, t_s=n))}\n" for n in range(5)))
    assert "Too few to compare: 5 exchanges, and 40 are needed." in explain(file)[1]


def test_where_nothing_is_in_common_that_is_said(tmp_path):
    file = tmp_path / "r.jsonl"
    rows = [{**row, "gate_wait_s": 0.0, "turn": 1} for row in chats(1000)]
    rows = [{**row, "ttft_s": 0.3, "e2e_s": 0.8 + (n * 7919 % 1000) / 1e6} for n, row in enumerate(rows)]
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert "Nothing is in common among the 10 slowest" in " ".join(explain(file)[1].split())


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--by", "speed"], "'speed' is not a metric of an exchange (there are: "),
        (["--by", "ttft_p95"], "'ttft_p95' is not a metric of an exchange (did you mean \"ttft"),
        (["--operation", "upload"], "no measured exchange of 'upload' has such a time; operations: chat"),
    ],
)
def test_what_cannot_be_shown_names_what_there_is(folder, words, complaint):
    code, shown = explain(folder, *words, width=200)
    assert (code, complaint in shown) == (2, True), shown


def test_a_run_without_records_says_how_to_keep_them(tmp_path, make):
    document.write(tmp_path, make())
    code, shown = explain(tmp_path, width=200)
    assert (code, "kept no records; run it with --records" in shown) == (2, True), shown


@pytest.mark.parametrize(
    "row",
    [
        '{"outcome": "ok"}',
        '{"outcome": "ok", "run": 1, "operation": 2, "measured": 3, "t_send_s": "x", "e2e_s": 1}',
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, row):
    file = tmp_path / "r.jsonl"
    file.write_text(f"{row}\n")
    code, shown = explain(file, width=200)
    assert (code, f"Error: {file}: " in shown) == (2, True), shown
