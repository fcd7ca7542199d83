import base64
import json
import random
import struct
import subprocess
import sys
import tracemalloc
import zlib

import pytest
from click.testing import CliRunner
from hdrh.histogram import HdrHistogram

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.cli import main
from astrometer.measure.results import document as results_file
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.measure.tally.tally import Tally

START = 1_700_000_000.0


@pytest.fixture
def folder(tmp_path):
    """A directory as a run leaves it."""
    rng = random.Random(3)
    tally = Tally({"duration": 1.0})
    for index in range(400):
        tally.started("reads", "list", START + index / 20)
        outcome = Outcome.RATE_LIMITED if index == 9 else Outcome.OK
        call = CallResult(outcome=outcome, duration_s=rng.uniform(0.01, 0.05))
        tally.finished("reads", "list", START + index / 20, call)
    info = results_file.RunInfo(
        scenario="reads",
        url="http://127.0.0.1:6185",
        start=START,
        duration_s=20.0,
        objectives=parse_objectives(["duration_p95 < 40ms"]),
    )
    results_file.write(tmp_path, results_file.build(tally, info))
    return tmp_path


def test_the_reports_are_made_again_and_the_table_is_printed(folder):
    done = CliRunner().invoke(main, ["report", str(folder)])
    assert done.exit_code == 0, done.output
    assert "rate_limited 1" in done.stdout
    assert "FAIL" in done.stdout
    assert "<h1>FAIL</h1>" in (folder / "report.html").read_text("utf-8")
    assert (folder / "summary.md").read_text("utf-8").startswith("### ❌ astrometer: FAIL")
    assert sorted(item.name for item in folder.iterdir()) == [
        "junit.xml",
        "report.html",
        "results.json",
        "summary.md",
    ]


def test_the_results_file_itself_may_be_named(folder):
    done = CliRunner().invoke(main, ["report", str(folder / "results.json")])
    assert done.exit_code == 0
    assert (folder / "report.html").is_file()


@pytest.mark.process
def test_piped_output_has_no_colour_and_fits_80_columns(folder):
    code = "from astrometer.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "report", str(folder)], capture_output=True, check=True, timeout=60
    )
    text = done.stdout.decode()
    assert "\x1b" not in text
    table = text[: text.index("Wrote\n")]
    assert max(len(line) for line in table.splitlines()) <= 80
    assert [line for line in text.splitlines() if line != line.rstrip()] == []


def test_a_hostile_histogram_takes_no_memory(folder):
    """One that inflates to gigabytes, and one that claims a range of 2**62: neither is unpacked."""
    file = folder / "results.json"
    results = json.loads(file.read_text("utf-8"))
    inflated = zlib.compress(bytes(100_000_000), 9)
    wide = HdrHistogram(1, 2**53, 5)
    wide.record_value(7)
    for hostile in (
        base64.b64encode(struct.pack(">ii", 0x1C849314, len(inflated)) + inflated),
        wide.encode(),
    ):
        results["metrics"]["duration"]["histogram"] = f"0:{hostile.decode()}"
        file.write_text(json.dumps(results), "utf-8")
        tracemalloc.start()
        done = CliRunner().invoke(main, ["report", str(folder)])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert done.exit_code == 2
        assert "does not follow the schema of results.json (not an encoded histogram" in done.output
        assert most < 30_000_000


def test_a_file_that_no_run_has_written_is_refused_before_it_fills_the_memory(folder, monkeypatch):
    monkeypatch.setattr(results_file, "MOST_BYTES", 1000)
    done = CliRunner().invoke(main, ["report", str(folder)])
    assert done.exit_code == 2
    assert "larger than" in done.output


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"schema_version": 2, "a": ' + "[" * 80 + "]" * 80 + "}", "nested too deeply"),
        (None, "cannot be read"),
        ("{", "not valid JSON"),
        ("[]", "no schema_version"),
        ('{"schema_version": 999}', "newer than this astrometer"),
        ('{"schema_version": 1}', "older than this astrometer"),
        ('{"schema_version": 2}', "does not follow the schema"),
        ('{"schema_version": 2, "target": 5, "window": []}', "does not follow the schema"),
    ],
)
def test_a_file_that_is_no_results_file_is_a_usage_error(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "results.json").write_text(content, "utf-8")
    done = CliRunner().invoke(main, ["report", str(tmp_path)])
    assert done.exit_code == 2
    assert reason in done.stderr
    assert str(tmp_path) in done.stderr
    assert not (tmp_path / "report.html").exists()


def test_a_damaged_histogram_is_told(folder):
    file = folder / "results.json"
    results = json.loads(file.read_text("utf-8"))
    results["metrics"]["duration"]["histogram"] = "0:garbage"
    file.write_text(json.dumps(results), "utf-8")
    done = CliRunner().invoke(main, ["report", str(folder)])
    assert done.exit_code == 2
    assert "not an encoded histogram" in done.stderr


def test_a_directory_that_cannot_be_written_is_told(folder):
    (folder / "report.html").mkdir()
    done = CliRunner().invoke(main, ["report", str(folder)])
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
