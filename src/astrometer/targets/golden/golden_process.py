"""A golden server in a process of its own, on a core of its own where the system allows that.

`python -m astrometer.targets.golden.golden_process` prints one JSON line with its URL and serves until its
standard input ends, so it cannot outlive whoever started it.
"""

import argparse
import gc
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from astrometer.targets.golden.golden_server import GoldenSchedule, GoldenServer
from astrometer.tethered import module_command


class GoldenError(Exception):
    """The server cannot be had; the text says why."""


@contextmanager
def golden(
    schedule: GoldenSchedule,
    *,
    cpus: Sequence[int] = (),
    handicap_s: float = 0.0,
    certificate: Path | None = None,
) -> Iterator[str]:
    """Start one and yield its URL; `cpus` are the cores that it may use, all when empty.

    `certificate`: a PEM file with certificate and key, for TLS. Raises GoldenError.
    """
    child = subprocess.Popen(  # noqa: S603 (our own interpreter)
        [
            *module_command("astrometer.targets.golden.golden_process"),
            *("--ttft", repr(schedule.ttft_s), "--gap", repr(schedule.gap_s)),
            *("--events", str(schedule.events), "--handicap", repr(handicap_s)),
            *("--cpus", ",".join(map(str, cpus))),
            *(("--certificate", str(certificate)) if certificate else ()),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        try:
            line = child.stdout.readline() if child.stdout else b""
            if not line:
                raise GoldenError("the golden server did not start")
            yield json.loads(line)["url"]
        finally:
            if child.stdin:
                child.stdin.close()
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ttft", type=float, default=0.2, help="seconds to the first event")
    parser.add_argument("--gap", type=float, default=0.02, help="seconds between events")
    parser.add_argument("--events", type=int, default=100, help="content events of a stream")
    parser.add_argument("--handicap", type=float, default=0.0, help="seconds lost before each event")
    parser.add_argument("--cpus", default="", help="cores to run on, as in 1,2 [all]")
    parser.add_argument("--certificate", type=Path, help="PEM file with certificate and key, for TLS")
    options = parser.parse_args()
    pin(0, [int(cpu) for cpu in options.cpus.split(",") if cpu])
    schedule = GoldenSchedule(ttft_s=options.ttft, gap_s=options.gap, events=options.events)
    server = GoldenServer(schedule, handicap_s=options.handicap, certificate=options.certificate)

    def stop_when_input_ends() -> None:
        sys.stdin.buffer.read()
        server.stop = True

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the input
    threading.Thread(target=stop_when_input_ends, daemon=True).start()
    print(json.dumps({"url": server.url}), flush=True)  # noqa: T201 (the line its parent waits for)
    gc.freeze()
    gc.disable()  # it makes no cycles, and a collection would make it late
    server.run()


def pin(pid: int, cpus: Sequence[int]) -> bool:
    """Keep process `pid` (0: this one) on `cpus`; False where the system has no way to."""
    process = psutil.Process(pid or None)
    if not cpus or not hasattr(process, "cpu_affinity"):
        return False
    process.cpu_affinity(list(cpus))
    return True


if __name__ == "__main__":
    main()
