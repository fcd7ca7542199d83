"""`astrometer history`: table, page and JSON of a folder of runs."""

import json
import sys

import pytest
from click.testing import CliRunner
from synthetic_runs import make_run

from astrometer.cli import main
from astrometer.measure.results import document


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("weeks")
    for number in range(12):
        ttft_s, version = (0.3, "4.26.5") if number < 6 else (0.2, "4.26.6")
        run = make_run(f"{number}", seed=number, ttft_s=ttft_s, version=version)
        document.write(root / "nightly" / f"{number:02}", run.results)
    document.write(root / "other", make_run("other", seed=31, users=99).results)
    bad = make_run("bad", seed=41).results
    bad["verdict"], bad["causes"] = "INVALID", [{"sentence": "a worker was lost <b>&"}]
    document.write(root / "bad", bad)
    return root


def invoke(*args):
    return CliRunner().invoke(main, ["history", *(str(arg) for arg in args)], catch_exceptions=False)


def test_the_table_shows_the_runs_the_change_and_what_is_left_out(folder):
    pytest.importorskip("ruptures")
    done = invoke(folder)
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    assert "▼ 20" in told
    assert "TTFT p50 −3" in told
    assert "from nightly/06 on" in told
    assert "AstrBot 4.26.5 → 4.26.6" in told
    assert "bad is INVALID: a worker was lost" in told
    assert "kept apart different loads: closed model, 20 users in nightly/00" in told
    assert "12 runs: the level changed at 1 place; 1 run kept apart; 1 run left out." in told
    assert max(map(len, done.output.splitlines())) <= 80


def test_the_page_is_one_file_that_fetches_nothing_and_escapes_what_it_shows(folder, tmp_path):
    assert invoke(folder, "--out", tmp_path).exit_code == 0
    page = (tmp_path / "history.html").read_text()
    assert "<script" not in page
    assert "http://" not in page.replace("http://127.0.0.1:6185", "")
    assert "a worker was lost &lt;b&gt;&amp;" in page
    assert page.count("<figure>") >= 6  # of each group TTFT, chunk gap, e2e, errors
    assert "nan" not in page
    assert json.loads((tmp_path / "history.json").read_text()) == json.loads(invoke(folder, "--json").stdout)


def test_by_version_each_version_is_a_row(folder):
    told = json.loads(invoke(folder, "--by", "version", "--json").stdout)
    main_group = told["groups"][0]
    assert [point["version"] for point in main_group["points"]] == ["4.26.5", "4.26.6"]
    assert [len(point["runs"]) for point in main_group["points"]] == [6, 6]
    ttft = next(item for item in main_group["series"] if item["name"] == "ttft_p50")
    assert ttft["values"][0]["value"] == pytest.approx(0.3, rel=0.05)
    assert [change["point"] for change in ttft["changes"]] == [1]


def test_without_ruptures_all_but_the_change_points_is_there(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    done = invoke(folder, "--out", tmp_path)
    assert done.exit_code == 0
    told = " ".join(done.output.split())
    assert "change points were not looked for" in told
    assert 'pip install "ruptures>=1.1.10"' in told
    assert "<figure>" in (tmp_path / "history.html").read_text()
    assert json.loads((tmp_path / "history.json").read_text())["change_points"]["searched"] is False


def test_exit_codes(folder, tmp_path):
    assert invoke(tmp_path / "nowhere").exit_code == 2
    (tmp_path / "empty").mkdir()
    none = invoke(tmp_path / "empty")
    assert none.exit_code == 2
    assert "no results.json in it or below it" in " ".join(none.output.replace("│", " ").split())
    all_out = invoke(folder / "bad")
    assert all_out.exit_code == 3
    assert "bad is INVALID" in all_out.stderr


def broken_metric(read):
    read["metrics"]["ttft"]["histogram"] = "0:broken"


def no_window(read):
    del read["window"]


@pytest.mark.parametrize("damage", [broken_metric, no_window])
def test_a_damaged_file_is_left_out_and_named_and_the_others_are_shown(tmp_path, damage):
    for number in range(2):
        run = make_run(f"{number}", seed=number, chats=40)
        if number:
            damage(run.results)
        document.write(tmp_path / f"run-{number}", run.results)
    done = invoke(tmp_path, "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert [point["runs"][0]["name"] for point in told["groups"][0]["points"]] == ["run-0"]
    (left_out,) = told["left_out"]
    assert left_out["reason"].startswith("run-1/results.json: does not follow the schema of results.json")
