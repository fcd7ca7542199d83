import os

import pytest

from astrometer.compare.output import compare_html, compare_json, compare_junit, compare_summary
from astrometer.measure.results import document
from astrometer.report import write_reports
from astrometer.targets.sandbox.local import REPORT, LocalError, is_local, local_source


@pytest.mark.parametrize(
    ("spec", "local"),
    [
        ("4.29.3", False),
        ("latest", False),
        ("./AstrBot", True),
        ("a/b", True),
        ("x.whl", True),
        ("~/A", True),
    ],
)
def test_a_path_is_told_from_a_version(spec, local):
    assert is_local(spec) is local


def test_the_version_of_a_wheel_is_in_its_name_and_its_content_in_the_digest(tmp_path):
    wheel = tmp_path / "astrbot-4.30.0rc1-py3-none-any.whl"
    wheel.write_bytes(b"one")
    first = local_source(str(wheel), tmp_path)
    wheel.write_bytes(b"two")
    assert first.version == "4.30.0rc1"
    assert first.cache_name.startswith("4.30.0rc1-local-")
    assert local_source(str(wheel), tmp_path).cache_name != first.cache_name


def checkout(path, name="AstrBot"):
    (path / "astrbot").mkdir(parents=True)
    (path / "astrbot" / "main.py").write_text("pass")
    (path / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "4.30.0"\n')
    return path


def test_an_edited_checkout_is_another_one_and_what_git_or_a_run_leaves_is_not(tmp_path):
    path = checkout(tmp_path / "AstrBot")
    first = local_source(str(path), tmp_path / "cache")
    for left in (".git/index", "astrometer-results/release-1/notes.csv"):
        (path / left).parent.mkdir(parents=True)
        (path / left).write_text("x")
    assert local_source(str(path), tmp_path / "cache").digest == first.digest
    os.utime(path / "astrbot" / "main.py", (1, 1))
    assert local_source(str(path), tmp_path / "cache").digest != first.digest
    assert first.version == "4.30.0"


def test_what_astrometer_writes_into_a_checkout_is_no_edit_wherever_it_is(tmp_path):
    path = checkout(tmp_path / "AstrBot")
    first = local_source(str(path), path / ".cache")
    run = ("locust.log", document.FILE_NAME, *write_reports.FILE_NAMES)
    gate = (
        compare_html.FILE_NAME, compare_json.FILE_NAME, compare_summary.FILE_NAME, compare_junit.FILE_NAME,
    )  # fmt: skip
    assert {*run, *gate} == REPORT
    for folder, names in {".cache/astrbot": ("x",), "report": gate, "report/baseline/1": run}.items():
        (path / folder).mkdir(parents=True)
        for name in names:
            (path / folder / name).write_text("x")
    assert local_source(str(path), path / ".cache").digest == first.digest
    (path / "report" / "of-my-own.py").write_text("x")
    assert local_source(str(path), path / ".cache").digest != first.digest


def test_a_report_that_is_part_of_the_source_counts(tmp_path):
    path = checkout(tmp_path / "AstrBot")
    first = local_source(str(path), tmp_path)
    (path / "astrbot" / "report.html").write_text("a template")
    assert local_source(str(path), tmp_path).digest != first.digest


@pytest.mark.parametrize("kind", ["missing", "empty", "other"])
def test_what_is_no_astrbot_is_refused_with_what_was_expected(tmp_path, kind):
    path = tmp_path / "thing"
    if kind == "empty":
        path.mkdir()
    if kind == "other":
        checkout(path, name="numpy")
    with pytest.raises(LocalError, match="checkout of AstrBot"):
        local_source(str(path), tmp_path)
