"""10 targets and 30 days of history -> how long page and scrape take, and how large the file is.

    python bench/status_page.py [--targets 10] [--days 30]

Each target has 8 probes; network and model fail for half an hour every 6 hours. Times are of the processor.
A scrape is that after a run, so that all of it is written anew; in turn with one of an exporter without any
history. Exit code 1 if the page takes 50 ms or more, or the file has 50 MB or more.
"""

import asyncio
import statistics
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from time import process_time
from typing import Any

from programs import bench_parser
from starlette.requests import Request
from starlette.responses import Response

from astrometer.config.settings import Config, Target
from astrometer.probing.context import Context
from astrometer.probing.exporter.exporter_app import Exporter
from astrometer.probing.plan import Plan
from astrometer.probing.probe_files import Probe
from astrometer.probing.status.history_file import FILE
from astrometer.probing.status.layer_evidence import StateLayer
from astrometer.probing.status.state_by_layer import LayerState, State, TargetState, TargetStatus
from astrometer.probing.status.state_history import StateHistory
from astrometer.probing.verdict import ProbeRun, Verdict

END = 1_796_000_000.0
STEP_S = 900.0
FAIL = (StateLayer.NETWORK, StateLayer.MODEL)
FAILS_EVERY_S, FAILS_S = 6 * 3600.0, 1800.0
REQUEST = Request({"type": "http", "headers": []})
PROBES = ("auth", "chat", "chat_segments", "im", "multi_turn", "reads", "scopes", "upload")


def state_at(at: float, offset: int) -> TargetState:
    phase = (at + offset * 977) % FAILS_EVERY_S
    failing = phase < FAILS_S
    since = at - phase if failing else at - phase + FAILS_S
    layers = tuple(
        LayerState(
            layer=layer,
            state=State.FAILING if failing and layer in FAIL else State.OK,
            since=since,
            reason="connect" if failing and layer in FAIL else "ok",
        )
        for layer in StateLayer
    )
    status = TargetStatus.DOWN if failing else TargetStatus.OK
    return TargetState(status=status, worst=layers[0], layers=layers)


async def nothing(_context: Context) -> Verdict:
    return Verdict.passed()


def run_of(plan: Plan, at: float) -> ProbeRun:
    return ProbeRun(
        target=plan.target.name,
        url=plan.target.url,
        probe=plan.probe.name,
        verdict=Verdict.passed(),
        started_at=at,
        duration_s=1.0,
        used_key=True,
    )


def filled(folder: Path, targets: int, days: int) -> Exporter:
    clock = {"now": END - days * 86400}
    records = StateHistory(folder, clock=lambda: clock["now"])
    all_targets = {f"bot{n}": Target(name=f"bot{n}", url=f"http://10.0.0.{n}:6185") for n in range(targets)}
    probes = [
        Probe(name=name, function=nothing, interval_s=STEP_S, scopes=(), costs_tokens=False, summary="")
        for name in PROBES
    ]
    plans = [
        Plan(target=target, probe=probe, interval_s=STEP_S)
        for target in all_targets.values()
        for probe in probes
    ]
    while clock["now"] < END:
        at = clock["now"]
        records.note({name: state_at(at, index) for index, name in enumerate(all_targets)})
        for plan in plans:
            records.add(run_of(plan, at), plan)
        clock["now"] += STEP_S
    config = Config(source="bench", targets=all_targets)
    return Exporter(config, plans, past=records, clock=lambda: clock["now"])


def seconds_of(answer: Callable[[], Coroutine[Any, Any, Response]]) -> tuple[float, bytes | memoryview]:
    began = process_time()
    body = asyncio.run(answer()).body
    return process_time() - began, body


def scrape_s(exporter: Exporter) -> float:
    """One run more, then the scrape."""
    plan = next(iter(exporter.plans.values()))
    exporter.finished(run_of(plan, exporter._clock()))  # noqa: SLF001
    return seconds_of(lambda: exporter._metrics(REQUEST))[0]  # noqa: SLF001


def main() -> int:
    parser = bench_parser(__doc__)
    parser.add_argument("--targets", type=int, default=10)
    parser.add_argument("--days", type=int, default=30)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        exporter = filled(Path(name, "old"), options.targets, options.days)
        empty = filled(Path(name, "new"), options.targets, days=0)
        pages = [seconds_of(lambda: exporter._landing(REQUEST)) for _ in range(30)]  # noqa: SLF001
        scrapes_s: dict[Exporter, list[float]] = {exporter: [], empty: []}
        for _ in range(100):
            for one in (exporter, empty, empty, exporter):  # who comes first is a little slower
                scrapes_s[one].append(scrape_s(one))
        exporter.past.flush()
        size = sum(path.stat().st_size for path in Path(name, "old").glob(f"{FILE}*"))
        exporter.past.close()
        empty.past.close()
    times_s, page = [seconds for seconds, _ in pages], pages[0][1]
    median_ms, worst_ms = statistics.median(times_s) * 1e3, max(times_s) * 1e3
    print(
        f"{options.targets} targets, {options.days} days: page of {len(page) / 1e3:.0f} kB "
        f"in {median_ms:.1f} ms (median of 30, worst {worst_ms:.1f}), history {size / 1e6:.1f} MB"
    )
    with_ms, without_ms = (statistics.median(each) * 1e3 for each in scrapes_s.values())
    print(
        f"scrape after a run: {with_ms:.2f} ms with this history, {without_ms:.2f} without "
        "(medians of 200, in turn)"
    )
    return 0 if median_ms < 50 and size < 50e6 else 1


if __name__ == "__main__":
    sys.exit(main())
