"""What `astrometer sim` says when it is ready, and what it does until it is stopped."""

import os
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner
from onebot_client import OneBotTestClient, quoted

from astrometer.cli import main
from astrometer.cli.sim import _page
from astrometer.targets.simulator.simulator_config import default_keys
from astrometer.targets.simulator.store import new_key

URL = "http://127.0.0.1:33195"


def test_the_keys_are_plain_lines_that_fit_a_terminal_of_80_columns():
    keys = {**default_keys(), "reader": new_key("config", "chat")}
    lines = _page(URL, "4.29.3", keys, f"{URL}/onebot")
    assert lines[0] == f"AstrBot 4.29.3, simulated, at {URL}"
    assert f"  chat     {keys['chat'].secret}" in lines
    assert f"  revoked  {keys['revoked'].secret}" in lines
    assert f"  reader   {keys['reader'].secret} (chat, config)" in lines
    assert not [line for line in lines if len(line) > 80 and not line.startswith("export ")]


@pytest.mark.process
def test_the_messenger_is_told_as_a_line_for_the_shell_and_ends_with_the_server():
    command = [sys.executable, "-m", "astrometer", "sim", "--messenger-setting", "reply_with_quote=off"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as sim:
        told = {}
        for line in sim.stdout:
            if line.startswith("export "):
                told |= dict(part.split("=", 1) for part in line.split()[1:])
            if line.startswith("Ctrl-C"):
                break
        with OneBotTestClient(told["ASTRBOT_MESSENGER_URL"], told["ASTRBOT_MESSENGER_TOKEN"]) as client:
            client.private(5001, "[[ttft=0 tokens=1]]")
            assert quoted(client.wait()[0]) is None
            os.kill(sim.pid, signal.SIGTERM)
            assert client.wait_closed() == (1006, "")
        assert sim.wait(20) == 0


def test_a_setting_that_does_not_exist_is_refused():
    done = CliRunner().invoke(main, ["sim", "--messenger-setting", "quote=on"])
    assert done.exit_code == 2
    assert "known: reply_with_quote" in done.output
