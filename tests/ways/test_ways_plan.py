"""Which ways, in which order, and what an objective means on each."""

import pytest

from astrometer.load.options import ChatTransport
from astrometer.measure.slo.slo_parser import parse_objectives
from astrometer.ways.ways_plan import WaysError, objectives_of, order, parse_ways

SSE, WS, MESSENGER = ChatTransport.SSE, ChatTransport.WS, ChatTransport.MESSENGER
ALL = (SSE, WS, MESSENGER)


def test_ways_keep_their_order():
    assert parse_ways("messenger, sse") == (MESSENGER, SSE)
    assert parse_ways("sse,ws,messenger") == ALL


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("sse", "at least two ways"),
        ("sse,sse", "each once"),
        ("sse,http", "no way 'http' (there are: sse, ws, messenger)"),
        ("sse,mesenger", 'did you mean "messenger"?'),
        ("", "no way ''"),
    ],
)
def test_ways_that_are_none_are_named(text, complaint):
    with pytest.raises(WaysError) as told:
        parse_ways(text)
    assert complaint in str(told.value)


def test_every_other_round_goes_backwards():
    assert [str(search) for search in order(ALL, 3)] == [
        "sse 1", "ws 1", "messenger 1",
        "messenger 2", "ws 2", "sse 2",
        "sse 3", "ws 3", "messenger 3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "in_chat", "in_messenger"),
    [
        ("e2e_p95 < 3s", "e2e_p95 < 3s", "reply_last_p95 < 3s"),
        ("reply_last_p50 < 3s", "e2e_p50 < 3s", "reply_last_p50 < 3s"),
        ("chat: e2e_max < 3s", "chat: e2e_max < 3s", "chat: reply_last_max < 3s"),
        ("e2e: e2e_p95 < 3s", "e2e: e2e_p95 < 3s", "e2e: reply_last_p95 < 3s"),
        ("e2e_effective_p95 < 3s", "e2e_effective_p95 < 3s", "reply_last_effective_p95 < 3s"),
        ("errors < 1%", "errors < 1%", "errors < 1%"),
        ("goodput > 99%", "goodput > 99%", "goodput > 99%"),
    ],
)
def test_the_whole_answer_is_what_each_way_calls_it(given, in_chat, in_messenger):
    found = objectives_of(ALL, parse_objectives([given]))
    assert found == {SSE: [in_chat], WS: [in_chat], MESSENGER: [in_messenger]}
    assert [item.text for texts in found.values() for item in parse_objectives(texts)]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("ttft_p95 < 2s", "ttft cannot be compared"),
        ("chat: chunk_gap_p99 < 1s", "chunk_gap"),
        ("stalls < 1%", "stalls is not the same in a messenger"),
        ("silent < 1%", "silent is not the same in a messenger"),
        ("reply_first_p95 < 1s", "reply_first cannot be compared"),
    ],
)
def test_an_objective_that_not_every_way_knows_is_refused_with_one_that_it_does(given, named):
    with pytest.raises(WaysError) as told:
        objectives_of(ALL, parse_objectives([given]))
    assert named in str(told.value)
    assert "--ways sse,ws" in str(told.value)


def test_without_a_messenger_all_that_streams_is_known():
    assert objectives_of((SSE, WS), parse_objectives(["ttft_p95 < 2s", "stalls < 1%"])) == {
        SSE: ["ttft_p95 < 2s", "stalls < 1%"],
        WS: ["ttft_p95 < 2s", "stalls < 1%"],
    }
