"""The decoder by the WHATWG rules, for any chunking."""

import itertools

import httpx
import httpx_sse
import pytest
from hypothesis import given
from hypothesis import strategies as st

from astrometer.api.chat import sse
from astrometer.api.chat.sse import Comment, LineTooLong, ServerEvent, SSEDecoder


def decode(raw: bytes, cuts: list[int] | None = None) -> list[sse.Item]:
    decoder = SSEDecoder()
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts or [])})
    return [item for start, end in itertools.pairwise(places) for item in decoder.feed(raw[start:end])]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
def test_any_line_ending_ends_a_line(newline):
    raw = newline.join([b"data: a", b"data: b", b"", b"event: e", b"id: 7", b"data:c", b"", b""])
    assert decode(raw) == [ServerEvent("a\nb"), ServerEvent("c", "e", "7")]


def test_crlf_cut_between_cr_and_lf_is_one_line_end():
    assert decode(b"data: a\r\n\r\ndata: b\r\n\r\n", cuts=[8, 10]) == [ServerEvent("a"), ServerEvent("b")]


def test_an_event_is_out_as_soon_as_its_cr_is_in():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\r\r") == [ServerEvent("a")]
    assert decoder.feed(b"\ndata: b\n\n") == [ServerEvent("b")]


def test_comments_are_kept_as_heartbeats():
    assert decode(b": heartbeat\n\n:\n") == [Comment("heartbeat"), Comment("")]


def test_only_the_first_space_after_the_colon_goes():
    assert decode(b"data:  a \n\n") == [ServerEvent(" a ")]


def test_an_event_without_data_is_no_event_and_leaves_nothing_behind():
    assert decode(b"event: ghost\n\ndata: real\n\n") == [ServerEvent("real")]


def test_an_empty_data_line_is_an_event_with_empty_data():
    assert decode(b"data\n\n") == [ServerEvent("")]


def test_one_bom_at_the_start_is_dropped_wherever_it_is_cut():
    for cut in range(5):
        assert decode(b"\xef\xbb\xbfdata: a\n\n", cuts=[cut]) == [ServerEvent("a")]
    assert decode(b"data: \xef\xbb\xbfa\n\n") == [ServerEvent("\ufeffa")]


def test_a_second_bom_makes_an_unknown_field():
    assert decode(b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n") == []


def test_text_of_several_bytes_may_be_cut_anywhere():
    raw = "data: 你好🙂\n\n".encode()
    for cut in range(len(raw)):
        assert decode(raw, cuts=[cut]) == [ServerEvent("你好🙂")]


def test_bytes_that_are_not_utf8_become_replacement_characters():
    assert decode(b"data: a\xffb\n\n") == [ServerEvent("a\ufffdb")]


def test_an_unterminated_last_event_is_discarded_and_can_be_seen():
    decoder = SSEDecoder()
    assert decoder.feed(b"data: a\n\ndata: b\n") == [ServerEvent("a")]
    assert decoder.unfinished
    decoder.feed(b"\n")
    assert not decoder.unfinished


def test_an_id_stays_for_later_events_and_one_with_a_null_is_ignored():
    assert decode(b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n") == [
        ServerEvent("a", id="1"),
        ServerEvent("b", id="1"),
    ]


def test_an_empty_chunk_changes_nothing():
    decoder = SSEDecoder()
    chunks = [b"data: a\r", b"", b"\ndata: b\r\n", b"", b"\r\n"]
    assert [item for chunk in chunks for item in decoder.feed(chunk)] == [ServerEvent("a\nb")]


def test_a_long_line_in_small_chunks_is_searched_once(monkeypatch):
    searched = 0
    split = sse._split_lines

    def counting(raw: bytes) -> list[bytes]:
        nonlocal searched
        searched += len(raw)
        assert searched <= len(line)
        return split(raw)

    line = b"data: " + b"x" * (sse.MAX_LINE_BYTES - 9) + b"\r\n\n"
    monkeypatch.setattr(sse, "_split_lines", counting)
    (event,) = decode(line, cuts=[*range(0, len(line), 1024)])
    assert len(event.data) == sse.MAX_LINE_BYTES - 9


def test_a_line_without_end_is_refused_before_it_fills_the_memory(monkeypatch):
    monkeypatch.setattr(sse, "MAX_LINE_BYTES", 100)
    decoder = SSEDecoder()
    decoder.feed(b"data: " + b"x" * 90)
    with pytest.raises(LineTooLong, match="100 bytes"):
        decoder.feed(b"x" * 10)


LINES = st.sampled_from(
    ["data: x", "data:", "data", "event: e", "id: 3", ": c", "retry: 5", "", "", "foo: bar", "data: 你好"]
)
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
STREAMS = st.lists(st.tuples(LINES, ENDS), max_size=20).map(
    lambda pairs: b"".join(line.encode() + end for line, end in pairs)
)


@given(STREAMS, st.lists(st.integers(0, 500), max_size=12))
def test_any_chunking_gives_the_same_items(raw, cuts):
    assert decode(raw, cuts) == decode(raw)


@given(st.binary(max_size=200), st.lists(st.integers(0, 500), max_size=12))
def test_any_bytes_in_any_chunking_give_the_same_items(raw, cuts):
    assert decode(raw, cuts) == decode(raw)


def decode_lone_ones_apart(raw: bytes, cuts: list[int]) -> list[sse.Item]:
    decoder, items = SSEDecoder(), []
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        data = decoder.lone(raw[start:end])
        items += decoder.feed(raw[start:end]) if data is None else [ServerEvent(data)]
    return items


def without_ids(items: list[sse.Item]) -> list[sse.Item]:
    return [item._replace(id="") if isinstance(item, ServerEvent) else item for item in items]


@given(STREAMS, st.lists(st.integers(0, 500), max_size=12))
def test_events_that_come_alone_are_the_same_without_a_server_event(raw, cuts):
    assert without_ids(decode_lone_ones_apart(raw, cuts)) == without_ids(decode(raw))


def test_only_one_data_line_of_a_chunk_of_its_own_is_alone():
    assert SSEDecoder().lone(b'data: {"type":"end"}\n\n') == '{"type":"end"}'
    others = [b"", b"\n", b"data: a", b"data: a\n", b"data: a\n\ndata: b\n\n", b"data: a\ndata: b\n\n"]
    others += [b": a\n\n", b"data: a\r\n\r\n", b"data: a\rdata: b\n\n", b"data:a\n\n", b"data: a\n\n\n"]
    assert [SSEDecoder().lone(chunk) for chunk in others] == [None] * len(others)
    for before in (b"event: ping\n", b"data: a", b"x\r"):
        decoder = SSEDecoder()
        decoder.feed(before)
        assert decoder.lone(b"data: b\n\n") is None


@given(st.lists(LINES, max_size=20))
def test_events_are_those_of_httpx_sse(lines):
    # A retry field alone is an event to httpx-sse (it reports the delay) and none by WHATWG.
    lines = [line for line in lines if not line.startswith("retry")]
    raw = "".join(f"{line}\n" for line in lines).encode()
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=raw)
    theirs = list(httpx_sse.EventSource(response).iter_sse())
    ours = [item for item in decode(raw) if isinstance(item, ServerEvent)]
    # It also dispatches an event that has a name or an id and no data; WHATWG does not.
    wanted = [(event.data, event.event, event.id) for event in theirs if event.data]
    assert [(item.data, item.event, item.id) for item in ours if item.data] == wanted
