"""Programs that a measurement starts -> ended with it; and its checks -> PASS or FAIL, line by line."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def astrometer(*arguments: str, **how) -> Iterator[subprocess.Popen[str]]:
    """The command of this checkout. `how` it is started, as subprocess.Popen takes it."""
    with ended(
        subprocess.Popen([sys.executable, "-m", "astrometer", *arguments], text=True, **how)
    ) as process:
        yield process


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


def exporter_url(process: subprocess.Popen[str]) -> str:
    """Where an exporter says that it listens; what it says before is passed over."""
    found = (re.search(r"astrometer probes on (http://[0-9.:]+)", line) for line in process.stderr or ())
    return next(filter(None, found))[1]


def verdict(checks: dict[str, bool]) -> int:
    """Say each, and return the exit code: 0 when all passed."""
    for what, passed in checks.items():
        print(f"{'PASS' if passed else 'FAIL'}: {what}")
    return 0 if all(checks.values()) else 1
