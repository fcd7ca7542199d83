"""`astrometer` commands as child processes that end with us, and interrupts passed on to them."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from astrometer.tethered import Tethered

STOP_TIMEOUT_S = 5.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Ctrl-C, SIGTERM and a closed terminal while children run: passed on to the child, and remembered."""

    def __init__(self) -> None:
        self.seen = False
        self._pending = False
        self._held = False
        self._child: subprocess.Popen[bytes] | None = None

    @contextmanager
    def watched(self) -> Iterator["Interrupts"]:
        before = {
            number: signal.signal(number, self._note)
            for number in _SIGNALS
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN  # nohup is obeyed
        }
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """An interrupt waits while a child starts: one that nobody knows yet would outlive us."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self._pending:
            self._pending = False
            self._act()

    def run(self, arguments: Sequence[str], environ: Mapping[str, str]) -> int:
        """Run `astrometer ARGUMENTS` to its end and return its exit code."""
        with self.held():
            self._child = child = start(arguments, environ)
        try:
            return child.wait()
        finally:
            self._child = None

    def _note(self, _number: int, _frame: Any) -> None:
        self.seen = True
        if self._held:
            self._pending = True
        else:
            self._act()

    def _act(self) -> None:
        if self._child is None:
            raise KeyboardInterrupt
        self._child.send_signal(signal.SIGINT)  # it ends in order, a second one at once


def start(arguments: Sequence[str], environ: Mapping[str, str], stdout: int | None = None) -> Tethered:
    """Start `astrometer ARGUMENTS` with the interpreter and the package that run this."""
    return Tethered("astrometer", arguments, env=environ, stdout=stdout)


def environ_with(more: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without what would point a command at another server."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("ASTRBOT_", "ASTROMETER_"))
    }
    return {**kept, **more}


def end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
    if child.stdout is not None:
        child.stdout.close()
