"""Many mutated streams, HTTP answers and histograms: what their one outcome is.

    python bench/fuzz.py [--seconds 60] [--first-seed 0]

Prints how often each outcome was met; ends with the seed of the first input that broke something.
"""

import sys
import time
from collections import Counter
from itertools import count, islice
from pathlib import Path

from programs import bench_parser

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import fuzzing

BATCH = 500


def main(seconds: float, first_seed: int) -> None:
    kinds = (fuzzing.stream, fuzzing.http, fuzzing.messenger, fuzzing.handshake, fuzzing.histogram)
    for one in kinds:
        seeds, total = count(first_seed), Counter[str]()
        give_up = time.monotonic() + seconds / len(kinds)
        while time.monotonic() < give_up:
            total.update(fuzzing.run(one, islice(seeds, BATCH)))
        print(f"{one.__name__}: {total.total():,} inputs; {dict(sorted(total.items()))}")


if __name__ == "__main__":
    parser = bench_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--first-seed", type=int, default=0)
    options = parser.parse_args()
    main(options.seconds, options.first_seed)
