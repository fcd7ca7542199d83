"""The whole decision (search, windows, margins) on servers of known capacity, in virtual time."""

import pytest
from queue_search import SUBJECTS

from astrometer.measure.capacity.capacity_interval import CONFIDENCE
from astrometer.measure.capacity.next_load import SearchEnd

QUEUES = ["M/M/8, 60 s", "M/M/20, 60 s", "M/M/4, 600 s", "M/D/1, p90, 120 s", "M/D/1, p50, 120 s"]
BOUNDED = [name for name, subject in SUBJECTS.items() if subject.limit is not None]


@pytest.mark.parametrize("name", QUEUES)
def test_the_capacity_of_a_queue_is_erlangs(name):
    subject = SUBJECTS[name]
    for seed in range(10):
        searched = subject.searched(seed)
        assert searched.answer.end is SearchEnd.CONVERGED
        passing = subject.settings.load(searched.answer.passing)
        assert passing == pytest.approx(subject.truth, rel=0.1)
        assert subject.interval(seed)[1] == pytest.approx(subject.truth, rel=0.1)
        assert len(searched.trials) <= 25


@pytest.mark.parametrize("name", BOUNDED)
def test_a_hard_limit_of_concurrency_is_found(name):
    """None is refused up to it; beyond it those who find no place ask ten times a second."""
    subject = SUBJECTS[name]
    for seed in range(10):
        searched = subject.searched(seed)
        answer = searched.answer
        assert answer.end is SearchEnd.CONVERGED
        assert answer.passing <= subject.limit < answer.failing
        assert answer.passing == pytest.approx(subject.limit, rel=0.1)
        assert len(searched.trials) <= 25


def test_the_interval_holds_the_true_capacity_as_often_as_it_says():
    """Of all servers together, and of each one nearly. More searches, and the docs' table: bench/."""
    searches = 8
    covered = {
        name: sum(subject.is_covered(seed) for seed in range(searches)) for name, subject in SUBJECTS.items()
    }
    assert sum(covered.values()) >= CONFIDENCE * searches * len(SUBJECTS)
    assert min(covered.values()) >= searches - 1, covered


@pytest.mark.parametrize("name", ["M/M/8, 60 s", "6 answers at a time, 10 s"])
def test_the_interval_says_something(name):
    """Both ends, and no wider than the capacity's half."""
    low, middle, high = SUBJECTS[name].interval(seed=1)
    assert low <= middle <= high
    assert high - low < middle / 2
