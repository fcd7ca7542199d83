"""What an exchange keeps of its connection's network."""

import pytest
from ended_exchanges import turn

from astrometer.api.call_exchange import CallExchange
from astrometer.api.network_stats import NO_NETWORK_STATS, NetworkStats
from astrometer.api.outcome import Outcome

QUIET = NetworkStats(rtt_s=0.02, retransmits=0, out_of_order=0)


@pytest.mark.parametrize(
    ("seen", "signs"),
    [
        (NO_NETWORK_STATS, ()),
        (QUIET, ("exchanges",)),
        (QUIET._replace(retransmits=2), ("exchanges", "retransmitted", "lossy")),
        (QUIET._replace(out_of_order=1), ("exchanges", "out_of_order", "lossy")),
        (QUIET._replace(full_reads=3), ("exchanges", "full_reads")),
        (NetworkStats(full_reads=1), ("full_reads",)),
        (NetworkStats(rtt_s=0.02, retransmits=1), ("exchanges", "retransmitted", "lossy")),
    ],
)
def test_what_is_counted_of_it(seen, signs):
    assert seen.signs() == signs


def test_a_request_that_went_out_again_has_the_losses_of_both_connections_and_the_last_round_trip():
    first = NetworkStats(rtt_s=0.5, retransmits=2, out_of_order=None, full_reads=1)
    second = NetworkStats(rtt_s=0.02, retransmits=1, out_of_order=4, full_reads=0)
    assert second.after(first) == NetworkStats(0.02, 3, 4, 1)
    assert second.after(NO_NETWORK_STATS) == second


def test_a_call_that_is_over_still_learns_of_its_network():
    exchange = CallExchange(timeout_s=1)
    exchange.sent(0.0)
    exchange.headers(0.1, 200, "application/json")
    exchange.feed(0.1, b'{"status":"ok","data":1}')
    exchange.eof(0.1)
    exchange.network(QUIET)
    assert exchange.result().metrics() == {"duration": (0.1,), "network_rtt": (0.02,)}


def test_what_was_not_told_is_no_metric():
    assert "network_rtt" not in turn().metrics()
    assert "ttft_lossy" not in turn(network=QUIET).metrics()


def test_an_arrival_that_never_started_has_no_round_trip():
    assert turn(Outcome.DROPPED, network=QUIET).metrics() == {}
