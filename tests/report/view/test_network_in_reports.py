"""The network in the terminal, the HTML page and the summary: one line, and one more where it matters."""

from ended_exchanges import INFO, call, tally_of, turn

from astrometer.api.network_stats import NetworkStats
from astrometer.measure.results import document
from astrometer.report.view.time_lines import network_lines

QUIET = NetworkStats(rtt_s=0.02, retransmits=0, out_of_order=0)


def results_of(*finished):
    return document.build(tally_of(*finished), INFO)


def test_a_quiet_network_is_one_line(everywhere):
    results = results_of(*[turn(network=QUIET)] * 250)
    line = (
        "Network: RTT p50 20.0 ms, p95 20.0 ms, max 20.0 ms (n 250); "
        "lost or late segments in none of 250 exchanges"
    )
    assert network_lines(results) == [line]
    for text in everywhere(results):
        assert line in text


def test_losses_and_what_they_may_have_delayed_are_told(everywhere):
    slow = [turn(ttft=9.0, network=QUIET._replace(retransmits=1))]
    results = results_of(*[turn(network=QUIET)] * 199, *slow)
    for text in everywhere(results):
        assert "lost or late segments in 1 of 200 exchanges (0.5 %)" in text
        assert "1 of 1 TTFTs above p99 had a lost or late segment" in text


def test_a_reader_far_behind_is_a_warning_for_chats_and_not_for_calls():
    behind = QUIET._replace(full_reads=2)
    assert any(
        "in 1 chat a load process found 64 KiB" in line
        for line in network_lines(results_of(turn(network=behind)))
    )
    assert not any(
        "64 KiB" in line for line in network_lines(results_of(turn(network=QUIET), call(network=behind)))
    )


def test_nothing_is_said_where_nothing_is_known(passed, everywhere):
    assert network_lines(passed) == []
    assert all("Network:" not in text for text in everywhere(passed))
