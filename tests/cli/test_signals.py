"""SIGTERM and a closed terminal end every command as Ctrl-C does."""

import os
import signal
import socket
import subprocess

import pytest

from astrometer import cli
from astrometer.tethered import module_command

WAITER = """
import signal, sys, click
from astrometer import cli
if sys.argv[1] == "background":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
@click.command()
def wait():
    try:
        print("ready", flush=True)
        signal.pause()
    finally:
        print("cleaned up", flush=True)
cli.COMMANDS = ("wait",)
cli.LazyGroup.get_command = lambda *_: wait
cli.main(["wait"])
"""


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("started", ["foreground", "background"])
def test_a_command_cleans_up_and_says_that_it_was_interrupted(number, started):
    if (number, started) == (signal.SIGINT, "background"):
        pytest.skip("ignored there, as it should be")
    executable = module_command("x")[0]
    with subprocess.Popen(
        [executable, "-c", WAITER, started], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "ready\n"
        child.send_signal(number)
        said, errors = child.communicate(timeout=20)
    assert (said, errors, child.returncode) == ("cleaned up\n", "Interrupted\n", 130)


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("command", [("probe", "--once"), ("doctor",)])
def test_what_was_interrupted_is_no_failure_of_the_server(tmp_path, number, command):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with subprocess.Popen(
            module_command("astrometer", *command, "--host", url),
            env={**os.environ, "ASTRBOT_API_KEY": "abk_1", "XDG_STATE_HOME": str(tmp_path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as child:
            asked, _ = silent.accept()
            with asked:
                assert asked.recv(1)  # handlers are in place before it asks
                child.send_signal(number)
                child.communicate(timeout=20)
    assert child.returncode == 130


def test_the_callers_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
