"""About how much longer: from what was seen so far, for each row that is still open."""

import random
from dataclasses import replace

import pytest
from synthetic_runs import make_run

from astrometer.compare.gates import compare_for, parse_gate, undecided_rows
from astrometer.compare.repeated_looks import Look
from astrometer.compare.sequence_state import SequenceEnd, SequenceState, pairs_needed


def state(text, *, pairs, chats=300, noise=0.03, change=0.0):
    rng = random.Random(3)

    def side(seed, factor):
        levels = [0.3 * factor * (1 + rng.gauss(0, noise)) for _ in range(pairs)]
        return [make_run(seed=seed + i, chats=chats, ttft_s=level) for i, level in enumerate(levels)]

    gates = [parse_gate(text)]
    compared = compare_for(gates, side(1, 1), side(100, 1 + change), look=Look(pairs=pairs, planned=pairs))
    return SequenceState(
        look=Look(pairs=pairs, planned=pairs), block_s=20.0, elapsed_s=50.0 * pairs, end=SequenceEnd.BUDGET,
        decided_at={}, undecided=tuple(undecided_rows(gates, compared)),
    )  # fmt: skip


def test_an_interval_twice_too_wide_needs_four_times_as_many_pairs():
    ((row, limit),) = state("ttft_p50 worse by 1%", pairs=4).undecided
    once = row.belief.once
    known = replace(row, change=0.0, belief=replace(row.belief, once=replace(once, center=0.0, scale=limit)))
    at_four = pairs_needed(known, limit, 4)
    assert at_four == pytest.approx(4 * 2.24**2, rel=0.05)
    half = replace(known, belief=replace(row.belief, once=replace(once, center=0.0, scale=limit / 2)))
    assert pairs_needed(half, limit, 4) == pytest.approx(at_four / 4, abs=1)


def test_it_says_how_long_and_the_time_is_that_of_the_pairs_so_far():
    shown = state("ttft_p50 worse by 3%", pairs=5)
    ((row, limit),) = shown.undecided
    more = pairs_needed(row, limit, 5) - 5
    assert shown.to_json()["undecided"]["ttft_p50"]["more_s"] == pytest.approx(50 * max(1, more))
    assert " more would decide it." in shown.lines()[1]


def test_too_few_samples_are_a_matter_of_time_only_where_a_block_has_enough():
    assert "more would give enough samples" in state("ttft_p95 worse by 10%", pairs=3, chats=40).lines()[1]
    thin = state("ttft_p95 worse by 10%", pairs=3, chats=15).lines()[1]
    assert thin.startswith(
        "Undecided: ttft_p95; too few samples: p95 needs 200 on each side, 20 in each block"
    )


def test_a_change_as_large_as_the_limit_is_told_by_no_time():
    ((row, limit),) = state("ttft_p50 worse by 1%", pairs=4).undecided
    assert pairs_needed(replace(row, change=limit), limit, 4) is None
