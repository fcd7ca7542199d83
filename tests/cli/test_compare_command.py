"""`astrometer compare` and what can be said of `astrometer release` without a server."""

import json

import pytest
from click.testing import CliRunner
from synthetic_runs import make_run, make_side

from astrometer.cli import main
from astrometer.cli.compare import find_runs
from astrometer.measure.results import document
from astrometer.release.release_plan import Role, order


def write(folder, runs):
    for run in runs:
        document.write(folder / run.name.replace(" ", "-"), run.results)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    write(root / "base", make_side("run", seed=1))
    write(root / "slow", make_side("run", seed=11, ttft_s=0.36, version="4.30.0"))
    write(root, [make_run("same", seed=21), make_run("other", seed=31, users=99)])
    return root


def invoke(*args):
    return CliRunner().invoke(main, ["compare", *(str(arg) for arg in args)], catch_exceptions=False)


def test_a_slower_candidate_fails_its_gate_and_every_report_says_so(folder, tmp_path):
    done = invoke(folder / "base", folder / "slow", "--fail-if", "ttft_p50 worse by 10%", "--out", tmp_path)
    assert done.exit_code == 1
    assert "FAIL" in done.output
    page = (tmp_path / "compare.html").read_text()
    assert "<h1>FAIL</h1>" in page
    assert "AstrBot 4.30.0" in page
    assert "http://" not in page.replace("http://127.0.0.1:6185", "")  # nothing is fetched
    short = (tmp_path / "summary.md").read_text()
    assert "| TTFT p50 |" in short
    assert "🔴 worse" in short
    told = json.loads((tmp_path / "compare.json").read_text())
    rows = {row["name"]: row for row in told["rows"] if row["scenario"] == "all"}
    assert told["verdict"] == "FAIL"
    assert rows["ttft_p50"]["verdict"] == "worse"
    assert rows["ttft_p50"]["change"] == pytest.approx(0.2, abs=0.04)
    assert len(rows["ttft_p50"]["baseline_runs"]) == 3


def test_without_a_gate_nothing_fails(folder):
    done = invoke(folder / "base" / "run-1", folder / "same")
    assert done.exit_code == 0
    assert "NONE" in done.output
    assert "this pair of runs only" in " ".join(done.output.split())


def test_what_cannot_be_decided_is_no_pass_unless_that_is_accepted(folder):
    asked = (folder / "base" / "run-1", folder / "same", "--fail-if", "ttft_p50 worse by 0.1%")
    assert invoke(*asked).exit_code == 3
    assert invoke(*asked, "--accept-undecided").exit_code == 0


def test_runs_of_another_load_are_refused_and_force_shows_them_without_a_verdict(folder):
    refused = invoke(folder / "same", folder / "other", "--fail-if", "any worse")
    assert refused.exit_code == 3
    assert "different loads: closed model, 20 users" in " ".join(refused.output.split())
    assert "TTFT p50" not in refused.output
    forced = invoke(folder / "same", folder / "other", "--fail-if", "any worse", "--force")
    assert forced.exit_code == 3
    assert "TTFT p50" in forced.output
    assert "NOT COMPARABLE" in forced.output


def test_json_goes_to_standard_output_alone(folder):
    done = invoke(folder / "same", folder / "base" / "run-2", "--json")
    assert json.loads(done.stdout)["verdict"] == "NONE"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("nowhere", "nowhere"), "cannot be read"),
        (("same", "same", "--fail-if", "ttft worse by 10%"), "which percentile?"),
        (("same", "base", "--fail-if", "reads: duration_p50 worse by 1%"), "no scenario 'reads'"),
        (("same", "base", "--margin", "0%"), "is not a percentage between"),
    ],
)
def test_a_wrong_call_says_what_is_wrong(folder, monkeypatch, args, told):
    monkeypatch.chdir(folder)
    done = invoke(*args)
    assert done.exit_code == 2
    assert told in " ".join(done.output.replace("│", " ").split())


def broken_metric(read):
    read["metrics"]["ttft"]["histogram"] = "0:broken"


def broken_step(read):
    read["timeline"]["steps"][2]["metrics"]["ttft"]["histogram"] = "0:broken"


def no_window(read):
    del read["window"]


def no_start(read):
    del read["window"]["start"]


@pytest.mark.parametrize("damage", [broken_metric, broken_step, no_window, no_start])
@pytest.mark.parametrize("is_base", [True, False])
def test_a_damaged_file_is_named_and_is_no_condition_that_came_true(folder, tmp_path, damage, is_base):
    run = make_run("damaged", seed=41)
    damage(run.results)
    sides = [folder / "base", write(tmp_path, [run])]
    done = invoke(*(sides[::-1] if is_base else sides), "--fail-if", "any worse")
    assert done.exit_code == 2
    told = done.output.translate(str.maketrans("│", " ")).replace(" ", "").replace("\n", "")
    assert f"{tmp_path}/damaged/results.json:doesnotfollowtheschema" in told


def test_damage_that_only_the_page_meets_is_named_too(folder, tmp_path):
    run = make_run("damaged", seed=41, failures=3)  # so that the table reads the attempts, the page both
    broken_metric(run.results)
    sides = [folder / "base", write(tmp_path / "runs", [run])]
    assert invoke(*sides).exit_code == 0
    done = invoke(*sides, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert "damaged/results.json:doesnotfollow" in "".join(done.output.replace("│", " ").split())


def test_a_directory_without_runs_is_named(tmp_path):
    with pytest.raises(document.ResultsError, match="neither a run nor a directory of runs"):
        find_runs(str(tmp_path))


def test_runs_are_named_by_a_directory_a_file_or_with_commas(folder):
    one, two = folder / "base" / "run-1", folder / "base" / "run-2" / "results.json"
    assert [run.name for run in find_runs(f"{one},{two}")] == [str(one), str(two.parent)]
    assert len(find_runs(str(folder / "base"))) == 3


def test_the_two_take_turns_so_that_what_drifts_meets_both_alike():
    letters = "".join("B" if role is Role.BASELINE else "C" for pair in range(1, 5) for role in order(pair))
    assert letters == "BCCBBCCB"


def test_a_release_test_that_measures_nothing_is_refused(tmp_path):
    args = ["release", "--astrbot", "4.28.2", "--against", "4.29.3", "--block", "5s", "--warmup", "5s"]
    done = CliRunner().invoke(main, args)
    assert done.exit_code == 2
    assert "nothing would be measured" in done.output


@pytest.mark.process
@pytest.mark.parametrize("spec", ["4.1.0", "nonsense", "./nowhere", "./astrbot-4.29.3-py3-none-any.whl"])
def test_a_server_that_cannot_be_had_is_an_error_before_anything_runs(spec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["release", "--astrbot", "4.29.3", "--against", spec])
    assert done.exit_code == 4
    assert "Error: " in done.output
    assert not (tmp_path / "astrometer-results").exists()
