"""How often the interval of a ratio of capacities holds the true one, on servers in virtual time.

    python bench/ways_coverage.py [--comparisons 40]

40 comparisons take about two minutes. The table in docs/explanation/how-capacity-is-searched.md is its.
"""

import sys
from collections import Counter
from pathlib import Path
from statistics import median

from programs import bench_parser

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "helpers"))
from queue_search import SUBJECTS

from astrometer.measure.capacity.next_load import StepVerdict
from astrometer.ways.ways_statistics import SearchSpread, WayCapacity, WindowSet, ratio, verdict_of

PASSED = {StepVerdict.PASS: True, StepVerdict.FAIL: False}
SERVERS = ("M/M/8, 60 s", "M/D/1, p90, 120 s")
ROUNDS = (1, 2, 3)


def searched(name: str, seed: int) -> WindowSet:
    subject = SUBJECTS[name]
    trials = subject.searched(seed).trials
    return WindowSet(
        windows=[(subject.settings.load(t.level), PASSED[t.verdict]) for t in trials if t.verdict in PASSED]
    )


def main(comparisons: int) -> None:
    most = max(ROUNDS)
    sides = {
        (name, place, number): searched(name, place * comparisons * most + number)
        for name in SERVERS
        for place in (0, 1)
        for number in range(comparisons * most)
    }
    print(f"{comparisons} comparisons each\n")
    print("| first, other | true ratio | rounds | covered | width | middle | verdicts |")
    print("|---|--:|--:|--:|--:|--:|---|")
    for first, other in (SERVERS, SERVERS[:1] * 2):
        truth = SUBJECTS[other].truth / SUBJECTS[first].truth
        for rounds in ROUNDS:
            found, verdicts = [], Counter[str]()
            for number in range(comparisons):
                numbers = range(number * most, number * most + rounds)
                pair = [[sides[name, place, n] for n in numbers] for place, name in enumerate((first, other))]
                spread = SearchSpread.of(pair)
                one, two = (WayCapacity.of(searches, spread) for searches in pair)
                beside = ratio(one, two, spread)
                verdicts[verdict_of(beside).value] += 1
                found.append(beside)
            covered = sum((b.low or 0) <= truth <= (b.high or float("inf")) for b in found) / comparisons
            width = median((b.high - b.low) / truth for b in found if b.low and b.high)
            middle = median(b.middle / truth for b in found if b.middle) - 1
            told = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
            print(
                f"| {first}; {other} | {truth:.3f} | {rounds} | {covered:.1%} | {width:.0%} | {middle:+.1%} "
                f"| {told} |",
                flush=True,
            )


if __name__ == "__main__":
    parser = bench_parser(__doc__)
    parser.add_argument("--comparisons", type=int, default=40)
    main(parser.parse_args().comparisons)
