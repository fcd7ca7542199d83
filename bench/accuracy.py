"""Streams of the golden server, read by astrometer and by its peers in turn -> Markdown tables.

    python bench/accuracy.py                       # all steps: 50x50, 400x50, 1000x10, 2000x10
    python bench/accuracy.py --step 50x50 --rounds 9 --peer bare --peer locust

A step is STREAMSxEVENTS per second of each stream. In a round every peer measures once, in a process of its
own on one core, the golden server on another; a peer notes for each content event when it got hold of it, as
early as its interface allows, and its text: when it was sent. A round counts when nobody else disturbed the
machine in it (`--quiet`); medians are of rounds that count, "to bare" is taken within each. Needs
`pip install -r bench/requirements.txt` besides astrometer.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from quiet import Disturbance, Watch

from astrometer.load.calibrate.calibration_run import StepPlan, run_step
from astrometer.measure.accuracy import ErrorSummary
from astrometer.targets.golden.golden_process import golden, pin
from astrometer.targets.golden.golden_server import GoldenSchedule

PEERS = {
    "bare": "bare gevent socket, HTTP parser, json",
    "client": "astrometer: client and exchange",
    "locust": "astrometer: whole load path in Locust",
    "iter_lines": "Locust FastHttpSession.iter_lines",
    "httpx_sse": "httpx-sse under gevent",
    "aiohttp": "aiohttp, json",
}
STEPS = ("50x50", "400x50", "1000x10", "2000x10")
SERVER_CPU, CLIENT_CPU = 1, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """So many streams, each with so many events per second."""

    streams: int
    rate: float

    @classmethod
    def parse(cls, text: str) -> "Load":
        streams, _, rate = text.partition("x")
        return cls(streams=int(streams), rate=float(rate))

    @property
    def schedule(self) -> GoldenSchedule:
        return GoldenSchedule(ttft_s=0.1, gap_s=1 / self.rate, events=max(20, round(4 * self.rate)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What each peer measured once, and who else was at work meanwhile."""

    found: dict[str, dict]
    disturbance: dict[str, Disturbance]

    def is_quiet(self, limit: float) -> bool:
        return all(one.within(limit) for one in self.disturbance.values())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--step", type=Load.parse, action="append", metavar="STREAMSxRATE")
    parser.add_argument("--seconds", type=float, default=4.0, help="measured, after a ramp of 2 s")
    parser.add_argument(
        "--rounds", type=int, default=5, help="that count; at most three times as many are made"
    )
    parser.add_argument(
        "--quiet", type=float, default=3.0, metavar="PERCENT",
        help="most of the machine that the host (steal) and other programs may take in a round that counts",
    )  # fmt: skip
    parser.add_argument("--peer", choices=PEERS, action="append")
    parser.add_argument("--out", type=Path, help="write the Markdown there as well")
    options = parser.parse_args()
    sections = []
    for load in options.step or [Load.parse(text) for text in STEPS]:
        rounds = measure(load, options)
        sections.append(section(load, rounds, options.quiet / 100))
        print(sections[-1], flush=True)
    if options.out:
        options.out.write_text("\n".join(sections) + "\n")


def measure(load: Load, options: argparse.Namespace) -> list[Round]:
    """Rounds until enough of them were quiet, or three times as many were made."""
    rounds: list[Round] = []
    kept = 0
    while kept < options.rounds and len(rounds) < 3 * options.rounds:
        found, disturbance = {}, {}
        for name in options.peer or PEERS:
            watch = Watch.begin()
            found[name] = read_by(name, load, options.seconds)
            disturbance[name] = watch.end()
            print(f"{name}: {disturbance[name]} {json.dumps(found[name])}", file=sys.stderr, flush=True)
        rounds.append(Round(found=found, disturbance=disturbance))
        kept += rounds[-1].is_quiet(options.quiet / 100)
    return rounds


def read_by(name: str, load: Load, seconds: float) -> dict:
    schedule = load.schedule
    with golden(schedule, cpus=[SERVER_CPU]) as url:
        if name == "locust":
            return _of_step(load, seconds, schedule, url)
        command = [sys.executable, str(Path(__file__).with_name("peers.py")), name, url]
        done = subprocess.run([*command, str(load.streams), str(seconds)], stdout=subprocess.PIPE, check=True)
        found = json.loads(done.stdout)
    return _row(found["gap_s"], found["delay_s"], found["cpu_s"], found["seconds"])


def _of_step(load: Load, seconds: float, schedule: GoldenSchedule, url: str) -> dict:
    plan = StepPlan(
        streams=load.streams, gap_s=schedule.gap_s, duration_s=seconds, stream_s=schedule.length_s,
        cpus=[CLIENT_CPU],
    )  # fmt: skip
    step = run_step(plan, url)
    return {
        "gap": [step.gap.p50, step.gap.p99, step.gap.max],
        "delay": [step.delay.p50, step.delay.p99, step.delay.max],
        "cpu_us": step.cpu_us_per_event,
        "events_per_s": step.events_per_s,
        "problem": step.problem(),
    }


def _row(gaps: list[float], delays: list[float], cpu_s: float, seconds: float) -> dict:
    gap, delay = ErrorSummary.of(gaps), ErrorSummary.of(delays)
    return {
        "gap": [gap.p50, gap.p99, gap.max],
        "delay": [delay.p50, delay.p99, delay.max],
        "cpu_us": cpu_s / max(1, len(delays)) * 1e6,
        "events_per_s": len(delays) / seconds,
        "problem": None if delays else "no events arrived",
    }


def section(load: Load, rounds: list[Round], limit: float) -> str:
    """One step: which rounds count, and the table of their medians."""
    kept = [one for one in rounds if one.is_quiet(limit)]
    title = f"## {load.streams:,} streams, {load.rate:g} events/s each\n"
    if kept:
        note = f"Medians of {len(kept)} rounds in which others took at most {limit:.0%} of the machine"
        spoilt = len(rounds) - len(kept)
        note += f"; {spoilt} more did not count." if spoilt else "."
        return "\n".join([title, note, "", *table(kept), ""])
    worst = [max(one.disturbance.values(), key=_taken) for one in rounds]
    note = (
        f"**No round was undisturbed** (limit {limit:.0%} of the machine): absolute times say nothing here; "
        f"medians of all {len(rounds)} disturbed rounds, for their ratios:"
    )
    return "\n".join([title, note, *(f"- disturbed: {item}" for item in worst), "", *table(rounds), ""])


def _taken(item: Disturbance) -> float:
    return (item.steal or 0.0) + (item.foreign or 0.0)


def table(rounds: list[Round]) -> list[str]:
    """Medians over rounds; the ratios are taken within each round."""
    titles = ("reader", "events/s", "gap error, ms: p50 / p99 / max", "delay, ms: same", "gap p99 to bare")
    lines = [f"| {' | '.join((*titles, 'CPU us', 'to bare'))} |", "|---|---|---|---|---|---|---|"]
    for name in rounds[0].found:
        whole = [one for one in rounds if one.found[name]["problem"] is None]
        if not whole:
            lines.append(f"| {PEERS[name]} | {rounds[0].found[name]['problem']} | – | – | – | – | – |")
            continue
        found = [one.found[name] for one in whole]
        times = [
            " / ".join(
                f"{statistics.median(one[what][rank] for one in found) * 1e3:.2f}" for rank in range(3)
            )
            for what in ("gap", "delay")
        ]
        cells = (
            f"{statistics.median(one['events_per_s'] for one in found):.0f}",
            *times,
            _ratio(whole, name, lambda one: one["gap"][1]),
            f"{statistics.median(one['cpu_us'] for one in found):.1f}",
            _ratio(whole, name, lambda one: one["cpu_us"]),
        )
        lines.append(f"| {PEERS[name]} | {' | '.join(cells)} |")
    return lines


def _ratio(rounds: list[Round], name: str, value) -> str:
    """Of `name` to the bare socket in the same round."""
    pairs = [(value(one.found[name]), value(one.found["bare"])) for one in rounds if "bare" in one.found]
    ratios = [mine / bare for mine, bare in pairs if bare]
    return f"{statistics.median(ratios):.2f}" if ratios else "–"


if __name__ == "__main__":
    pin(0, [CLIENT_CPU])
    main()
