import os
import signal
import subprocess
import sys

import pytest
from causes import only_generator, sentences
from click.testing import CliRunner

from astrometer.cli import main
from astrometer.cli.shared import locust_run
from astrometer.measure.results import document
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import SimulatorConfig

FAST = ("--", "--prompt-suffix", "[[ttft=0.05 gap=0.01 tokens=10]]")


@pytest.fixture(scope="module")
def target():
    app = Simulator(SimulatorConfig())
    with serve(app) as url:
        yield url, app


def astrometer(*args, cwd, **environment):
    ours, state = ("ASTR", "LOCUST"), "ASTROMETER_STATE"
    clean = {name: os.environ[name] for name in os.environ if not name.startswith(ours) or name == state}
    return subprocess.run(
        [sys.executable, "-c", "from astrometer.cli import main; main()", *args],
        env={**clean, **environment}, cwd=cwd, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def trusted(done, out):
    """Skip where the machine is too busy to generate load: the exit code is then rightly 3."""
    if done.returncode == 3:
        measured = document.read(out)
        if only_generator(measured):
            pytest.skip(f"this machine is too busy: {sentences(measured)}")
    return done.returncode


@pytest.mark.process
def test_a_run_writes_results_and_report_and_passes(target, tmp_path):
    url, app = target
    key = app.config.keys["chat"].secret
    out = tmp_path / "out"
    done = astrometer(
        "load", "chat", "--host", url, "-u", "4", "-t", "4s", "--slo", "errors < 50%", "--out", "out", *FAST,
        cwd=tmp_path, ASTRBOT_API_KEY=key,
    )  # fmt: skip
    assert trusted(done, out) == 0, done.stdout + done.stderr
    assert "PASS" in done.stdout
    assert "users  started" in done.stderr
    assert (out / "report.html").exists()
    assert document.read(out)["target"] == {
        "url": url,
        "version": "4.29.3",
        "kind": "simulator",
        "tls_verified": None,
    }  # asked before the run
    log = (out / "locust.log").read_text()
    assert key not in done.stdout + done.stderr + log + (out / "results.json").read_text()


@pytest.mark.process
def test_an_objective_that_is_not_met_is_exit_code_1(target, tmp_path):
    url, app = target
    done = astrometer(
        "load", "reads", "--host", url, "-u", "4", "-t", "3s", "--slo", "errors < 1%", "--no-check",
        "--out", "out",
        cwd=tmp_path, ASTRBOT_API_KEY=app.config.keys["revoked"].secret,
    )  # fmt: skip
    assert trusted(done, tmp_path / "out") == 1, done.stdout + done.stderr
    assert "unauthorized" in done.stdout


@pytest.mark.process
def test_a_target_of_the_configuration_brings_a_key_for_each_scope(target, tmp_path):
    url, app = target
    (tmp_path / "astrometer.toml").write_text(
        f'[targets.sim]\nurl = "{url}"\n'
        '[targets.sim.keys.c]\nenv = "KEY_C"\nscopes = ["chat"]\n'
        '[targets.sim.keys.i]\nenv = "KEY_I"\nscopes = ["im"]\n'
        '[targets.sim.keys.f]\nenv = "KEY_F"\nscopes = ["config"]\n'
    )
    keys = app.config.keys
    done = astrometer(
        "load", "reads", "--target", "sim", "-u", "6", "-t", "4s", "--out", "out", cwd=tmp_path,
        KEY_C=keys["chat"].secret, KEY_I=keys["im"].secret, KEY_F=keys["config"].secret,
    )  # fmt: skip
    trusted(done, tmp_path / "out")
    assert set(document.read(tmp_path / "out")["turns"]["outcomes"]) == {"ok"}


def test_a_dry_run_prints_the_plain_locust_command_without_the_key(tmp_path):
    environment = {"ASTRBOT_API_KEY": "abk-secret"}
    done = CliRunner().invoke(
        main,
        ["load", "mixed", "--host", "http://127.0.0.1:1", "-u", "20", "-t", "1m", "--out", "o", "--dry-run",
         "--", "--chat-weight", "3"],
        env=environment,
    )  # fmt: skip
    assert done.exit_code == 0
    line = done.output.splitlines()[0]
    assert line.startswith("locust -f ")
    assert "--users 20 --spawn-rate 10 --run-time 60s" in line
    assert line.endswith("--chat-weight 3")
    assert "abk-secret" not in done.output


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (
            ["load", "chats", "--host", "http://127.0.0.1:9"],
            2,
            "'chats' is none of chat, im_bursts, im_chat",
        ),
        (["load", "chatt", "--host", "http://127.0.0.1:9"], 2, "'chatt' is none of chat, im_bursts"),
        (["load", "chatt", "--host", "http://127.0.0.1:9"], 2, 'nor a .py file (did you mean "chat"?)'),
        (
            ["load", "chat", "--host", "127.0.0.1:9"],
            2,
            "--host: '127.0.0.1:9' is not a URL like http://127.0.0.1:9\n",
        ),
        (["load", "chat", "--host", "http://127.0.0.1:9", "-t", "soon"], 2, "is not a duration"),
        (["load", "chat", "--host", "http://127.0.0.1:9", "-t", "90.5s"], 2, "whole seconds only"),
        (["load", "chat", "--host", "http://127.0.0.1:9", "--stop-timeout", "500ms"], 2, "whole seconds"),
        (["capacity", "chat", "--host", "http://127.0.0.1:9", "--stop-timeout", "1.5"], 2, "whole seconds"),
        (["load", "chat", "--host", "http://127.0.0.1:9", "--slo", "ttft < 1s"], 2, "which percentile"),
        (
            ["load", "chat", "--host", "http://127.0.0.1:9", "--target", "x"],
            2,
            "--host cannot be combined with --target",
        ),
        pytest.param(
            ["load", "chat", "--host", "http://127.0.0.1:9"],
            4,
            "http://127.0.0.1:9 does not answer",
            marks=pytest.mark.process,
        ),
    ],
)
def test_what_cannot_work_says_why(arguments, code, complaint):
    done = CliRunner().invoke(main, arguments, env={"ASTRBOT_API_KEY": "abk-x", "ASTRBOT_API_KEY_FILE": None})
    assert (done.exit_code, complaint in done.output) == (code, True), done.output


@pytest.mark.parametrize("rate", ["5", "0/s", "many/s", "5/d", "-1/s", "nan/s"])
def test_a_rate_that_is_none_is_refused(rate):
    done = CliRunner().invoke(main, ["load", "chat", "--host", "http://127.0.0.1:9", f"--rate={rate}"])
    assert done.exit_code == 2
    assert "is not a rate (write 5/s, 90/m or 600/h)" in done.output


@pytest.mark.process
def test_without_a_key_nothing_starts():
    done = CliRunner().invoke(
        main,
        ["load", "chat", "--host", "http://127.0.0.1:9"],
        env={"ASTRBOT_API_KEY": None, "ASTRBOT_API_KEY_FILE": None},
    )
    assert done.exit_code == 2
    assert "no API key for http://127.0.0.1:9" in done.output


def test_the_arguments_of_a_run_can_be_listed():
    done = CliRunner().invoke(main, ["load", "--list-arguments"])
    assert done.exit_code == 0
    for text in ("--session-turns N [1]", "(ASTROMETER_SESSION_TURNS)", "30 messages", "--slo EXPR"):
        assert text in done.output


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--stages", "10:1m,20:2q"), "step 2 '20:2q': '2q' is not a duration"),
        (("--shape", "10:1m", "-t", "60s"), "--duration cannot be combined with --shape"),
        (("--shape", "10:1m", "-u", "3"), "--users cannot be combined with --shape"),
        (("--stages", "10:5s", "--warmup", "1m"), "ramp-up and warm-up take 60 s of a run of 5 s"),
        (("--stages", "10:5s", "--arrivals", "constant"), "--arrivals needs a rate"),
        (("--users", "10", "--arrivals", "poisson"), "--arrivals needs a rate"),
    ],
)
def test_a_shape_that_cannot_be_meant_is_a_usage_error(options, told):
    done = CliRunner().invoke(main, ["load", "chat", "--host", "http://127.0.0.1:9", "--dry-run", *options])
    assert done.exit_code == 2
    assert told in done.output


def test_a_run_that_is_interrupted_before_it_begins_says_so(tmp_path, capsys):
    assert locust_run.conclude(None, tmp_path, -signal.SIGTERM, with_results=False) == 130
    assert "Interrupted before the run began" in capsys.readouterr().err
    assert locust_run.conclude(None, tmp_path, 1, with_results=False) == 3


@pytest.mark.parametrize("command", ["load", "capacity"])
def test_a_dry_run_of_either_command_is_for_any_machine(command):
    done = CliRunner().invoke(
        main, [command, "chat", "--host", "http://127.0.0.1:9", "--slo", "errors < 1%", "--dry-run"]
    )
    assert done.output.startswith("locust -f ")
    assert "--astrometer-journal" not in done.output
    assert done.output.endswith("# with the API key in ASTRBOT_API_KEY\n")


def test_the_exit_codes_are_in_the_help():
    assert "Exit codes: 0 every objective was met" in CliRunner().invoke(main, ["load", "--help"]).output


def test_a_search_for_users_has_no_arrivals():
    options = ("--slo", "errors < 1%", "--arrivals", "constant", "--dry-run")
    done = CliRunner().invoke(main, ["capacity", "chat", "--host", "http://127.0.0.1:9", *options])
    assert (done.exit_code, "--arrivals needs a rate" in done.output) == (2, True)


def test_long_times_reach_locust_as_locust_can_read_them():
    options = ("-t", "12d", "--stop-timeout", "20m", "--warmup", "11d12h", "--abort-on-fail", "1500ms")
    options += ("--stall-threshold", "800ms")
    done = CliRunner().invoke(
        main,
        [
            "load",
            "chat",
            "--host",
            "http://127.0.0.1:9",
            "-u",
            "1",
            "--slo",
            "errors < 1%",
            "--dry-run",
            *options,
        ],
    )
    for told in (
        "--run-time 1036800s",
        "--stop-timeout 1200 ",
        "--warmup 993600s ",
        "--abort-on-fail 1500ms",
        "--stall-threshold 800ms",
    ):
        assert told in done.output


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("10:1m,50:2m", ["--shape 10:1m,50:2m"]),
        ("ramp 1/s..9/s for 90s", ["--shape 'ramp 1/s..9/s for 90s'"]),
    ],
)
def test_a_shape_replaces_users_and_duration_in_the_locust_command(shape, expected):
    done = CliRunner().invoke(
        main, ["load", "chat", "--host", "http://127.0.0.1:9", "--dry-run", "--stages", shape]
    )
    assert done.exit_code == 0, done.output
    assert all(part in done.output for part in expected)
    assert "--users" not in done.output
    assert "--run-time" not in done.output
    assert "--rate-unit" not in done.output
