"""What benches share: their options, programs that end with a measurement, checks -> PASS or FAIL by line."""

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, AnyStr

from astrometer.targets.golden.golden_process import pin

_SPIN = "import time; end = time.monotonic() + {seconds}\nwhile time.monotonic() < end: pass"


def bench_parser(doc: str | None) -> argparse.ArgumentParser:
    """Its help is what the bench says of itself."""
    how = argparse.RawDescriptionHelpFormatter
    return argparse.ArgumentParser(description=doc, formatter_class=how, allow_abbrev=False)


@contextmanager
def astrometer(*arguments: str, **how: Any) -> Iterator[subprocess.Popen[str]]:
    """The command of this checkout. `how` it is started, as subprocess.Popen takes it."""
    with ended(
        subprocess.Popen([sys.executable, "-m", "astrometer", *arguments], text=True, **how)
    ) as process:
        yield process


@contextmanager
def served(*arguments: str) -> Iterator[dict[str, Any]]:
    """A server of ours, `sim` or `sandbox up`: what it says of itself when it is ready."""
    with astrometer(*arguments, "--json", stdout=subprocess.PIPE) as process:
        yield json.loads(first_line(process))


def first_line(process: subprocess.Popen[AnyStr]) -> AnyStr:
    assert process.stdout is not None
    return process.stdout.readline()


@contextmanager
def ended(process: subprocess.Popen[AnyStr]) -> Iterator[subprocess.Popen[AnyStr]]:
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@contextmanager
def hogs(cpus: Sequence[int], at_most_s: float = 300.0) -> Iterator[None]:
    """A program that spins on each of these cores. It ends by itself, should nobody end it."""
    with ExitStack() as stack:
        for cpu in cpus:
            code = _SPIN.format(seconds=at_most_s)
            hog = stack.enter_context(ended(subprocess.Popen([sys.executable, "-c", code], text=True)))
            pin(hog.pid, [cpu])
        yield


def exporter_url(process: subprocess.Popen[str]) -> str:
    """Where an exporter says that it listens; what it says before is passed over."""
    found = (re.search(r"astrometer probes on (http://[0-9.:]+)", line) for line in process.stderr or ())
    return next(filter(None, found))[1]


def verdict(checks: dict[str, bool]) -> int:
    """Say each, and return the exit code: 0 when all passed."""
    for what, passed in checks.items():
        print(f"{'PASS' if passed else 'FAIL'}: {what}")
    return 0 if all(checks.values()) else 1
