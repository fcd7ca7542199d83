"""The pairs of blocks of a release test -> how much each metric's change differs from pair to pair.

    astrometer release --astrbot 4.29.3 --against 4.29.3 --scenario chat --out DIR --arrivals poisson
    python bench/block_spread.py DIR

With nothing changed the spread is what an interval is made of: half of it needs a quarter of the pairs.
"""

import math
from pathlib import Path
from statistics import fmean, stdev

from programs import bench_parser

from astrometer.measure.results import document
from astrometer.release.release_plan import Role

TIMES = {"ttft": "p50", "e2e": "p50", "overhead": "p50", "accept_time": "p50", "gate_wait": "p50"}


def values_of(block: Path) -> dict[str, float | None]:
    """Of one block: each time's percentile in seconds, the server's CPU per turn, the turns."""
    results = document.read(block)
    found = {f"{name}_{at}": (results["metrics"].get(name) or {}).get(at) for name, at in TIMES.items()}
    cpu = (results["server"] or {}).get("cpu_per_turn_s")
    return {**found, "server_cpu_per_turn": cpu, "turns": results["turns"]["started"]}


def main() -> None:
    parser = bench_parser(__doc__)
    parser.add_argument("directory", type=Path)
    directory = parser.parse_args().directory
    numbers = sorted(int(block.name) for block in (directory / Role.CANDIDATE).iterdir())
    pairs = [[values_of(directory / role / str(number)) for role in Role] for number in numbers]
    print(f"| {len(pairs)} pairs | mean change | spread (sd) of the change |")
    print("|---|--:|--:|")
    for name in pairs[0][0]:
        sides = [(cand[name], base[name]) for cand, base in pairs]
        changes = [math.log(cand / base) for cand, base in sides if cand and base]
        if len(changes) > 1:
            print(f"| {name} | {fmean(changes):+.1%} | {stdev(changes):.1%} |")


if __name__ == "__main__":
    main()
