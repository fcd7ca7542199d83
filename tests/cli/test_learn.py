"""`astrometer learn`, and `load` with what it wrote: what is said, and how much load comes of it."""

import pytest
from click.testing import CliRunner
from operator_database import known_traffic, make_database
from workloads import a_workload

from astrometer.cli import main
from astrometer.load.workload.workload_file import read, write


def invoke(*words):
    env = {"ASTRBOT_API_KEY": "abk-x", "ASTRBOT_API_KEY_FILE": None, "COLUMNS": "100"}
    return CliRunner().invoke(main, [*map(str, words)], env=env)


def test_the_shape_is_written_and_told(tmp_path):
    make_database(tmp_path / "data_v4.db", known_traffic(conversations=400, hours=72)[0]).close()
    done = invoke("learn", tmp_path / "data_v4.db", "--out", tmp_path / "w.toml")
    assert done.exit_code == 0, done.output
    workload = read(tmp_path / "w.toml")
    told = " ".join(done.output.split())
    assert f"in 400 conversations of {workload.people} people in 3.0 days" in told
    assert f"{workload.busiest_hour.turns_per_s * 3600:.0f} questions an hour" in told
    assert "pause before the next one" in told
    assert "answer takes 4.00 s" in told


def test_what_cannot_be_learnt_or_written_is_a_usage_error(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    done = invoke("learn", tmp_path / "notes.txt", "--out", tmp_path / "w.toml")
    assert (done.exit_code, (tmp_path / "w.toml").exists()) == (2, False)
    assert "notes.txt:1: is neither a database nor JSON" in done.output
    make_database(tmp_path / "data_v4.db", known_traffic(conversations=3)[0]).close()
    done = invoke("learn", tmp_path / "data_v4.db", "--out", tmp_path / "notes.txt" / "w.toml")
    assert done.exit_code == 2
    assert "w.toml: cannot be written" in done.output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("--scale", "2"), "--scale needs --workload: make a file with `astrometer learn`"),
        (("--workload", "W", "--scale", "2", "--users", "3"), "--scale cannot be combined with --users"),
        (("--workload", "W", "--closed", "--rate", "3/s"), "--closed cannot be combined with --rate"),
        (("--workload", "W", "--session-turns", "3"), "--session-turns cannot be combined with --workload"),
        (("--prompt-suffix", "{answer_tokens}"), "--prompt-suffix: {answer_tokens} needs --workload"),
        (("--workload", "none.toml"), "--workload: none.toml: cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path, words, complaint):
    file = tmp_path / "w.toml"
    file.write_text(write(a_workload()))
    done = invoke("load", "chat", "--host", "http://127.0.0.1:9", *(file if w == "W" else w for w in words))
    assert done.exit_code == 2
    assert complaint in " ".join(done.output.split())


@pytest.mark.process
@pytest.mark.parametrize(
    ("scenario", "words", "load"),
    [
        (
            "chat",
            (),
            "--users 25 --spawn-rate 25 --run-time 60s --stop-timeout 30 --headless --rate-unit 0.01",
        ),
        ("mixed", ("--scale", "3"), "--users 100 --spawn-rate 100"),  # 6 of 10 users chat
        ("chat", ("--closed", "--scale", "2"), "--users 25 "),
        ("uploads", (), "nobody here chats or writes in a messenger"),
    ],
)
def test_the_busiest_hour_becomes_a_rate_or_users(tmp_path, scenario, words, load):
    file = tmp_path / "w.toml"
    file.write_text(write(a_workload()))  # 0.5 turns per second in conversations of 2, each turn 25 s
    done = invoke("load", scenario, "--host", "http://127.0.0.1:9", "--workload", file, *words, "--dry-run")
    assert load in " ".join(done.output.split())
    if scenario == "mixed":
        assert "--rate-unit 0.0125 " in done.output
    assert done.exit_code == (2 if scenario == "uploads" else 0)


def test_a_search_of_rates_begins_at_the_busiest_hour(tmp_path):
    from astrometer.load.options import Settings

    file = tmp_path / "w.toml"
    for per_s, first in ((4.0, 2.0), (0.001, 0.2)):
        file.write_text(write(a_workload(per_s=per_s)))
        given = {"searches": True, "slo": ["errors < 1%"], "workload_file": str(file)}
        assert Settings.given({**given, "model": "open"}).capacity.start == first
        assert Settings.given(given).capacity.start == 1
