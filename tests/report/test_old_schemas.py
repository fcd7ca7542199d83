"""A results file of an older schema makes every report of today."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from astrometer.measure.results import document as results_file
from astrometer.report import write_reports
from astrometer.report.table import render

FILES = sorted((Path(__file__).parent / "old_schemas").glob("results-*.json"))


def test_there_is_a_file_of_every_older_schema():
    assert [file.name for file in FILES] == [
        f"results-{n}.json" for n in range(1, results_file.SCHEMA_VERSION)
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_report_is_made_of_an_old_file(file, tmp_path):
    before = file.read_bytes()
    results = results_file.read(file)
    assert results["schema_version"] == results_file.SCHEMA_VERSION
    written = write_reports.write(results, tmp_path)
    assert [path.name for path in written] == ["report.html", "summary.md", "junit.xml"]
    console = Console(width=100, file=(tmp_path / "table.txt").open("w"))
    console.print(render(results))
    console.file.close()
    texts = [path.read_text("utf-8") for path in (*written, tmp_path / "table.txt")]
    for objective in json.loads(before)["objectives"]:
        name = objective["text"].split("<")[0].strip()
        assert all(name in text.replace("\\_", "_") for text in texts)
    assert file.read_bytes() == before


def test_what_schema_1_said_in_a_text_is_known_apart_today():
    kept = results_file.read(FILES[0])["objectives"]
    assert [(item["metric"], item["percent"], item["operator"], item["unit"]) for item in kept] == [
        ("ttft", 95, "<", "s"), ("errors", None, "<", "share"), ("ttft", 99, "<", "s"),
    ]  # fmt: skip
