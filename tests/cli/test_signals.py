"""SIGTERM and a closed terminal end every command as Ctrl-C does."""

import signal
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


def test_the_callers_handlers_come_back():
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]
    with pytest.raises(SystemExit):
        cli.main(["--version"])
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before
