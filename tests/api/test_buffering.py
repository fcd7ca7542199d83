"""Which streams were held back on their way, by the server's own account; and which only look so."""

from itertools import pairwise

import pytest

from astrometer.api.buffering import explain_held, run_is_buffered, was_held
from astrometer.api.timings import Timings


def times(*pieces, event1=0.05, end=None, server_ttft=0.5, server_time=1.5, tokens=None, **more):
    """A chat whose pieces came at these times."""
    gaps = tuple(b - a for a, b in pairwise(pieces))
    return Timings(
        **{
            "t_intended": 0.0,
            "t_send": 0.0,
            "t_event1": event1,
            "t_token1": pieces[0],
            "t_tokenN": pieces[-1],
            "t_terminal": pieces[-1] + 0.03 if end is None else end,
            "chunk_gaps_s": gaps,
            "server_ttft_s": server_ttft,
            "server_time_s": server_time,
            "output_tokens": len(pieces) if tokens is None else tokens,
            "streamed": True,
            **more,
        }
    )


STREAMED = [0.55 + 0.02 * number for number in range(50)]
BURST = [1.6 + 0.0001 * number for number in range(50)]


def test_a_stream_that_came_as_it_was_made_was_not_held():
    assert was_held(times(*STREAMED)) is False


@pytest.mark.parametrize(
    "held",
    [
        times(*BURST, event1=1.6),  # everything at the end
        times(*BURST, event1=1.6, server_time=None),  # of a version that tells no end
        times(*BURST[:3], event1=1.6),  # a short answer
        times(1.6, event1=1.6, tokens=300, server_ttft=1.4),  # all tokens in one event
        # In several bursts: `session_id` waited for the first to be full.
        times(*[0.9] * 25, *[1.3] * 25, event1=0.9),
        times(*[0.9] * 25, *[9.3] * 25, event1=0.9, server_time=9.0, used_tools=True),
        times(*BURST, event1=0.05),  # `session_id` passed, and all of the answer waited
        times(*BURST[:4], event1=1.6, server_ttft=0.05),  # a quick model
        times(*BURST, event1=1.6, server_ttft=0.9, tokens=4000),  # reasoning that nobody is shown
    ],
)
def test_a_stream_that_came_faster_than_it_was_made_was_held(held):
    assert was_held(held) is True
    assert "the server says that" in explain_held(held)


@pytest.mark.parametrize(
    "free",
    [
        times(*BURST, server_ttft=1.5, server_time=1.5),  # a model that answers in one burst
        times(*BURST, end=2.7, server_ttft=1.5, server_time=2.5),  # and then takes its time to end
        times(*BURST[:2]),  # reasoning that is not shown, and a short answer
        times(*BURST[:7]),
        times(*BURST, tokens=400),  # the same, with a longer one; or many tokens per event
        times(*BURST, used_tools=True),  # a tool ran before the first visible word
        times(*[0.6 + 0.05 * number for number in range(60)], server_time=0.7),  # an old version's pacing
        times(*STREAMED, event1=0.0001),
        times(40.1, *[40.2 + 0.02 * n for n in range(40)], event1=0.05),  # a queue, then the answer
        times(*STREAMED, server_time=0.2),  # its clock was set
    ],
)
def test_what_only_looks_so_was_not_held(free):
    assert was_held(free) is False


@pytest.mark.parametrize(
    "unknown",
    [
        times(*BURST, event1=1.6, server_ttft=None, server_time=None),
        times(*BURST, event1=1.6, streamed=False),
        times(0.07, 0.08, server_ttft=0.02, server_time=0.03),  # all too quick to tell
        # The reader came late: the first event may have come long before.
        times(*BURST, event1=1.6, since={"t_event1": 0.01, "t_token1": 0.01}),
        times(*BURST, event1=0.05, since={"t_token1": 0.4}),
        times(*[0.9] * 25, *[1.3] * 25, event1=0.9, since={"t_event1": 0.0, "t_token1": 0.0}),
        # A first token that may have come with the first event, or not.
        times(*STREAMED, since={"t_token1": 0.06}),
    ],
)
def test_times_that_cannot_tell_prove_nothing(unknown):
    assert was_held(unknown) is None


@pytest.mark.parametrize(
    ("held", "judged", "is_finding"),
    [
        (1, 1, False),
        (2, 2, False),
        (3, 3, True),
        (3, 6, True),
        (3, 7, False),
        (60, 100, True),
        (1, 100, False),
    ],
)
def test_a_run_is_buffered_when_half_of_its_streams_were_held(held, judged, is_finding):
    assert run_is_buffered(held, judged) is is_finding
