"""`astrometer sla`: reads the history of an exporter, and says where it looked when there is none."""

import time

import pytest
from click.testing import CliRunner
from layer_states import WELL

from astrometer.cli import main
from astrometer.probing.status.state_history import StateHistory


def sla(*arguments: str, **environ: str):
    return CliRunner(env={"STATE_DIRECTORY": None, "ASTRBOT_URL": None, **environ}).invoke(
        main, ["sla", *arguments], catch_exceptions=False
    )


def test_it_writes_both_while_the_exporter_runs(tmp_path):
    now = [time.time() - 7200.0]
    history = StateHistory(tmp_path, clock=lambda: now[0])
    history.note({"prod": WELL})
    now[0] += 3600
    history.note({"prod": WELL})
    history.flush()
    month = time.strftime("%Y-%m", time.gmtime(now[0]))
    printed = sla("--month", month, "--state-dir", str(tmp_path))
    assert printed.exit_code == 0
    assert "| AstrBot | 100 % | 0 s | 1 h |" in printed.stdout
    written = sla("--month", month, "--out", str(tmp_path / "out"), STATE_DIRECTORY=str(tmp_path))
    assert written.exit_code == 0
    assert [path.read_text("utf-8")[:2] for path in sorted((tmp_path / "out").iterdir())] == ["<!", "# "]
    history.close()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--month", "2026-13"], "2026-13: YYYY-MM expected, such as 2026-11"),
        (["--month", "2020-01"], "cannot be read"),
        (["--month", "2020-01", "--out", "out"], "history.sqlite: cannot be read"),
    ],
)
def test_nothing_to_report_is_said(arguments, error, tmp_path):
    result = sla(*arguments, "--state-dir", str(tmp_path))
    assert (result.exit_code, error in result.output) == (2, True)


def test_a_month_of_which_nothing_is_known(tmp_path):
    StateHistory(tmp_path).close()
    result = sla("--month", "2020-01", "--state-dir", str(tmp_path))
    assert (result.exit_code, "knows nothing of 2020-01; it keeps 100 days" in result.output) == (2, True)


def test_without_a_configuration_it_says_how_to_name_the_state_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = sla("--month", "2026-10")
    assert (done.exit_code, "--state-dir DIR, or --config FILE" in " ".join(done.output.split())) == (2, True)


def test_a_configuration_that_is_named_is_read_before_the_folder_of_systemd(tmp_path):
    config = tmp_path / "own.toml"
    config.write_text(f'state_dir = "{tmp_path / "own"}"\n[targets.a]\nurl = "http://127.0.0.1:9"\n')
    done = sla("--month", "2026-10", "--config", str(config), STATE_DIRECTORY=str(tmp_path / "systemd"))
    assert "own/history.sqlite" in "".join(done.output.split())
