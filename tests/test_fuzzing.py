"""Mutated streams, HTTP answers, histograms, results: one outcome each. bench/fuzz.py does many more."""

import json

import fuzzing
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrometer.api.outcome import Outcome

SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize(
    "one", [fuzzing.stream, fuzzing.http, fuzzing.messenger, fuzzing.handshake, fuzzing.histogram]
)
def test_no_mutation_escapes(one):
    @settings(max_examples=150)
    @given(SEEDS)
    def search(seed):
        fuzzing.run(one, [seed])

    search()


def test_the_mutations_reach_more_than_one_outcome():
    """Or the fuzzing would prove nothing."""
    assert {Outcome.OK, Outcome.MALFORMED} < set(fuzzing.run(fuzzing.stream, range(300)))
    assert {Outcome.OK, Outcome.MALFORMED} < set(fuzzing.run(fuzzing.http, range(300)))
    assert {"ok", "malformed", "silent"} < set(fuzzing.run(fuzzing.messenger, range(300)))
    assert {"open", "malformed", "unauthorized"} < set(fuzzing.run(fuzzing.handshake, range(300)))
    assert set(fuzzing.run(fuzzing.histogram, range(200))) == {"read", "refused"}


def test_no_results_file_escapes(make, tmp_path):
    original = json.dumps(make()).encode()
    assert "refused" in fuzzing.run(fuzzing.results(tmp_path, original), range(100))
