"""How often the interval of a capacity holds the true one, on servers in virtual time.

    python bench/capacity_coverage.py [--searches 200]

200 searches of each server take about five minutes. The table in docs/explanation/how-capacity-is-searched.md
is this one's.
"""

import sys
from pathlib import Path
from statistics import median

from programs import bench_parser

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
from queue_search import SUBJECTS, TOO_SHORT


def main(searches: int) -> None:
    print(f"{searches} searches each\n")
    print("| server, window | true capacity | covered | above it | below it | width | middle |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, subject in {**SUBJECTS, **TOO_SHORT}.items():
        truth = subject.truth
        found = [subject.interval(seed) for seed in range(searches)]
        above = sum(low is not None and low > truth for low, _, _ in found)
        below = sum(high is not None and high < truth for _, _, high in found)
        widths = [(high - low) / truth for low, _, high in found if None not in (low, high)]
        shares = (1 - (above + below) / searches, above / searches, below / searches, median(widths))
        middles = median(middle / truth for _, middle, _ in found if middle is not None)
        cells = " | ".join(f"{share:.1%}" for share in shares)
        print(f"| {name} | {truth:.4g} | {cells} | {middles - 1:+.1%} |", flush=True)


if __name__ == "__main__":
    parser = bench_parser(__doc__)
    parser.add_argument("--searches", type=int, default=200)
    main(parser.parse_args().searches)
