"""Known differences -> how often `compare` calls them by their name: false alarms and misses.

    python bench/compare.py synthetic --repeats 300            # histograms drawn from known distributions
    python bench/compare.py simulator --repeats 20             # real Locust runs on the simulator

    python bench/compare.py simulator --repeats 0 --out DIR    # the runs of an earlier one, compared again

    python bench/compare.py looks --repeats 1000               # paired blocks, looked at after each pair
    python bench/compare.py sessions --repeats 20              # the same with Locust on two simulators

`simulator` makes three runs a repeat: a baseline, one that is the same, one whose model is 15 % slower. Each
pair is compared, and then the same runs again three by three, pooled by run.
"""

import math
import os
import random
import secrets
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext
from pathlib import Path
from statistics import fmean, median
from types import SimpleNamespace
from typing import Any, NamedTuple

from programs import bench_parser
from short_run import run_until_valid, short_run
from short_run import simulator as simulated

from astrometer.compare.bootstrap import Distribution, Ecdf, Sample, log_change
from astrometer.compare.change_verdict import ChangeRow, ChangeVerdict, judged
from astrometer.compare.comparable import ComparedRun
from astrometer.compare.comparison import MARGIN, compare, margin_of
from astrometer.compare.gates import evaluate_gates, watched_rows
from astrometer.compare.repeated_looks import FEWEST_PAIRS, Look, Repeated, paired_change
from astrometer.load import launch
from astrometer.load.launch import LoadPlan
from astrometer.measure.results import document
from astrometer.measure.tally.histogram import MIN_SAMPLES, Histogram
from astrometer.measure.wilson import Interval
from astrometer.release.release_plan import ReleasePlan, Role
from astrometer.release.session import Means, ReleaseSession
from astrometer.release.sides import SideSpec
from astrometer.targets.sandbox.install import Installation
from astrometer.targets.script import ModelScript

SLOWER = 0.15
MODEL_TTFT_S = 0.6


def synthetic(repeats: int, *, runs: int, samples: int, jitter: float, noise: float, seed: int) -> None:
    """`noise`: how much whole runs differ, as a standard deviation; `jitter`: samples of one run."""
    rng = random.Random(seed)
    for change in (0.0, SLOWER):
        verdicts, covered, widths = Counter[str](), 0, []
        for _ in range(repeats):
            base, cand = (
                [_sample(rng, factor, samples, jitter, noise) for _ in range(runs)]
                for factor in (1, 1 + change)
            )
            rows = []
            for percent in (50, 95):
                value, belief = log_change(base, cand, percent, rng)
                low, high = belief.quantile(0.025), belief.quantile(0.975)
                covered += low <= math.log1p(change) <= high
                widths.append((high - low) / 2)
                rows.append(_row(percent, value, belief))
            verdicts.update(f"p{row.percent} {row.verdict}" for row in judged(rows))
        told = "  ".join(
            f"p{percent}: "
            + ", ".join(f"{name} {verdicts[f'p{percent} {name}'] / repeats:.0%}" for name in NAMES)
            for percent in (50, 95)
        )
        print(
            f"| {runs} | {samples} | {noise:.0%} | {change:+.0%} | {told} | {covered / repeats / 2:.1%} "
            f"| ±{fmean(widths):.1%} |"
        )


REPORTED = ("ttft_p50", "ttft_p95", "e2e_p50")
NAMES = ("worse", "better", "same", "cannot tell")


def _sample(rng: random.Random, factor: float, samples: int, jitter: float, noise: float) -> Sample:
    run = 0.3 * factor * math.exp(rng.gauss(0, noise))
    return Sample(
        ecdf=Ecdf(Histogram(run * rng.lognormvariate(0, jitter) for _ in range(samples))), n=samples
    )


def _row(percent: int, value: float, belief: Distribution, look: Look | None = None) -> ChangeRow:
    low, high = (math.expm1(belief.quantile(share)) for share in (0.025, 0.975))
    return ChangeRow(
        scope="all", metric="ttft", percent=percent, base=0.3, cand=0.3, base_n=1, cand_n=1, base_runs=(),
        cand_runs=(), margin=margin_of("ttft", percent, MARGIN, look), change=math.expm1(value),
        interval=Interval(low, high), belief=belief,
    )  # fmt: skip


PLANNED = 12  # pairs: ten minutes of blocks of 20 s
BLOCK_SAMPLES = 50
LOOK_CHANGES = (0.0, 0.05, SLOWER)
BLOCK_NOISES = (0.0, 0.02, 0.05)


def looks(repeats: int, seed: int) -> None:
    """Sessions as `astrometer release` has them: TTFT p50 and p95, until both are decided or one is worse."""
    print(
        "| blocks differ by (sd) | true change | session | p50 called | p95 called | pairs (median) "
        "| truth ever left out | by intervals for one look |"
    )
    print("|--:|--:|---|---|---|--:|--:|--:|")
    for noise in BLOCK_NOISES:
        for change in LOOK_CHANGES:
            rng = random.Random(f"{seed} {noise} {change}")
            sessions = [_looked_at(rng, change, noise) for _ in range(repeats)]
            called = [Counter(str(session.verdicts[place]) for session in sessions) for place in (0, 1)]
            gates = Counter(session.gate for session in sessions)
            gate = ", ".join(f"{name} {n / repeats:.1%}" for name, n in sorted(gates.items()))
            told = [
                ", ".join(f"{name} {of[name] / repeats:.1%}" for name in NAMES if of[name]) for of in called
            ]
            out = sum(sum(session.left_out) for session in sessions) / repeats / 2
            once = sum(sum(session.once) for session in sessions) / repeats / 2
            pairs = median(session.pairs for session in sessions)
            print(
                f"| {noise:.0%} | {change:+.0%} | {gate} | {told[0]} | {told[1]} | {pairs:g} "
                f"| {out:.1%} | {once:.1%} |",
                flush=True,
            )


class Session(NamedTuple):
    """`left_out`, `once`: whether the truth ever was, of p50 and p95."""

    pairs: int
    verdicts: Sequence[ChangeVerdict]
    gate: str
    left_out: Sequence[bool]
    once: Sequence[bool]


def _looked_at(rng: random.Random, change: float, noise: float) -> Session:
    """What one session said at its end, and whether any look up to the end of its plan missed the truth."""
    base, cand = ([_block(rng, factor, noise) for _ in range(PLANNED)] for factor in (1, 1 + change))
    truth, ended = math.log1p(change), None
    left_out, once = [False, False], [False, False]
    for pairs in range(FEWEST_PAIRS, PLANNED + 1):
        look, rows = Look(pairs=pairs, planned=PLANNED), []
        for place, percent in enumerate((50, 95)):
            before, after = ([block[place] for block in side[:pairs]] for side in (base, cand))
            value, belief = paired_change(before, after, look)
            assert isinstance(belief, Repeated)
            left_out[place] |= not belief.quantile(0.025) <= truth <= belief.quantile(0.975)
            once[place] |= not belief.once.quantile(0.025) <= truth <= belief.once.quantile(0.975)
            if pairs * BLOCK_SAMPLES >= MIN_SAMPLES[percent]:
                rows.append(_row(percent, value, belief, look))
        rows = judged(rows)
        verdicts = [row.verdict for row in rows]
        not_worse = len(rows) == 2 and all(row.is_not_worse for row in rows)
        gate = "FAIL" if "worse" in verdicts else "PASS" if not_worse else "CANNOT TELL"
        all_told = len(rows) == 2 and ChangeVerdict.CANNOT_TELL not in verdicts
        if ended is None and (gate == "FAIL" or all_told):
            ended = pairs, verdicts, gate
    pairs, verdicts, gate = ended or (PLANNED, verdicts, gate)
    verdicts = [*verdicts, ChangeVerdict.CANNOT_TELL][:2]
    return Session(pairs=pairs, verdicts=verdicts, gate=gate, left_out=left_out, once=once)


def _block(rng: random.Random, factor: float, noise: float) -> list[float]:
    """p50 and p95 of its samples."""
    block = 0.3 * factor * math.exp(rng.gauss(0, noise))
    samples = sorted(block * rng.lognormvariate(0, 0.1) for _ in range(BLOCK_SAMPLES))
    return [samples[math.ceil(BLOCK_SAMPLES * percent / 100) - 1] for percent in (50, 95)]


SESSION_RATE = 60.0  # chats a second, at even distances as in `release`
SESSION_BLOCK_S = 5.0
SESSION_BUDGET_S = 100.0
SESSION_JITTER = "0.03"  # six pairs have some 2,000 samples a side


def sessions(repeats: int, out: Path, change: float) -> None:
    """Sessions of `release` on two simulators, one of which answers later by `change`."""
    began = time.monotonic()
    found = Counter[str]()
    with ExitStack() as servers:
        boxes = [
            SimpleNamespace(
                url=url, keys={"all": key}, pid=os.getpid(), sink_url=None, messenger=None, fault=lambda: None
            )
            for url, key in (servers.enter_context(simulated()) for _ in range(2))
        ]
        for number in range(1, repeats + 1):
            session = _session(boxes, change, out / f"{number:03}")
            session.execute(session.prepare())
            told = f"{number} of {repeats}, {time.monotonic() - began:.0f} s:"
            if not session.blocks.pairs:
                found["every pair INVALID"] += 1
                print(f"{told} every pair INVALID", flush=True)
                continue
            compared = session.blocks.compared()
            (gate,) = evaluate_gates(session.plan.gates, compared)
            rows = {row.name: str(row.verdict) for row in watched_rows(compared)}
            found[str(gate.verdict)] += 1
            found.update(f"{name} {verdict}" for name, verdict in rows.items())
            print(
                f"{told} {gate.verdict}, {session.blocks.pairs} pairs, {session.blocks.elapsed_s:.0f} s",
                rows,
                flush=True,
            )
    print(f"true change {change:+.0%}: " + ", ".join(f"{what} {n}" for what, n in sorted(found.items())))


def _session(boxes: Sequence[SimpleNamespace], change: float, directory: Path) -> ReleaseSession:
    factors = {boxes[0].url: 1.0, boxes[1].url: 1.0 + change}
    box_of: dict[str, Any] = dict(zip(("base", "cand"), boxes, strict=True))

    def load(plan: LoadPlan, environ: Mapping[str, str], **more: Any) -> int:
        own = {
            "BENCH_TTFT": str(MODEL_TTFT_S * factors[plan.target.url]),
            "BENCH_SEED": secrets.token_hex(4),
            "BENCH_JITTER": SESSION_JITTER,
        }
        return launch.run(plan, {**environ, **own}, **more)

    plan = short_run(boxes[0].url, directory, seconds=SESSION_BLOCK_S).at_rate(SESSION_RATE)
    means = Means(
        install=lambda spec, _: Installation(version=spec, directory=Path(spec)),
        sandbox=lambda options, _: nullcontext(
            box_of[options.installation.version if options.installation else ""]
        ),
        load=load,
    )
    specs = {Role.BASELINE: SideSpec(astrbot="base"), Role.CANDIDATE: SideSpec(astrbot="cand")}
    return ReleaseSession(
        ReleasePlan(specs=specs, budget_s=SESSION_BUDGET_S, load=plan, model=ModelScript(), out=directory),
        lambda _: None,
        means,
    )


def simulator(repeats: int, out: Path) -> None:
    kinds = {"base": 1.0, "same": 1.0, "slow": 1.0 + SLOWER}
    began = time.monotonic()
    with simulated() as (url, key):
        for number in range(repeats):
            # In an order of its own each time: what drifts meets all three alike.
            for kind in random.Random(number).sample(sorted(kinds), 3):
                plan = short_run(url, out / f"{number:03}-{kind}", key=key)
                run_until_valid(plan, {"BENCH_TTFT": str(MODEL_TTFT_S * kinds[kind])})
            print(f"repeat {number + 1} of {repeats}, {time.monotonic() - began:.0f} s", flush=True)
    kept = {
        kind: [
            ComparedRun(name=path.name, results=document.read(path)) for path in sorted(out.glob(f"*-{kind}"))
        ]
        for kind in kinds
    }
    runs = [run for side in kept.values() for run in side]
    invalid = sum(run.results["verdict"] == "INVALID" for run in runs)
    print(f"{len(runs)} runs, {invalid} INVALID, which are refused")
    report(kept)


def report(kept: Mapping[str, list[ComparedRun]]) -> None:
    repeats = min(len(side) for side in kept.values())
    for size in (1, 3):
        for kind in ("same", "slow"):
            verdicts, changes, refused = Counter[tuple[str, str]](), [], 0
            for start in range(0, repeats - size + 1, size):
                compared = compare(kept["base"][start : start + size], kept[kind][start : start + size])
                row = compared.row("all", "ttft_p50")
                if compared.comparability.reasons or row is None or row.change is None:
                    refused += 1
                    continue
                changes.append(row.change)
                told = [row for row in compared.rows if row.scope == "all" and row.name in REPORTED]
                verdicts.update((row.name, row.verdict.value) for row in told)
                for word in ("worse", "better"):
                    verdicts["any", word] += any(row.verdict == word for row in compared.rows)
            print(f"\n{size} run(s) a side, {kind}: {len(changes)} comparisons, {refused} refused")
            if changes:
                print(f"  ttft_p50 changed by {min(changes):+.1%} to {max(changes):+.1%}")
            for name in REPORTED:
                print(f"  {name}: " + ", ".join(f"{word} {verdicts[name, word]}" for word in NAMES))
            print(f"  any metric worse {verdicts['any', 'worse']}, better {verdicts['any', 'better']}")


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("kind", choices=("synthetic", "simulator", "looks", "sessions"))
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--change", type=float, default=0.0, help="of the candidate of sessions: 0.15")
    parser.add_argument("--out", type=Path, help="keep the runs here")
    options = parser.parse_args()
    if options.kind == "synthetic":
        print(
            "| runs a side | samples a run | runs differ by (sd) | true change | verdicts "
            "| truth in the 95 % interval | its half-width |"
        )
        print("|--:|--:|--:|--:|---|--:|--:|")
        for runs, noise in ((1, 0.0), (1, 0.02), (3, 0.0), (3, 0.02), (5, 0.02), (5, 0.05)):
            synthetic(options.repeats, runs=runs, samples=300, jitter=0.1, noise=noise, seed=options.seed)
        return
    if options.kind == "looks":
        looks(options.repeats, options.seed)
        return
    with tempfile.TemporaryDirectory() as folder:
        out = options.out or Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        if options.kind == "sessions":
            sessions(options.repeats, out, options.change)
        else:
            simulator(options.repeats, out)


if __name__ == "__main__":
    main()
