"""httpx-sse in the probes and the decoder of the load path make the same of the same bytes."""

import asyncio
import itertools
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from astrometer.api.chat import sse
from astrometer.api.chat.chat_exchange import ChatExchange, Deadlines
from astrometer.api.outcome import Outcome
from astrometer.probing.transport.stream_reading import StreamReading

EVENT = b'data: {"type":"plain","data":"w ","streaming":true}\n\n'


class Came:
    """Times of a read, set by hand."""

    t = 7.0
    since: float | None = None
    rest = b""  # came behind the body

    def ends_with(self, chunk):
        return (chunk + self.rest).endswith(chunk)


def exchange() -> ChatExchange:
    made = ChatExchange(streaming=True, deadlines=Deadlines())
    made.sent(0.0)
    made.headers(0.5, 200, "text/event-stream; charset=iso-8859-1")
    return made


def read(chunks, made=None, came=None):
    """What the probes make of them."""
    found = []

    async def body():
        for chunk in chunks:
            yield chunk

    reading = StreamReading(
        body(), came or Came(), made or exchange(), lambda t, event: found.append((t, event))
    )
    asyncio.run(reading.run())
    return [event for _, event in found]


def fed(chunks):
    """What a load user makes of them."""
    made = exchange()
    return [event for chunk in chunks for event in made.feed(7.0, chunk)]


def cut(raw, cuts):
    places = sorted({min(place, len(raw)) for place in cuts} | {0, len(raw)})
    return [raw[a:b] for a, b in itertools.pairwise(places)]


def told(events):
    """Without heartbeats, whose place among the events of a read is not known; and how many there were."""
    return [event for event in events if event.type != "heartbeat"], Counter(event.type for event in events)


LINES = st.sampled_from(
    ["data: x", "data", 'data: {"type":"end"}', ": c", ":", "", "", "foo: bar", "data: 你好"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.builds(
    lambda bom, pairs: bom + b"".join(line.encode() + end for line, end in pairs),
    st.sampled_from([b"", sse.BOM]),
    st.lists(st.tuples(LINES, ENDS), max_size=20),
)
CUTS = st.lists(st.integers(0, 300), max_size=12)


@settings(deadline=None)
@given(STREAMS, CUTS)
def test_events_and_heartbeats_are_those_of_the_load_path(raw, cuts):
    assert told(read(cut(raw, cuts))) == told(fed([raw]))


@settings(deadline=None)
@given(st.binary(max_size=200), CUTS)
def test_bytes_that_are_no_text_are_those_of_the_load_path(raw, cuts):
    raw = b"data: " + raw.replace(b"\n", b"").replace(b"\r", b"") + b"\n\n"
    assert told(read(cut(raw, cuts))) == told(fed([raw]))


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["id: 3", "event: ping", "retry: 5", "data: x", ": c", ""]), max_size=20), CUTS
)
def test_names_ids_and_delays_make_no_events_of_their_own(lines, cuts):
    raw = "".join(f"{line}\n" for line in lines).encode()
    assert told(read(cut(raw, cuts)))[0] == told(fed([raw]))[0]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_an_event_is_handed_over_with_the_read_that_ended_it(end):
    made, came, seen = exchange(), Came(), []

    async def body():
        for t in (1.0, 2.0, 3.0):
            came.t = t
            yield EVENT.replace(b"\n", end)
            reading.hand_over()

    reading = StreamReading(body(), came, made, lambda t, _: seen.append(t))
    asyncio.run(reading.run())
    assert seen == [1.0, 2.0, 3.0]


def test_the_last_event_of_a_read_is_certain_unless_something_else_came_behind_it():
    for rest, since in ((b"", {}), (b"5\r\n", {"t_token1": 6.0, "t_text1": 6.0, "t_tokenN": 6.0})):
        made, came = exchange(), Came()
        came.since, came.rest = 6.0, rest
        read([EVENT], made, came)
        made.eof(8.0)
        assert {name: made.result().timings.since.get(name) for name in since} == since
        assert bool(made.result().timings.since) is bool(since)


@pytest.mark.parametrize(
    ("rest", "uncertain"),
    [
        (b"", {"t_event1"}),
        (b"da", {"t_event1", "t_token1", "t_text1", "t_tokenN"}),
        (b": heartbeat\n\n", {"t_event1", "t_token1", "t_text1", "t_tokenN"}),
    ],
)
def test_of_several_events_in_a_late_read_the_last_is_certain_when_nothing_came_after_it(rest, uncertain):
    made, came = exchange(), Came()
    came.since = 3.0
    session = b'data: {"type":"session_id","session_id":"s"}\n\n'
    read([session, EVENT, rest], made, came)
    made.eof(8.0)
    times = made.result().timings
    assert set(times.since) == uncertain
    assert set(times.since.values()) == {3.0}
    assert (times.t_event1, times.t_token1) == (7.0, 7.0)


def test_nothing_that_a_head_says_unpacks_or_recodes_a_stream():
    (event,) = read(['data: {"type":"plain","data":"你好","streaming":true}\n\n'.encode()])
    assert event.text == "你好"


@pytest.mark.parametrize("piece", [b"x" * 65536, b"data: x\n", b"data: " + b"x" * 65536])
def test_an_event_without_end_is_malformed(monkeypatch, piece):
    monkeypatch.setattr("astrometer.api.chat.chat_exchange.MAX_LINE_BYTES", 100_000)
    made = exchange()
    read([EVENT, *([piece] * (200_000 // len(piece)))], made)
    turn = made.result()
    assert (turn.outcome, turn.detail) == (
        Outcome.MALFORMED,
        "an event of more than 100000 bytes without an end",
    )
    assert turn.events == {"plain": 1}
    assert turn.bytes_received < 200_000


def test_many_events_longer_together_than_one_may_be_are_well(monkeypatch):
    monkeypatch.setattr("astrometer.api.chat.chat_exchange.MAX_LINE_BYTES", 1000)
    made, came = exchange(), Came()

    async def body():
        for _ in range(100):
            yield EVENT
            reading.hand_over()

    reading = StreamReading(body(), came, made, lambda _t, _event: None)
    asyncio.run(reading.run())
    assert not made.done
