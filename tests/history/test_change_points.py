"""Where a level changes, and how rarely chance alone is told as a change."""

import random
import re
import sys

import pytest
from required import needs_extra

from astrometer.history.change_points import MissingRupturesError, change_points, need_ruptures

needs_extra("history", "ruptures")


def noise(runs, seed):
    rng = random.Random(seed)
    return [rng.gauss(0, 1) for _ in range(runs)]


def found(values, starts=None, *, least_variance=0.0, chance=0.005):
    return change_points(values, starts or range(len(values)), least_variance=least_variance, chance=chance)


@pytest.mark.parametrize(("runs", "at"), [(9, 4), (24, 12), (60, 50)])
def test_a_large_step_is_found_where_it_is(runs, at):
    values = [value + 12 * (place >= at) for place, value in enumerate(noise(runs, 3))]
    assert found(values) == [at]


def test_two_steps_are_both_found():
    values = [value + {0: 0, 1: 10, 2: -5}[place // 10] for place, value in enumerate(noise(30, 5))]
    assert found(values) == [10, 20]


def test_runs_without_a_step_are_rarely_told_to_have_one():
    """150 series at 5 %: 8 are expected at most, and 16 or more come once in 200."""
    assert sum(bool(found(noise(20, seed), chance=0.05)) for seed in range(150)) < 16


def test_a_single_odd_run_is_no_change():
    values = noise(24, 7)
    values[11] += 40
    assert found(values) == []


def test_runs_that_agree_to_the_digit_differ_by_what_each_leaves_open():
    values = [1.0] * 6 + [1.1] * 6
    assert found(values, least_variance=0.0001) == [6]
    assert found(values, least_variance=0.01) == []


def test_a_step_lies_between_versions_never_inside_one():
    values = [value + 12 * (place >= 7) for place, value in enumerate(noise(18, 9))]
    assert set(found(values, [0, 3, 6, 9, 12, 15])) <= {2, 3}
    values = [value + 12 * (place >= 9) for place, value in enumerate(noise(18, 9))]
    assert found(values, [0, 3, 6, 9, 12, 15]) == [3]


def test_few_runs_tell_nothing():
    assert found([0, 0, 0, 9, 9]) == []


def test_without_the_library_the_text_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ruptures", None)
    with pytest.raises(MissingRupturesError, match=re.escape('pip install "ruptures>=1.1.10"')):
        need_ruptures()
