"""Where settings come from when there are several places: what loses is said, on stderr alone."""

import pytest
from click.testing import CliRunner, Result

from astrometer.cli import main

FILE = '[targets.prod]\nurl = "http://127.0.0.1:9"\nkeys.k = { env = "PROD_KEY" }\n'
ENVIRON = {"ASTRBOT_URL": "http://127.0.0.1:10", "ASTRBOT_API_KEY": "abk_exported", "PROD_KEY": "abk_prod"}
LINE = "settings from astrometer.toml; ASTRBOT_URL and ASTRBOT_API_KEY are ignored (--host takes them)\n"


@pytest.fixture
def check(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "astrometer.toml").write_text(FILE)

    def run(*arguments: str, **environ: str) -> Result:
        result = CliRunner(env={**ENVIRON, **environ}).invoke(main, ["probe", "--check", *arguments])
        assert result.exit_code == 0, result.output
        assert "ignored" not in result.stdout
        return result

    return run


def test_a_file_found_here_that_beats_what_was_exported_is_named_on_stderr(check):
    assert check().stderr == LINE


@pytest.mark.parametrize("given", [("--config", "astrometer.toml"), ("--host", "http://127.0.0.1:10")])
def test_who_chose_is_not_told(check, given):
    assert check(*given).stderr == ""


@pytest.mark.parametrize(
    "environ",
    [
        {"ASTRBOT_URL": ""},  # a key alone is how a file gets its key
        {"ASTRBOT_URL": "http://127.0.0.1:9/", "ASTRBOT_API_KEY": "abk_prod"},
        {"ASTRBOT_URL": "http://127.0.0.1:9", "ASTRBOT_API_KEY": ""},
    ],
)
def test_nothing_is_said_when_both_say_the_same(check, environ):
    assert check(**environ).stderr == ""


def test_only_what_differs_is_named(check):
    line = "settings from astrometer.toml; ASTRBOT_URL is ignored (--host takes it)\n"
    assert check(ASTRBOT_API_KEY="abk_prod").stderr == line


def test_doctor_says_it_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "astrometer.toml").write_text(FILE)
    done = CliRunner(env=ENVIRON).invoke(main, ["doctor", "--json"])
    assert done.stderr.startswith(LINE)
    assert "ignored" not in done.stdout
