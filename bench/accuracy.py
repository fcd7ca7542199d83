"""Streams of the golden server, read by astrometer and by its peers in turn -> Markdown tables.

    python bench/accuracy.py                       # all steps: 50x50, 400x50, 1000x10, 2000x10, 4000x5
    python bench/accuracy.py --step 50x50 --rounds 9 --peer bare --peer locust
    python bench/accuracy.py --step 400x10 --hog --peer locust --peer locust_user   # both cores busy
    python bench/accuracy.py --step 400x50 --tls --peer locust                      # over TLS

A step is STREAMSxEVENTS per second of each stream. In a round every peer measures once, in a process of its
own on one core, the golden server on another; a peer notes for each content event when it got hold of it, as
early as its interface allows, and its text: when it was sent. A round counts when nobody else disturbed the
machine in it (`--quiet`; hogs are our own); medians are of rounds that count, "to bare" is taken within each.
MiB is the reader's resident memory. Needs `pip install -r bench/requirements.txt` besides astrometer.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import throwaway_certificate
from golden_rounds import CLIENT_CPU, SERVER_CPU, Load, markdown, parser, rounds_until_quiet, steps_of
from process_tree import watched
from programs import hogs
from quiet import Disturbance, Watch

from astrometer.load.calibrate.calibration_run import StepPlan, run_step
from astrometer.measure.accuracy import ErrorSummary
from astrometer.targets.golden.golden_process import golden, pin
from astrometer.targets.golden.golden_server import GoldenSchedule

PEERS = {
    "bare": "bare gevent socket, HTTP parser, json",
    "client": "astrometer: client and exchange",
    "locust": "astrometer: whole load path in Locust",
    "locust_user": "the same, with ASTROMETER_CLOCK=user",
    "iter_lines": "Locust FastHttpSession.iter_lines",
    "httpx_sse": "httpx-sse under gevent",
    "aiohttp": "aiohttp, json",
}
STEPS = ("50x50", "400x50", "1000x10", "2000x10", "4000x5")
LOCUST_CLOCKS = {"locust": "kernel", "locust_user": "user"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What each peer measured once, and who else was at work meanwhile."""

    found: dict[str, dict[str, Any]]
    disturbance: dict[str, Disturbance]

    def is_quiet(self, limit: float) -> bool:
        return all(one.within(limit) for one in self.disturbance.values())


def main() -> None:
    arguments = parser(__doc__, steps=STEPS, rounds=5, quiet=3.0)
    arguments.add_argument("--seconds", type=float, default=4.0, help="measured, after a ramp of 2 s")
    arguments.add_argument("--peer", choices=PEERS, action="append")
    arguments.add_argument("--hog", action="store_true", help="beside a program that spins, on each core")
    arguments.add_argument("--tls", action="store_true", help="the server speaks TLS")
    arguments.add_argument("--out", type=Path, help="write the Markdown there as well")
    options = arguments.parse_args()
    sections = []
    for load in steps_of(options):
        rounds = rounds_until_quiet(
            options, partial(measure, load, options), lambda one: one.is_quiet(options.quiet)
        )
        sections.append(section(load, rounds, options.quiet))
        print(sections[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(sections) + "\n")


def schedule_of(load: Load) -> GoldenSchedule:
    return GoldenSchedule(ttft_s=0.1, gap_s=1 / load.rate, events=max(20, round(4 * load.rate)))


def measure(load: Load, options: argparse.Namespace) -> Round:
    """Each peer once."""
    found, disturbance = {}, {}
    for name in options.peer or PEERS:
        watch = Watch.begin()
        with hogs([SERVER_CPU, CLIENT_CPU]) if options.hog else nullcontext():
            found[name] = read_by(name, load, options.seconds, tls=options.tls)
        disturbance[name] = watch.end()
        print(f"{name}: {disturbance[name]} {json.dumps(found[name])}", file=sys.stderr, flush=True)
    return Round(found=found, disturbance=disturbance)


def read_by(name: str, load: Load, seconds: float, *, tls: bool = False) -> dict[str, Any]:
    schedule = schedule_of(load)
    with (
        trusted_certificate(tls) as certificate,
        golden(schedule, cpus=[SERVER_CPU], certificate=certificate) as url,
        watched(os.getpid()) as tree,
    ):
        if name in LOCUST_CLOCKS:
            with variable("ASTROMETER_CLOCK", LOCUST_CLOCKS[name]):
                found = _of_step(load, seconds, schedule, url)
        else:
            command = [sys.executable, str(Path(__file__).with_name("peers.py")), name, url]
            command += [str(load.streams), str(seconds)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found = _row(**json.loads(done.stdout))
    return {**found, "mib": tree.peak_mib("locust_process" if name in LOCUST_CLOCKS else "peers.py")}


@contextmanager
def trusted_certificate(wanted: bool) -> Iterator[Path | None]:
    """A server's certificate, which all readers trust as long as this lasts; None when none is wanted."""
    if not wanted:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="astrometer-bench-") as folder:
        file = throwaway_certificate.write(Path(folder) / "golden.pem")
        with variable("SSL_CERT_FILE", str(file)):
            yield file


@contextmanager
def variable(name: str, value: str) -> Iterator[None]:
    """Of the environment, for what is started meanwhile."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _of_step(load: Load, seconds: float, schedule: GoldenSchedule, url: str) -> dict[str, Any]:
    plan = StepPlan(
        streams=load.streams, gap_s=schedule.gap_s, duration_s=seconds, stream_s=schedule.length_s,
        cpus=[CLIENT_CPU],
    )  # fmt: skip
    step = run_step(plan, url)
    return {
        "gap": _ranks(step.gap.all),
        "delay": _ranks(step.delay),
        "ttft": _ranks(step.ttft.all),
        "uncertain": step.gap.uncertain_share if step.is_bounded else None,
        "cpu_us": step.cpu_us_per_event,
        "events_per_s": step.events_per_s,
        "problem": step.problem(),
    }


def _row(gap_s: list[float], delay_s: list[float], cpu_s: float, seconds: float) -> dict[str, Any]:
    return {
        "gap": _ranks(ErrorSummary.of(gap_s)),
        "delay": _ranks(ErrorSummary.of(delay_s)),
        "ttft": None,
        "uncertain": None,
        "cpu_us": cpu_s / max(1, len(delay_s)) * 1e6,
        "events_per_s": len(delay_s) / seconds,
        "problem": None if delay_s else "no events arrived",
    }


def _ranks(errors: ErrorSummary) -> list[float | None]:
    return [errors.p50, errors.p99, errors.max]


def section(load: Load, rounds: list[Round], limit: float) -> str:
    """One step: which rounds count, and the table of their medians."""
    kept = [one for one in rounds if one.is_quiet(limit)]
    if kept:
        note = f"Medians of {len(kept)} rounds in which others took at most {limit:.0%} of the machine"
        spoilt = len(rounds) - len(kept)
        note += f"; {spoilt} more did not count." if spoilt else "."
        return "\n".join([load.heading, note, "", *table(kept), ""])
    worst = [max(one.disturbance.values(), key=_taken) for one in rounds]
    note = (
        f"**No round was undisturbed** (limit {limit:.0%} of the machine): absolute times say nothing here; "
        f"medians of all {len(rounds)} disturbed rounds, for their ratios:"
    )
    return "\n".join(
        [load.heading, note, *(f"- disturbed: {item}" for item in worst), "", *table(rounds), ""]
    )


def _taken(item: Disturbance) -> float:
    return (item.steal or 0.0) + (item.foreign or 0.0)


def table(rounds: list[Round]) -> list[str]:
    """Medians over rounds; the ratios are taken within each round."""
    titles = (
        "reader", "events/s", "gap error, ms: p50 / p99 / max", "delay, ms: same", "TTFT error, ms: same",
        "uncertain gaps",
        "gap p99 to bare", "CPU us", "to bare", "MiB",
    )  # fmt: skip
    rows = []
    for name in rounds[0].found:
        whole = [one for one in rounds if one.found[name]["problem"] is None]
        if not whole:
            rows.append((PEERS[name], rounds[0].found[name]["problem"], *["–"] * (len(titles) - 2)))
            continue
        found = [one.found[name] for one in whole]
        cells = (
            PEERS[name],
            f"{statistics.median(one['events_per_s'] for one in found):.0f}",
            *(_times([one[what] for one in found]) for what in ("gap", "delay", "ttft")),
            _share([one["uncertain"] for one in found]),
            _ratio(whole, name, lambda one: one["gap"][1]),
            f"{statistics.median(one['cpu_us'] for one in found):.1f}",
            _ratio(whole, name, lambda one: one["cpu_us"]),
            f"{statistics.median(one['mib'] for one in found):.0f}",
        )
        rows.append(cells)
    return markdown(titles, rows)


def _times(ranks: list[list[float] | None]) -> str:
    """Median over rounds of each rank, in ms; a reader that knows no TTFT has none."""
    if None in ranks:
        return "–"
    return " / ".join(f"{statistics.median(one) * 1e3:.3f}" for one in zip(*ranks, strict=True))


def _share(shares: list[float | None]) -> str:
    """Median over rounds; whoever has no bounds knows none."""
    known = [share for share in shares if share is not None]
    return "–" if len(known) < len(shares) else f"{statistics.median(known):.2%}"


def _ratio(rounds: list[Round], name: str, value: Callable[[dict[str, Any]], float]) -> str:
    """Of `name` to the bare socket in the same round."""
    pairs = [(value(one.found[name]), value(one.found["bare"])) for one in rounds if "bare" in one.found]
    ratios = [mine / bare for mine, bare in pairs if bare]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


if __name__ == "__main__":
    pin(0, [CLIENT_CPU])
    main()
