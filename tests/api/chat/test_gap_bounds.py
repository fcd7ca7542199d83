"""The gaps of an answer and their bounds: which gap each bound belongs to, and how wide it is."""

from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.chat.turn_timeline import AnswerPieces

# Of each piece: how long after the one before, how much earlier it may have come, whether a tool came before.
PIECES = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, 0, 1, 5]), st.booleans()), max_size=9)


@given(blanks=st.integers(0, 2), pieces=PIECES)
def test_each_gap_with_an_uncertain_end_has_bounds_and_no_other(blanks, pieces):
    answer, t = AnswerPieces(), 10.0
    gaps, bounds = [], {}
    before = None  # the piece before: when it came at the latest and at the earliest
    for number, (step, earlier, split) in enumerate(pieces):
        t += step
        if split:
            answer.split()
        since = None if earlier is None else t - earlier
        answer.add(t, since, " " if number < blanks else "a", is_text=True)
        first = t if since is None else since
        if number > blanks and before is not None and not split:
            if first < t or before[1] < before[0]:
                bounds[len(gaps)] = (max(0.0, first - before[0]), t - before[1])
            gaps.append(t - before[0])
        before = t, first
    assert answer.gaps() == (tuple(gaps), bounds)
