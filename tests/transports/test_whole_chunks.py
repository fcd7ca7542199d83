"""Reads that are whole chunks need no HTTP parser, and it misses nothing by them."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from astrometer.load.transport.load_client import AnswerParser
from astrometer.wire.chunked_body import WholeChunks

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data, size="%x"):
    return size.encode() % len(data) + b"\r\n" + data + b"\r\n"


@pytest.mark.parametrize(
    ("read", "data"),
    [
        (chunk(b"a"), b"a"),
        (chunk(b"a" * 300), b"a" * 300),
        (chunk(b"a") + chunk(b"b\r\n" * 9), b"a" + b"b\r\n" * 9),
        (b"0\r\n\r\n", None),
        (chunk(b"a") + b"0\r\n\r\n", None),
        (b"", None),
        (b"\r\n", None),
        (b"zz\r\n\r\n", None),
        (b"1\r\nab\r\n", None),
        (b"1\r\nabc", None),
        (chunk(b"a" * 11, "%X"), None),
        (chunk(b"a", "0%x"), None),
        (chunk(b"a", "0x%x"), None),
        (chunk(b"a", "%x;name=value"), None),
        (b"a" * 70_000, None),
    ],
)
def test_only_whole_chunks_in_the_common_form_count(read, data):
    assert WholeChunks(HEAD).only(read) == data


def test_after_a_chunk_in_pieces_the_next_one_counts_again():
    chunks = WholeChunks(HEAD + chunk(b"first")[:-1])
    assert chunks.only(b"\n") is None
    assert chunks.only(chunk(b"second")) == b"second"
    assert chunks.only(chunk(b"third") + chunk(b"fourth")[:5]) is None
    assert chunks.only(chunk(b"fourth")[5:]) is None
    assert chunks.only(chunk(b"fifth")) == b"fifth"


@pytest.mark.parametrize("strange", [b"A\r\n0123456789\r\n", b"1\r\nab\r\n", b"5", b"0\r\n\r\n"])
def test_after_anything_else_none_counts(strange):
    chunks = WholeChunks(HEAD)
    assert chunks.only(strange) is None
    assert chunks.only(chunk(b"data")) is None


def test_a_head_that_came_in_pieces_or_after_another_tells_no_place():
    for head in (b"\r\n", b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD):
        assert WholeChunks(head).only(chunk(b"data")) is None


BLOCKS = st.one_of(
    st.builds(chunk, st.binary(min_size=1, max_size=40)),
    st.builds(chunk, st.binary(min_size=1, max_size=40), st.sampled_from(["%X", "00%x", "%x;a=b"])),
    st.sampled_from([b"\r\n", b"5\r\n", b"0\r\n\r\n", b"x"]),
)


@given(st.lists(BLOCKS, max_size=8), st.lists(st.integers(0, 200), max_size=8))
@example([chunk(b"a"), chunk(b"b")], [6, 12])
def test_a_parser_that_skips_them_gives_the_same_data(blocks, cuts):
    raw = b"".join(blocks)
    skipping, plain, chunks = AnswerParser("GET"), AnswerParser("GET"), WholeChunks(HEAD)
    for parser in (skipping, plain):
        assert parser.problem_with(HEAD) is None
    places = sorted({0, len(raw), *(cut % (len(raw) + 1) for cut in cuts)})
    for start, end in itertools.pairwise(places):
        read = raw[start:end]
        problem = plain.problem_with(read)
        if (data := chunks.only(read)) is None:
            told = skipping.problem_with(read)
            assert (told is None) == (problem is None)
            data = skipping.take()
        else:
            assert problem is None
        assert data == plain.take()
        assert skipping.message_complete == plain.message_complete
        if problem is not None or plain.message_complete:
            return
