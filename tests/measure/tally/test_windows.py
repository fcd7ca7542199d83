"""Which turns a run's window holds, and how long it is."""

import pytest

from astrometer.measure.tally.windows import EVERYTHING, Window

WINDOW = Window(excluded_s=10.0)


@pytest.mark.parametrize(("t", "held"), [(-1.0, False), (9.999, False), (10.0, True), (1e9, True)])
def test_a_turn_belongs_to_the_window_from_the_end_of_the_warm_up_on(t, held):
    assert WINDOW.holds(t) is held


def test_a_run_that_ended_within_its_warm_up_has_a_window_of_no_length():
    assert (WINDOW.length_s(25.0), WINDOW.length_s(4.0)) == (15.0, 0.0)


def test_without_a_run_everything_is_held():
    assert EVERYTHING.holds(0.0)
