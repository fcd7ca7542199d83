"""Any loss, copy and order of arrival is counted exactly as by hand."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.call_exchange import CallResult
from astrometer.api.outcome import Outcome
from astrometer.measure.delivery import Arrival, Push, match, record, token_in
from astrometer.measure.tally.tally import StatsKey, Tally
from astrometer.measure.tally.windows import Window

UMOS = ("onebot:FriendMessage:1", "onebot:FriendMessage:2", "onebot:GroupMessage:1")


def push(number, *, burst="a-1", umo=UMOS[0], t_sent=None, took_s=0.5, accepted=True):
    t_sent = float(number) if t_sent is None else t_sent
    return Push(
        scenario="im",
        umo=umo,
        token=f"im-{burst}-{number}",
        t_s=t_sent,
        t_sent=t_sent,
        t_done=t_sent + took_s,
        accepted=accepted,
    )


def arrival(sent, t=None, umo=None):
    return Arrival(umo=umo or sent.umo, token=sent.token, t=sent.t_sent + 0.1 if t is None else t)


@st.composite
def runs(draw):
    """Pushes, and what arrives of them: any number of copies of each, and strangers, in any order."""
    pushes = [
        push(
            number,
            burst=draw(st.sampled_from(["r-1", "r-2", "s-1"])),
            umo=draw(st.sampled_from(UMOS)),
            took_s=draw(st.sampled_from([0.0, 0.5, 1.5, 4.0])),
            accepted=draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 12)))
    ]
    copies = [draw(st.integers(0, 3)) for _ in pushes]
    strangers = [
        Arrival(umo=UMOS[0], token=token, t=1.0)
        for token in draw(st.lists(st.sampled_from([None, "im-x-1"])))
    ]
    arrivals = [arrival(sent) for sent, number in zip(pushes, copies, strict=True) for _ in range(number)]
    order = draw(st.permutations(arrivals + strangers))
    return pushes, copies, strangers, order


def overtaken_by_hand(pushes, order):
    places = {}
    for place, found in enumerate(order):
        places.setdefault((found.umo, found.token), place)
    arrived = [sent for sent in pushes if (sent.umo, sent.token) in places]
    return sum(
        one.umo == other.umo and places[one.umo, one.token] > places[other.umo, other.token]
        for pair in combinations(arrived, 2)
        for one, other in (pair, pair[::-1])
        if one.accepted and one.t_done <= other.t_sent
    )


@given(runs())
def test_any_loss_copy_and_order_is_counted_exactly(run):
    pushes, copies, strangers, order = run
    report = match(pushes, order)
    total = report.total
    assert total.sent == len(pushes)
    assert total.accepted == sum(sent.accepted for sent in pushes)
    assert total.delivered == total.latency.n == sum(number > 0 for number in copies)
    assert total.lost == sum(
        sent.accepted and not number for sent, number in zip(pushes, copies, strict=True)
    )
    assert total.duplicates == sum(max(0, number - 1) for number in copies)
    assert total.delivered_though_failed == total.delivered - (total.accepted - total.lost)
    assert report.unexpected == len(strangers)
    assert total.reordered == overtaken_by_hand(pushes, order)


@given(runs())
def test_the_bursts_add_up_to_the_total_and_each_is_what_it_would_be_alone(run):
    pushes, _copies, _strangers, order = run
    report = match(pushes, order)
    for name in ("sent", "accepted", "delivered", "lost", "delivered_though_failed", "duplicates"):
        assert sum(getattr(burst, name) for burst in report.bursts.values()) == getattr(report.total, name)
    for burst, counted in report.bursts.items():
        own = [sent for sent in pushes if sent.burst == burst]
        tokens = {sent.token for sent in own}
        assert counted.reordered == overtaken_by_hand(own, [item for item in order if item.token in tokens])


@given(runs())
def test_shipping_to_the_master_changes_nothing(run):
    pushes = run[0]
    assert [Push.from_wire(sent.to_wire()) for sent in pushes] == pushes


def test_the_latency_is_from_the_send_to_the_first_arrival():
    sent = push(7)
    report = match([sent], [arrival(sent, t=7.25), arrival(sent, t=9.0)])
    assert report.matches[0].latency_s == 0.25
    assert report.total.latency.max == pytest.approx(0.25, rel=1e-3)
    assert report.total.duplicates == 1


def test_a_reversed_burst_has_every_pair_in_the_wrong_order():
    pushes = [push(number) for number in range(10)]
    assert match(pushes, [arrival(sent) for sent in reversed(pushes)]).total.reordered == 45


def test_pushes_under_way_at_the_same_time_cannot_overtake_each_other():
    pushes = [push(number, t_sent=number / 100, took_s=1.0) for number in range(10)]
    assert match(pushes, [arrival(sent) for sent in reversed(pushes)]).total.reordered == 0


def test_a_message_at_the_wrong_address_is_lost_and_unexpected():
    sent = push(1)
    report = match([sent], [arrival(sent, umo=UMOS[1])])
    assert (report.total.lost, report.total.delivered, report.unexpected) == (1, 0, 1)


def test_the_worst_burst_is_the_one_that_lost_most():
    slow, lossy = push(1, burst="r-1"), [push(2, burst="r-2"), push(3, burst="r-2")]
    report = match([slow, *lossy], [arrival(slow, t=99.0), arrival(lossy[0])])
    assert report.worst_burst is report.bursts["r-2"]
    assert match([], []).worst_burst is None


@pytest.mark.parametrize(
    ("text", "token"),
    [
        ("[im-a1b2c3-4-5-6] Disk full", "im-a1b2c3-4-5-6"),
        ("first [q] then [im-x-1]", "im-x-1"),
        ("no token, im-a-1 has no brackets", None),
        ("[im-] [image]", None),
    ],
)
def test_the_token_is_found_in_the_text(text, token):
    assert token_in(text) == token


def test_what_was_not_delivered_counts_as_infinitely_slow():
    tally, key = Tally(), StatsKey("im", "im")
    pushes = [push(number, accepted=number != 2) for number in range(4)]
    for sent in pushes:
        tally.started("im", "im", 0.0)
        outcome = Outcome.OK if sent.accepted else Outcome.SERVER_ERROR
        tally.finished("im", "im", 0.0, CallResult(outcome=outcome, duration_s=0.5))
    arrived = [arrival(pushes[number]) for number in (0, 2, 3)]
    record(tally, match(pushes, arrived).matches)
    stats = tally.counted[key]
    assert (stats.ok["delivery"].n, stats.failed["delivery"].n) == (2, 1)
    attempts = stats.attempts("delivery")
    assert (attempts.n, attempts.percentile(50), attempts.max) == (
        4,
        pytest.approx(0.1, rel=1e-3),
        float("inf"),
    )


def test_a_push_of_the_warm_up_is_no_sample_of_the_window():
    tally = Tally(window=Window(excluded_s=5.0))
    pushes = [push(number) for number in range(8)]  # intended at 0, 1, ... 7 s
    record(tally, match(pushes, [arrival(sent) for sent in pushes]).matches)
    assert tally.total().ok["delivery"].n == 3
    assert tally.total_excluded().ok["delivery"].n == 5


def test_deliveries_stay_when_more_of_the_run_is_left_out_later():
    pushes = [push(number) for number in (1, 6, 11)]
    tally = Tally(by_step=True)
    record(tally, match(pushes, [arrival(sent) for sent in pushes[:2]]).matches)
    tally.begin_window_at(5.0)
    assert tally.total("im").ok["delivery"].n == 1
    assert tally.total("im").missed["delivery"] == 1
    assert tally.total_excluded("im").ok["delivery"].n == 1
