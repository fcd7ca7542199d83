"""`astrometer probe` as a user calls it: table, JSON, exit codes, and no key in any output."""

import json
import os
import re
import socket
import subprocess
import sys

import pytest
from click.testing import CliRunner, Result
from receivers import receivers

from astrometer import bundled
from astrometer.cli import main
from astrometer.probing.probe_files import load_folder
from astrometer.targets.script import ModelScript
from astrometer.targets.serving import serve
from astrometer.targets.simulator.simulator_app import Simulator
from astrometer.targets.simulator.simulator_config import MessengerConfig, SimulatorConfig

PROBES = load_folder(bundled.folder("probes")).probes
OURS = tuple(name for name, probe in PROBES.items() if not probe.needs_messenger)  # this target has none


@pytest.fixture(scope="module")
def simulated():
    simulator = Simulator(SimulatorConfig(model=ModelScript(ttft_s=0.05, gap_s=0.005, tokens=5)))
    with serve(simulator) as url:
        yield simulator, url


@pytest.fixture
def astrometer(simulated, tmp_path, monkeypatch):
    simulator, url = simulated
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith("ASTRBOT_"):
            monkeypatch.delenv(name)

    def run(*arguments: str, key: str = "all", **environ: str) -> Result:
        secret = simulator.store.keys[key].secret
        ours = {"ASTRBOT_URL": url, "ASTRBOT_API_KEY": secret, "COLUMNS": "160", **environ}
        result = CliRunner(env=ours).invoke(main, arguments, catch_exceptions=False)
        for known in simulator.store.keys.values():
            assert known.secret not in result.output
        return result

    return run


def closed_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_once_prints_a_row_a_probe_and_exits_0(astrometer, simulated):
    result = astrometer("probe", "--once")
    assert result.exit_code == 0
    table, states = result.stdout.split("\n\n")
    rows = [line.split()[:4] for line in table.splitlines()]
    assert rows == [
        ["target", "probe", "verdict", "reason"],
        *(["default", name, "PASS", "ok"] for name in OURS),
    ]
    assert [line.split() for line in states.splitlines()] == [
        ["target", "state", "network", "AstrBot", "key", "model", "messenger", "content"],
        ["default", "OK", "OK", "OK", "OK", "OK", "UNKNOWN", "not", "probed", "OK"],
    ]
    assert "skipped im_chat on default: target default has no messenger" in result.stderr
    assert list(simulated[0].store.sessions) == []


def test_json_is_a_list_of_verdicts(astrometer):
    result = astrometer("probe", "--once", "--json", "--probe", "chat", "--probe", "reads")
    chat, reads = json.loads(result.stdout)
    assert result.exit_code == 0
    named = {name: chat[name] for name in ("target", "probe", "ok", "reason")}
    assert named == {"target": "default", "probe": "chat", "ok": True, "reason": "ok"}
    assert 0.05 <= chat["ttft_s"] <= chat["duration_s"]
    assert (reads["probe"], reads["ttft_s"]) == ("reads", None)


@pytest.mark.parametrize(("key", "reason"), [("revoked", "unauthorized"), ("file", "forbidden")])
def test_a_failing_probe_exits_1_and_names_its_reason(astrometer, key, reason):
    result = astrometer("probe", "--once", "--json", "--probe", "chat", key=key)
    assert result.exit_code == 1
    (chat,) = json.loads(result.stdout)
    assert (chat["ok"], chat["reason"], chat["target_state"]) == (False, reason, "key_rejected")


def test_a_target_that_no_probe_reaches_exits_4(astrometer):
    result = astrometer("probe", "--once", "--json", "--host", closed_port())
    assert result.exit_code == 4
    assert {(row["reason"], row["target_state"]) for row in json.loads(result.stdout)} == {
        ("connect", "down")
    }


@pytest.mark.parametrize(("key", "code"), [("all", 3), ("revoked", 1)])
def test_a_probe_that_the_budget_forbids_is_listed_and_the_others_success_is_no_pass(
    astrometer, simulated, tmp_path, key, code
):
    (tmp_path / "astrometer.toml").write_text(
        f'[targets.a]\nurl = "{simulated[1]}"\nkeys.k = {{ env = "ASTRBOT_API_KEY" }}\n'
        "budget = { runs_per_day = 0 }\n"
    )
    result = astrometer("probe", "--once", "--json", "--probe", "chat", "--probe", "reads", key=key)
    assert result.exit_code == code
    rows = {row["probe"]: row for row in json.loads(result.stdout)}
    assert set(rows) == {"chat", "reads"}
    assert {name: rows["chat"][name] for name in ("ok", "reason", "skipped")} == {
        "ok": False,
        "reason": "skipped",
        "skipped": "budget",
    }
    assert rows["reads"]["skipped"] is None
    assert " SKIP " in astrometer("probe", "--once", "--probe", "chat").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--once", "--probe", "nope"), "--probe nope: no such probe"),
        (("--json",), "--json needs --once"),
        (("--once", "--config", "missing.toml"), "missing.toml: cannot be read (No such file or directory)"),
        (("--once", "--target", "prod"), "environment: no target 'prod' (there are: default)"),
        (
            ("--listen", "everywhere"),
            "--listen everywhere: ADDRESS:PORT or :PORT expected, like 127.0.0.1:16185",
        ),
        (("--once", "--host", "ftp://x"), "'ftp://x' is not a URL like http://127.0.0.1:6185"),
    ],
)
def test_wrong_use_exits_2_with_place_and_cure(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    environ = {"ASTRBOT_URL": "http://127.0.0.1:9", "ASTRBOT_API_KEY": "abk_x"}
    result = CliRunner(env=environ).invoke(main, ["probe", *arguments])
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_probe_without_its_key_is_skipped_and_asked_for_by_name_a_usage_error(
    astrometer, simulated, tmp_path
):
    (tmp_path / "astrometer.toml").write_text(
        f'[targets.a]\nurl = "{simulated[1]}"\n[targets.a.keys.im]\nenv = "IM_KEY"\nscopes = ["im"]\n'
    )
    environ = {"IM_KEY": simulated[0].store.keys["im"].secret}
    result = astrometer("probe", "--once", "--json", **environ)
    assert result.exit_code == 0
    assert [row["probe"] for row in json.loads(result.stdout)] == ["auth", "im", "reads", "scopes", "server"]
    assert "skipped chat on a: no key of target a has the scope chat" in result.stderr
    result = astrometer("probe", "--once", "--probe", "chat", **environ)
    assert result.exit_code == 2
    assert "chat: no key of target a has the scope chat" in result.stderr


def test_a_gate_that_has_lost_its_key_does_not_pass(astrometer):
    result = astrometer("probe", "--once", ASTRBOT_API_KEY="")
    assert result.exit_code == 2
    assert "no API key: set ASTRBOT_API_KEY" in result.stderr
    result = astrometer("probe", "--once", "--probe", "server", ASTRBOT_API_KEY="")
    assert result.exit_code == 0


def test_a_folder_of_ones_own_probes(astrometer, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "hello.py").write_text(
        "from astrometer.probing import Context, Verdict\n\n"
        "async def probe(ctx: Context) -> Verdict:\n"
        "    turn = await ctx.chat(f'Say {ctx.nonce}', canary=ctx.nonce)\n"
        "    return Verdict.of(turn)\n"
    )
    (folder / "broken.py").write_text("def probe(:\n")
    result = astrometer("probe", "--once", "--json", "--probes", "mine")
    assert result.exit_code == 0
    assert [(row["probe"], row["reason"]) for row in json.loads(result.stdout)] == [("hello", "ok")]
    assert "broken.py:1: invalid syntax" in result.stderr


@pytest.mark.process
def test_a_messenger_of_the_environment_is_asked_and_its_token_is_in_no_output(tmp_path):
    config = SimulatorConfig(
        model=ModelScript(ttft_s=0.05, gap_s=0.005, tokens=5), messenger=MessengerConfig(token="tok-secret")
    )
    simulator = Simulator(config)
    with serve(simulator) as url:
        told = {"ASTRBOT_MESSENGER_URL": simulator.messenger.url, "ASTRBOT_MESSENGER_TOKEN": "tok-secret"}
        outer = {name: value for name, value in os.environ.items() if not name.startswith("ASTRBOT_")}
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "astrometer",
                *["probe", "--once", "--json", "--probe", "im_chat", "--host"],
                url,
            ],
            check=False,
            env={**outer, **told},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert result.returncode == 0, result.stderr
    assert [(row["probe"], row["reason"]) for row in json.loads(result.stdout)] == [("im_chat", "ok")]
    assert "tok-secret" not in result.stdout + result.stderr


def test_check_says_that_the_settings_are_fine(astrometer, tmp_path):
    result = astrometer("probe", "--check")
    assert result.exit_code == 0
    missing, cost, summary = result.stdout.splitlines()
    assert missing == "default: im_chat needs a messenger"
    paid = [PROBES[name] for name in OURS if PROBES[name].costs_tokens]
    turns = sum(probe.turns * 86_400 / probe.interval_s for probe in paid)
    assert cost == (
        f"default: about {turns * 1750:,.0f} tokens a day ({turns:.0f} turns of 1,750 tokens, assumed); "
        "no budget limits it (targets.default.budget.tokens_per_day)"
    )
    runs = f"environment: 1 target, {len(OURS)} probe runs each round"
    assert re.fullmatch(
        runs + rf", at most [\d,]+ series, about {turns * 1750:,.0f} tokens a day: fine", summary
    )
    (tmp_path / "astrometer.toml").write_text(
        '[targets.a]\nurl = "http://x"\n[probes.chta]\ninterval = "5s"\n'
    )
    result = astrometer("probe", "--check")
    assert result.exit_code == 2
    assert 'astrometer.toml: probes.chta: no such probe (did you mean "chat"?)' in " ".join(
        result.stderr.split()
    )


CONFIG = """
[targets.prod]
url = "{url}"
keys.main = {{ env = "KEY" }}
[[notify]]
name = "phone"
webhook = {{ env = "HOOK" }}
"""


def test_a_test_message_reaches_every_receiver_or_says_why_not(astrometer, simulated, tmp_path):
    (tmp_path / "astrometer.toml").write_text(CONFIG.format(url=simulated[1]))
    with receivers() as told:
        fine = astrometer("probe", "--test-notify", KEY="k", HOOK=told.hook)
        told.ails = 500
        not_fine = astrometer("probe", "--test-notify", KEY="k", HOOK=told.hook)
    assert (fine.exit_code, fine.stdout) == (0, "phone (webhook): delivered\n")
    assert (not_fine.exit_code, not_fine.stdout) == (1, "phone (webhook): not delivered: HTTP 500\n")
    assert told.titles == ["astrometer: a test"]


def test_cron_tells_what_changed_since_the_round_before(astrometer, simulated, tmp_path):
    with receivers() as told:
        for url in (simulated[1], closed_port(), closed_port(), simulated[1], simulated[1]):
            (tmp_path / "astrometer.toml").write_text(CONFIG.format(url=url))
            round_ = (
                "probe",
                "--once",
                "--notify",
                "--probe",
                "reads",
                "--state-dir",
                str(tmp_path / "state"),
            )
            astrometer(*round_, KEY=simulated[0].store.keys["all"].secret, HOOK=told.hook)
    assert told.titles == ["prod DOWN: nothing listens at its address", "prod is well again: it was DOWN"]


def test_cron_needs_somebody_to_tell_and_a_place_to_remember(astrometer, simulated, tmp_path):
    nobody = astrometer("probe", "--once", "--notify")
    assert (nobody.exit_code, "nobody to tell; add [[notify]]" in nobody.stderr) == (2, True)
    (tmp_path / "astrometer.toml").write_text(CONFIG.format(url=simulated[1]))
    nowhere = astrometer("probe", "--once", "--notify", KEY="k", HOOK="http://127.0.0.1:9")
    assert (nowhere.exit_code, "--notify needs --state-dir" in nowhere.stderr) == (2, True)
