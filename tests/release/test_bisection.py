"""The search itself, with a judge that knows the answer."""

from itertools import combinations

import pytest

from astrometer.release.bisection import Bisection, Mark


def search(count, first_bad, skipped=()):
    """Ends first, then whatever is asked for."""
    found, tried = Bisection(count=count), []
    place = 0
    while place is not None:
        assert place not in tried
        tried.append(place)
        is_skipped = place in skipped
        found.marks[place] = Mark.SKIPPED if is_skipped else Mark.BAD if place >= first_bad else Mark.GOOD
        place = count - 1 if len(tried) == 1 else found.next()
    return found, tried


@pytest.mark.parametrize("count", [2, 3, 4, 5, 8, 9, 23, 33])
def test_every_place_is_found_in_as_few_steps_as_halving_takes(count):
    promised = Bisection(count=count, marks={0: Mark.GOOD, count - 1: Mark.BAD}).most_steps_left
    assert promised == (count - 2).bit_length()
    steps = []
    for first_bad in range(1, count):
        found, tried = search(count, first_bad)
        assert (found.last_good, found.first_bad) == (first_bad - 1, first_bad)
        steps.append(len(tried) - 2)
    assert max(steps) == promised


def test_whatever_is_skipped_the_answer_holds_the_truth_and_nothing_that_is_known():
    for first_bad in range(1, 9):
        for size in range(5):
            for skipped in combinations(range(1, 8), size):
                found, _ = search(9, first_bad, skipped)
                assert found.last_good < first_bad <= found.first_bad
                between = range(found.last_good + 1, found.first_bad)
                assert found.skipped == [*between], "all between good and bad were tried in vain"
                assert set(between) <= set(skipped)


def test_a_skipped_neighbour_of_the_change_widens_the_answer_to_a_range():
    found, _ = search(9, 5, skipped={4})
    assert (found.last_good, found.skipped, found.first_bad) == (3, [4], 5)


def test_a_run_of_releases_that_do_not_start_is_left_for_a_place_further_off():
    found, tried = search(65, 60, skipped=range(20, 50))
    assert (found.last_good, found.first_bad) == (59, 60)
    assert len(tried) <= 10, tried  # 8 without a skip


def test_what_is_not_known_yet_is_taken_as_it_was_said():
    found = Bisection(count=23)
    assert (found.last_good, found.first_bad, found.next()) == (0, 22, 11)
