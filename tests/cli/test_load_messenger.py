"""Where a load run finds its target's messenger and the token: never on a command line."""

import pytest
from click.testing import CliRunner

from astrometer.cli import main
from astrometer.config.loader import load
from astrometer.load.launch import LoadPlan
from astrometer.measure.results.document import FILE_NAME, read
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig

TOML = """
[targets.prod]
url = "http://127.0.0.1:6185"
[targets.prod.keys.default]
env = "PROD_KEY"
[targets.prod.messenger]
url = "ws://127.0.0.1:7001/ws"
env = "PROD_TOKEN"
[targets.bare]
url = "http://127.0.0.1:6186"
[targets.bare.keys.default]
env = "PROD_KEY"
"""
ENVIRONMENT = {
    "PROD_KEY": "k", "PROD_TOKEN": "tok-prod", "ASTRBOT_MESSENGER_URL": "ws://127.0.0.1:9/ws",
    "ASTRBOT_MESSENGER_TOKEN": "tok-exported",
}  # fmt: skip


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "astrometer.toml"
    file.write_text(TOML)
    return file


def planned(config, *options, command="load", scenario="im_chat", environ=ENVIRONMENT):
    words = [command, scenario, "--config", str(config), "--slo", "errors < 1%", "--dry-run", *options]
    done = CliRunner().invoke(main, words, env=environ)
    assert done.exit_code == 0, done.output
    assert "tok-" not in done.output
    return done.output


@pytest.mark.parametrize("command", ["load", "capacity"])
def test_the_messenger_of_the_target_is_used_and_its_token_not_shown(config, command):
    said = planned(config, "--target", "prod", command=command)
    assert "--messenger ws://127.0.0.1:7001/ws" in said
    assert said.endswith("in ASTRBOT_API_KEY, and the messenger's token in ASTRBOT_MESSENGER_TOKEN\n")


def test_an_option_takes_precedence(config):
    said = planned(config, "--target", "prod", "--messenger", "ws://127.0.0.1:7002/ws,ws://127.0.0.1:7003/ws")
    assert "--messenger ws://127.0.0.1:7002/ws,ws://127.0.0.1:7003/ws" in said
    assert "7001" not in said


def test_an_exported_messenger_is_another_servers_and_not_this_targets(config):
    assert "--messenger" not in planned(config, "--target", "bare")


def test_beside_host_the_exported_messenger_is_meant(tmp_path):
    words = ["load", "im_chat", "--host", "http://127.0.0.1:6185", "--dry-run"]
    done = CliRunner().invoke(main, words, env={**ENVIRONMENT, "ASTRBOT_API_KEY": "k"})
    assert "--messenger ws://127.0.0.1:9/ws" in done.output


def plan(config, target, given, tmp_path):
    return LoadPlan(
        locustfile=tmp_path / "im_chat.py", target=load(config, ENVIRONMENT).target(target), users=1,
        spawn_rate=1, duration_s=1, stop_timeout_s=1, out=tmp_path,
        given=given,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("target", "given", "token"),
    [
        ("prod", {}, "tok-prod"),
        ("prod", {"messenger": "ws://127.0.0.1:7002/ws"}, "tok-exported"),
        ("bare", {"messenger": "ws://127.0.0.1:7002/ws"}, "tok-exported"),
    ],
)
def test_a_token_goes_to_its_own_messenger_through_the_environment(config, tmp_path, target, given, token):
    made = plan(config, target, given, tmp_path)
    environment = made.environment({**ENVIRONMENT, "ASTRBOT_MESSENGER_TOKEN_FILE": "f"})
    assert environment["ASTRBOT_MESSENGER_TOKEN"] == token
    assert "ASTRBOT_MESSENGER_URL" not in environment
    assert ("ASTRBOT_MESSENGER_TOKEN_FILE" in environment) is (token == "tok-exported")
    assert token not in " ".join(made.command())


@pytest.mark.process
@pytest.mark.parametrize(
    ("port", "token", "code", "said"),
    [
        (None, "wrong", 2, "lets nobody in: HTTP 403, no WebSocket: the token is not the adapter's"),
        (None, "", 2, "it wants a token: set ASTRBOT_MESSENGER_TOKEN"),
        (9, "wrong", 4, "no messenger's adapter answers at 127.0.0.1:9: "),
    ],
)
def test_a_messenger_that_lets_nobody_in_is_said_before_the_run(tmp_path, port, token, code, said):
    """And not by every question of it as `lost_link`."""
    app = Simulator(SimulatorConfig(messenger=MessengerConfig()))
    with serve(app) as url:
        messenger = app.messenger.url if port is None else f"ws://127.0.0.1:{port}/ws"
        words = ["load", "im_chat", "--host", url, "--messenger", messenger, "--out", str(tmp_path / "out")]
        environ = {"ASTRBOT_API_KEY": app.config.keys["all"].secret, "ASTRBOT_MESSENGER_TOKEN": token}
        done = CliRunner().invoke(main, words, env=environ)
    assert done.exit_code == code, done.output
    assert said in " ".join(done.output.split())
    assert not (tmp_path / "out" / "results.json").exists()


@pytest.mark.process
@pytest.mark.parametrize(("version", "told"), [("4.29.3", "4.29.3"), ("4.25.6", None)])
def test_who_has_only_the_messenger_needs_no_api_key(tmp_path, version, told):
    app = Simulator(SimulatorConfig(version=version, messenger=MessengerConfig()))
    out = tmp_path / "out"
    with serve(app) as url:
        words = ["load", "im_chat", "--host", url, "--messenger", app.messenger.url, "--users", "4"]
        words += ["--duration", "6s", "--out", str(out), "--slo", "errors < 1%"]
        environ = {
            "ASTRBOT_API_KEY": None,
            "ASTRBOT_API_KEY_FILE": None,
            "ASTRBOT_MESSENGER_TOKEN": app.messenger.token,
        }
        done = CliRunner().invoke(main, words, env=environ)
    assert done.exit_code == 0, done.output
    assert ("No API key: an AstrBot before 4.26" in done.output) is (told is None)
    results = read(out / FILE_NAME)
    assert results["target"]["version"] == told
    assert set(results["turns"]["outcomes"]) == {"ok"}
