"""Many mutated streams, HTTP answers and histograms: python bench/fuzz.py [SECONDS] [FIRST_SEED].

Prints how often each outcome was met; ends with the seed of the first input that broke something.
"""

import sys
import time
from itertools import count, islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

import fuzzing

BATCH = 500


def main(seconds: float = 60.0, first_seed: int = 0) -> None:
    kinds = (fuzzing.stream, fuzzing.http, fuzzing.messenger, fuzzing.handshake, fuzzing.histogram)
    for one in kinds:
        seeds, total = count(first_seed), {}
        give_up = time.monotonic() + seconds / len(kinds)
        while time.monotonic() < give_up:
            for name, number in fuzzing.run(one, islice(seeds, BATCH)).items():
                total[name] = total.get(name, 0) + number
        print(f"{one.__name__}: {sum(total.values()):,} inputs; {dict(sorted(total.items()))}")


if __name__ == "__main__":
    main(*(float(text) for text in sys.argv[1:2]), *(int(text) for text in sys.argv[2:3]))
